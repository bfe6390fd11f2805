// SPDX-License-Identifier: GPL-2.0

//! The control ring.

#[path = "../../../drivers/net/xen-netback-rs/control/request.rs"]
pub(crate) mod request;
pub(crate) mod target;
