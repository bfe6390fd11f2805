// SPDX-License-Identifier: GPL-2.0

//! A `kernel` crate whose threads, locks, atomics and shared pages are those of a model checker.
//!
//! The driver's files, and those of the overlay crate that concern what is modelled, are compiled
//! against it as they are. Of the overlay these are the rings, the event channel with its acknowledgement
//! and the wait queue. What the kernel itself does is modelled by hand, as little of it as the driver's
//! promises depend on, and no stronger than it is:
//!
//! - [`bindings`]: barriers, sleeping and waking, the hypervisor's event channels with late
//!   acknowledgement. An interrupt runs in a thread of its own, so it may come as late as it likes.
//! - [`net::napi`]: scheduling, and disabling, which waits for a poll under way.
//! - [`kthread`]: stopping, which waits for the thread.
//! - [`net::netdevice`]: transmit queues that are stopped and woken.
//!
//! Time stands still: no timeout ever passes. Whoever is woken by nothing but a timeout hangs, and the
//! model checker reports a hang as a failure.

// The files under test use more of the real crate than the models do.
#![allow(clippy::missing_safety_doc, unexpected_cfgs, unreachable_code)]

// Where the files under test look for what makes bytes of structures.
extern crate macros as zerocopy_derive;

pub mod alloc;
pub mod bindings;
pub mod bottom_half;
pub mod cpu;
pub mod debugfs;
pub mod error;
pub mod fixed_vec;
pub mod fmt;
pub mod io;
pub mod kthread;
pub mod module;
pub mod net;
pub mod prelude;
pub mod str;
pub mod sync;
pub mod task;
pub mod time;
pub mod types;
pub mod xen;

pub use cpu::cpumask;
