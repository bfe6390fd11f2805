// SPDX-License-Identifier: GPL-2.0

//! Host to guest.

#[path = "../../../drivers/net/xen-netback-rs/guest_rx/plan.rs"]
pub(crate) mod plan;
#[path = "../../host/src/guest_rx/plan_reference.rs"]
pub(crate) mod plan_reference;
