// SPDX-License-Identifier: GPL-2.0

//! Network backend for Xen guests.
//!
//! A guest's network interface is a pair of devices: the guest's frontend, and the backend in the
//! domain that has the network, which this module drives. They share two rings of requests per
//! queue, one for each direction, and a directory each in xenstore, where they negotiate.
//!
//! Directions are named from the guest: guest Rx is host to guest.
//!
//! - [`xenbus`] follows a device's life, [`negotiate`] and [`lifecycle`] decide what follows from
//!   what the frontend says, in its [`keys`].
//! - [`interface`] is the network device `vifX.Y`, [`queue`] one queue pair of it, with its
//!   [`channels`] and what is [`shared`].
//! - [`control`] is the ring by which the guest configures [`steering`].
//! - [`guest_rx`] is the way to the guest, [`guest_tx`] the way from it.
//!
//! Everything a guest writes is hostile until checked; nothing it does can make this code panic,
//! wait, or use unbounded memory.

#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod budget;
mod channels;
mod control;
mod debugfs;
mod guest_rx;
mod guest_tx;
mod headers;
mod interface;
mod keys;
mod lifecycle;
mod multicast;
mod negotiate;
mod params;
mod queue;
mod shared;
mod stats;
mod steering;
mod toeplitz;
mod wire;
mod xenbus;

kernel::prelude::module! {
    type: xenbus::Module,
    name: "xen_netback_rs",
    authors: ["The xen-netback-rs developers"],
    description: "Xen network backend in Rust",
    license: "Dual BSD/GPL",
    alias: ["xen-backend:vif"],
}
