// SPDX-License-Identifier: GPL-2.0

//! The routing netlink lock.
//!
//! It serialises every change to the configuration of network devices. The networking core holds it
//! around most operations of a device, so those must not take it themselves.
//!
//! C header: [`include/linux/rtnetlink.h`](srctree/include/linux/rtnetlink.h)

use crate::{
    bindings,
    types::NotThreadSafe, //
};

/// Proof that the current thread holds the routing netlink lock, which is released by dropping it.
///
/// # Invariants
///
/// The current thread has taken the lock, and nothing but dropping this value releases it.
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct Guard(NotThreadSafe);

/// Takes the routing netlink lock.
///
/// Sleeps; must not be called where the lock is held already, as in the operations of a device.
pub fn lock() -> Guard {
    // SAFETY: The function has no requirement beyond those of a sleeping lock, and what it returns
    // in is the same thread.
    unsafe { bindings::rtnl_lock() };

    // INVARIANT: The lock was taken just now.
    Guard(NotThreadSafe)
}

impl Drop for Guard {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this thread holds the lock, and this ends the only value
        // which says so.
        unsafe { bindings::rtnl_unlock() };
    }
}
