// SPDX-License-Identifier: GPL-2.0

//! Time related primitives.

pub use kernel::time::*;

use crate::bindings;

pub mod deadline;
pub mod timer;

pub use self::deadline::Deadline;

/// The time now, in nanoseconds since an arbitrary point, without regard to the time of day.
///
/// Wraps around after centuries.
#[inline]
pub fn monotonic_nanos() -> u64 {
    // SAFETY: May be called anywhere outside of NMI, where no code of this crate runs.
    let nanos = unsafe { bindings::ktime_get() };

    // CAST: The time is not negative.
    nanos as u64
}

/// The time now, in jiffies since an arbitrary point; wraps around.
#[inline]
pub fn jiffies() -> Jiffies {
    // SAFETY: The counter is always valid. It changes at any time, as a whole.
    unsafe { (&raw const bindings::jiffies).read_volatile() }
}
