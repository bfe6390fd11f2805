// SPDX-License-Identifier: GPL-2.0

//! From the guest to the host.
//!
//! NAPI owns this side of a queue: [`poll`] says when to look, [`incoming`] takes requests off the
//! ring, [`parse`] makes packets of them, [`credit`] and [`rate`] say whether they may be received now,
//! [`copy`] finds memory for what they hold, [`offload`] describes the packet to the stack as far as the
//! guest's claims about it hold ([`gso`]). Guest memory is copied, never mapped, so a request is answered
//! in the poll that takes it.

pub(crate) mod copy;
pub(crate) mod credit;
pub(crate) mod gso;
pub(crate) mod incoming;
pub(crate) mod offload;
pub(crate) mod parse;
pub(crate) mod poll;
pub(crate) mod rate;
