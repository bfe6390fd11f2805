// SPDX-License-Identifier: GPL-2.0

//! Host to guest.

#[path = "../../../drivers/net/xen-netback-rs/guest_rx/backlog.rs"]
pub(crate) mod backlog;
#[path = "../../../drivers/net/xen-netback-rs/guest_rx/byte_queue.rs"]
pub(crate) mod byte_queue;
#[path = "../../../drivers/net/xen-netback-rs/guest_rx/copy.rs"]
pub(crate) mod copy;
#[path = "../../../drivers/net/xen-netback-rs/guest_rx/plan.rs"]
pub(crate) mod plan;
#[path = "../../../drivers/net/xen-netback-rs/guest_rx/stall.rs"]
pub(crate) mod stall;
#[path = "../../../drivers/net/xen-netback-rs/guest_rx/thread.rs"]
pub(crate) mod thread;
