// SPDX-License-Identifier: GPL-2.0

//! Bottom halves: what interrupts leave to be done soon, in softirqs.
//!
//! C header: [`include/linux/bottom_half.h`](srctree/include/linux/bottom_half.h)

use crate::{
    bindings,
    types::NotThreadSafe, //
};

/// Proof that no bottom half interrupts the current thread, which stays on its processor. What is raised
/// meanwhile runs when this is dropped, which must not be done with interrupts off.
///
/// # Invariants
///
/// The current thread has disabled bottom halves, and dropping this value enables them.
#[must_use = "bottom halves are enabled as soon as the guard is dropped"]
pub struct Disabled(NotThreadSafe);

/// Keeps bottom halves off. May be nested.
#[inline]
pub fn disable() -> Disabled {
    // SAFETY: The guard enables them.
    unsafe { bindings::local_bh_disable() };

    // INVARIANT: They were disabled just now.
    Disabled(NotThreadSafe)
}

impl Drop for Disabled {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::local_bh_enable() };
    }
}
