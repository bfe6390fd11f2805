// SPDX-License-Identifier: GPL-2.0

//! Time related primitives.

pub use kernel::time::*;

use crate::bindings;

pub mod deadline;
pub mod timer;

pub use self::deadline::Deadline;

/// The time now, in jiffies since an arbitrary point; wraps around.
#[inline]
pub fn jiffies() -> Jiffies {
    // SAFETY: The counter is always valid. It changes at any time, as a whole.
    unsafe { (&raw const bindings::jiffies).read_volatile() }
}
