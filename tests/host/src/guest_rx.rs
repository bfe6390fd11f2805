// SPDX-License-Identifier: GPL-2.0

//! Host to guest.

#[path = "../../../drivers/net/xen-netback-rs/guest_rx/byte_queue.rs"]
pub(crate) mod byte_queue;
mod byte_queue_test;
#[path = "../../../drivers/net/xen-netback-rs/guest_rx/plan.rs"]
pub(crate) mod plan;
mod plan_reference;
mod plan_test;
