// SPDX-License-Identifier: GPL-2.0

//! Processors.
//!
//! C header: [`include/linux/cpumask.h`](srctree/include/linux/cpumask.h)

use crate::bindings;

pub use kernel::cpu::*;

/// Number of processors that are online at this moment, at least 1.
pub fn num_online() -> u32 {
    // SAFETY: Reads an atomic variable.
    unsafe { bindings::num_online_cpus() }
}
