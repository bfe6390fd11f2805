// SPDX-License-Identifier: GPL-2.0

//! Models of what happens at the same time: the driver's own files, run under all interleavings.
//!
//! A queue is connected, opened and disconnected by the driver's [`queue`]; its thread, its poll, the
//! handlers of its event channels, the bound on what waits and the senders' side are the driver's too,
//! and so are, of the overlay crate, the ring, the event channel's acknowledgement and the wait queue.
//! They are compiled against a crate `kernel` that is made for this (`kernel/`), whose locks, atomics,
//! threads and shared pages are those of the model checker loom. It runs a model once for each order in
//! which the threads may act, and each value which a load may return by the memory model, with a bound on
//! the number of switches between threads that need not be. The memory model is that of C11 without
//! loads that are reordered after later stores.
//!
//! By hand is modelled what the kernel and the hypervisor do (see there), and of the driver what has
//! no part in sleeping and waking:
//!
//! - [`guest_tx::incoming`]: what is done with a packet from the guest. Each request is one, and the limit
//!   on what the guest sends never holds it back.
//! - [`interface`]: no fault, no steering, no headroom. [`params`], [`debugfs`], [`xenbus`]: what it takes
//!   to compile.
//!
//! Time stands still, so nothing is saved by a timeout: a wake-up that is lost is a thread that hangs, and
//! that is a failure. The guest is [`frontend`], which does as little as the protocol allows.
//!
//! What is promised stands in each model, with the changes to the driver by which it was seen to fail.

#![cfg(test)]
// Of the driver's files more is compiled than these models call.
#![allow(dead_code)]

mod byte_queue_model;
#[path = "../../../drivers/net/xen-netback-rs/channels.rs"]
mod channels;
mod debugfs;
mod detach_model;
mod frontend;
mod guest_rx;
mod guest_rx_model;
mod guest_tx;
mod guest_tx_model;
mod interface;
mod machine;
#[path = "../../../drivers/net/xen-netback-rs/negotiate.rs"]
mod negotiate;
mod params;
#[path = "../../../drivers/net/xen-netback-rs/queue.rs"]
mod queue;
#[path = "../../../drivers/net/xen-netback-rs/shared.rs"]
mod shared;
#[path = "../../../drivers/net/xen-netback-rs/stats.rs"]
mod stats;
#[path = "../../../drivers/net/xen-netback-rs/wire.rs"]
mod wire;
mod xenbus;

/// The module.
struct LocalModule;
