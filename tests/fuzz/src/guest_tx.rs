// SPDX-License-Identifier: GPL-2.0

//! Guest to host.

#[path = "../../../drivers/net/xen-netback-rs/guest_tx/credit.rs"]
pub(crate) mod credit;
#[path = "../../../drivers/net/xen-netback-rs/guest_tx/gso.rs"]
pub(crate) mod gso;
#[path = "../../../drivers/net/xen-netback-rs/guest_tx/parse.rs"]
pub(crate) mod parse;
#[path = "../../host/src/guest_tx/parse_reference.rs"]
pub(crate) mod parse_reference;
