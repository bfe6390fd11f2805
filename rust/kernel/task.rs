// SPDX-License-Identifier: GPL-2.0

//! Tasks.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use crate::bindings;

pub use kernel::task::*;

/// Lets another task run if one waits for this processor. Sleeps.
#[inline]
pub fn cond_resched() {
    // SAFETY: Sleeping is allowed where this function is called, as its documentation demands; where
    // it is not, the kernel reports it.
    unsafe { bindings::cond_resched() };
}
