// SPDX-License-Identifier: GPL-2.0

//! Synchronisation primitives.

pub use kernel::sync::*;

pub mod rcu;
pub mod wait;
