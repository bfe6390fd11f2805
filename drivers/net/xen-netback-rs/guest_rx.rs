// SPDX-License-Identifier: GPL-2.0

//! From the host to the guest.
//!
//! The host's packets wait in a [`backlog`] that bounds memory ([`byte_queue`]) and time. A
//! [`thread`] owns the ring: it waits until the guest offers the slots that the [`plan`] of the
//! oldest packet needs, and copies ([`copy`]) packets in batches. [`stall`] tells a guest that has
//! stopped receiving from a slow one. A [`filter`] in front of it all keeps back multicast frames that
//! the guest did not ask for.

pub(crate) mod backlog;
pub(crate) mod byte_queue;
pub(crate) mod copy;
pub(crate) mod filter;
pub(crate) mod plan;
pub(crate) mod stall;
pub(crate) mod thread;
