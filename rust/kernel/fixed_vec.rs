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

    /// Drops the first `count` items, or all if there are fewer; the others follow in their place.
    pub fn drop_front(&mut self, count: usize) {
        let count = count.min(self.len);
        let rest = self.len.wrapping_sub(count);
        // SAFETY: `count` is at most `len`, so this is within the allocation, or at its end.
        let from = unsafe { self.items.add(count) };
        // INVARIANT: There is no item until all are in their place.
        self.len = 0;
        for i in 0..count {
            // SAFETY: `i` is less than the former `len`.
            let item = unsafe { self.items.add(i) };
            // SAFETY: The item is initialised, and is not used again.
            unsafe { item.drop_in_place() };
        }
        // SAFETY: Both ranges are within the allocation; the items of the first are initialised, and are
        // used in their new place only.
        unsafe { self.items.copy_from(from, rest) };
        // INVARIANT: These were moved to the front.
        self.len = rest;
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

#[kunit_tests(xen_netback_rs_fixed_vec)]
mod tests {
    use super::*;
    use core::cell::Cell;

    struct Counted<'a>(&'a Cell<usize>);

    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn what_leaves_the_front_is_dropped_once() -> Result {
        let dropped = Cell::new(0);
        let mut list = FixedVec::new(4)?;

        while !list.is_full() {
            list.push(Counted(&dropped)).map_err(|_| ENOSPC)?;
        }
        let len = list.len();
        list.drop_front(1);
        assert_eq!(dropped.get(), 1);
        drop(list);
        assert_eq!(dropped.get(), len);
        Ok(())
    }

    /// Fails when a list, or an iterator over what was in it, forgets what nobody has taken.
    #[test]
    fn items_are_dropped_once() -> Result {
        let dropped = Cell::new(0);
        let mut list = FixedVec::new(3)?;
        while !list.is_full() {
            list.push(Counted(&dropped)).map_err(|_| ENOSPC)?;
        }
        let len = list.len();

        // What finds no room is given back.
        let refused = list.push(Counted(&dropped)).err();
        assert!(refused.is_some());
        assert_eq!(dropped.get(), 0);
        drop(refused);
        assert_eq!(dropped.get(), 1);

        let mut taken = list.drain();
        let first = taken.next();
        assert!(first.is_some());
        assert_eq!(dropped.get(), 1);
        drop(taken);
        assert_eq!(dropped.get(), len);
        drop(first);
        assert_eq!(dropped.get(), len + 1);
        assert!(list.is_empty());
        assert!(list.drain().next().is_none());

        list.push(Counted(&dropped)).map_err(|_| ENOSPC)?;
        list.clear();
        assert_eq!(dropped.get(), len + 2);
        list.push(Counted(&dropped)).map_err(|_| ENOSPC)?;
        drop(list);
        assert_eq!(dropped.get(), len + 3);
        Ok(())
    }

    fn list(len: usize) -> Result<FixedVec<usize>> {
        let mut list = FixedVec::new(4)?;
        for i in 0..len {
            list.push(i).map_err(|_| ENOSPC)?;
        }
        Ok(list)
    }

    #[test]
    fn the_rest_moves_to_the_front() -> Result {
        for len in 0..=4 {
            for count in 0..=5 {
                let mut list = list(len)?;
                list.drop_front(count);
                assert_eq!(list.len(), len.saturating_sub(count));
                for (place, item) in list.iter().enumerate() {
                    assert_eq!(*item, place + count);
                }
                // There is room again.
                while list.push(9).is_ok() {}
                assert!(list.is_full());
            }
        }
        Ok(())
    }
}
