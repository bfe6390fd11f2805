// SPDX-License-Identifier: GPL-2.0

//! Guest to host.

#[path = "../../../drivers/net/xen-netback-rs/guest_tx/credit.rs"]
pub(crate) mod credit;
pub(crate) mod incoming;
#[path = "../../../drivers/net/xen-netback-rs/guest_tx/poll.rs"]
pub(crate) mod poll;
