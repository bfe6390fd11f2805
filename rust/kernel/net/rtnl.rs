// SPDX-License-Identifier: GPL-2.0

//! The routing netlink lock.
//!
//! It serialises every change to the configuration of network devices. The networking core holds it
//! around most operations of a device, so those must not take it themselves.
//!
//! C header: [`include/linux/rtnetlink.h`](srctree/include/linux/rtnetlink.h)

use core::{
    cell::UnsafeCell,
    mem::ManuallyDrop, //
};

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

/// Takes the routing netlink lock, unless somebody holds it.
pub fn try_lock() -> Option<Guard> {
    // SAFETY: The function has no requirement, and what it returns in is the same thread.
    if unsafe { bindings::rtnl_trylock() } == 0 {
        return None;
    }

    // INVARIANT: The lock was taken just now.
    Some(Guard(NotThreadSafe))
}

impl Guard {
    /// The proof for a function which is called while the lock is held, and does not release it.
    ///
    /// # Safety
    ///
    /// The current thread must hold the lock until the returned value is dropped, and must have no
    /// exclusive access to what the lock protects meanwhile.
    #[inline]
    pub(super) unsafe fn borrowed() -> ManuallyDrop<Self> {
        // INVARIANT: The caller promises that the lock is held; this value does not release it.
        ManuallyDrop::new(Guard(NotThreadSafe))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this thread holds the lock, and this ends the only value
        // which says so.
        unsafe { bindings::rtnl_unlock() };
    }
}

/// A value that the routing netlink lock protects, for a `static`.
///
/// What a static holds at the end of the module is not dropped, so it is to be taken out before.
pub struct Protected<T>(UnsafeCell<T>);

// SAFETY: A shared reference gives access only to the one thread which holds the lock.
unsafe impl<T: Send> Sync for Protected<T> {}

impl<T> Protected<T> {
    /// Protects `value`.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The value, while the lock is held.
    #[inline]
    pub fn get<'a>(&'a self, _rtnl: &'a Guard) -> &'a T {
        // SAFETY: The guard stands for the lock, which there is one of. What it lends exclusively,
        // `get_mut()`, ends before it is borrowed again.
        unsafe { &*self.0.get() }
    }

    /// The value, to change it, while the lock is held.
    #[inline]
    pub fn get_mut<'a>(&'a self, _rtnl: &'a mut Guard) -> &'a mut T {
        // SAFETY: As in `get()`; the guard is borrowed exclusively for as long as the result lives.
        unsafe { &mut *self.0.get() }
    }
}
