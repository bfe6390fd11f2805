// SPDX-License-Identifier: GPL-2.0

//! Lists whose room is allocated once.
//!
//! A hot path that must neither allocate nor fail in any other way than by being told keeps its
//! items here.

use core::{
    marker::PhantomData,
    ops::{
        Deref,
        DerefMut, //
    },
    ptr::NonNull, //
};

use crate::{
    alloc::AllocError,
    prelude::*, //
};

/// A list of at most as many items as it was created for.
///
/// # Invariants
///
/// `items` and `capacity` are what an empty `KVVec<T>` was taken apart into; the first `len` items are
/// initialised, and `len <= capacity`.
pub struct FixedVec<T> {
    items: NonNull<T>,
    len: usize,
    capacity: usize,
    _owns: PhantomData<T>,
}

// SAFETY: The list owns its items and nothing else.
unsafe impl<T: Send> Send for FixedVec<T> {}
// SAFETY: A shared list gives shared access to its items only.
unsafe impl<T: Sync> Sync for FixedVec<T> {}

impl<T> FixedVec<T> {
    /// Creates a list for `capacity` items. Sleeps.
    pub fn new(capacity: usize) -> Result<Self, AllocError> {
        let (items, _, allocated) = KVVec::with_capacity(capacity, GFP_KERNEL)?.into_raw_parts();
        // INVARIANT: The parts of an empty vector; its room is at least what was asked for.
        Ok(Self {
            items: NonNull::new(items).ok_or(AllocError)?,
            len: 0,
            capacity: allocated,
            _owns: PhantomData,
        })
    }

    /// Whether [`FixedVec::push`] would fail.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.len >= self.capacity
    }

    /// Appends an item, or gives it back when the list is full.
    #[inline]
    pub fn push(&mut self, item: T) -> Result<(), T> {
        if self.is_full() {
            return Err(item);
        }
        // SAFETY: `len` is less than `capacity`, so this is within the allocation.
        let end = unsafe { self.items.add(self.len) };
        // SAFETY: By the type invariant nothing initialised is there.
        unsafe { end.write(item) };
        // INVARIANT: The item was initialised, and there was room for it.
        self.len = self.len.wrapping_add(1);
        Ok(())
    }

    /// Drops all items.
    #[inline]
    pub fn clear(&mut self) {
        drop(self.drain());
    }

    /// Removes all items and returns them in order. Those that the iterator does not come to are
    /// dropped with it.
    #[inline]
    pub fn drain(&mut self) -> Drain<'_, T> {
        let end = self.len;
        // INVARIANT: The iterator takes over the items.
        self.len = 0;
        Drain {
            items: self.items,
            next: 0,
            end,
            _list: PhantomData,
        }
    }
}

impl<T> Deref for FixedVec<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: By the type invariant that many items are initialised.
        unsafe { core::slice::from_raw_parts(self.items.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for FixedVec<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: By the type invariant that many items are initialised.
        unsafe { core::slice::from_raw_parts_mut(self.items.as_ptr(), self.len) }
    }
}

impl<T> Drop for FixedVec<T> {
    fn drop(&mut self) {
        self.clear();
        // SAFETY: By the type invariant, and because no item is left.
        drop(unsafe { KVVec::from_raw_parts(self.items.as_ptr(), 0, self.capacity) });
    }
}

/// The items that were removed from a [`FixedVec`].
///
/// # Invariants
///
/// The items from `next` to `end` are initialised and belong to this value.
pub struct Drain<'a, T> {
    items: NonNull<T>,
    next: usize,
    end: usize,
    _list: PhantomData<&'a mut FixedVec<T>>,
}

impl<T> Iterator for Drain<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        if self.next >= self.end {
            return None;
        }
        // SAFETY: By the type invariant, this is within the allocation.
        let item = unsafe { self.items.add(self.next) };
        // INVARIANT: The item is moved out.
        self.next = self.next.wrapping_add(1);
        // SAFETY: By the type invariant the item is initialised, and it is not read again.
        Some(unsafe { item.read() })
    }
}

impl<T> Drop for Drain<'_, T> {
    #[inline]
    fn drop(&mut self) {
        for item in self {
            drop(item);
        }
    }
}
