// SPDX-License-Identifier: GPL-2.0

//! Guest to host.

#[path = "../../../drivers/net/xen-netback-rs/guest_tx/credit.rs"]
pub(crate) mod credit;
mod credit_test;
#[path = "../../../drivers/net/xen-netback-rs/guest_tx/gso.rs"]
pub(crate) mod gso;
mod gso_test;
#[path = "../../../drivers/net/xen-netback-rs/guest_tx/parse.rs"]
pub(crate) mod parse;
mod parse_reference;
mod parse_test;
