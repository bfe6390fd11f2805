// SPDX-License-Identifier: GPL-2.0

//! Lists whose room is allocated once.

use std::ops::{
    Deref,
    DerefMut, //
};

use crate::alloc::AllocError;

/// A list of at most as many items as it was created for.
pub struct FixedVec<T> {
    items: Vec<T>,
    capacity: usize,
}

impl<T> FixedVec<T> {
    pub fn new(capacity: usize) -> Result<Self, AllocError> {
        Ok(Self {
            items: Vec::new(),
            capacity,
        })
    }

    pub fn is_full(&self) -> bool {
        self.items.len() >= self.capacity
    }

    pub fn push(&mut self, item: T) -> Result<(), T> {
        if self.is_full() {
            return Err(item);
        }
        self.items.push(item);
        Ok(())
    }

    pub fn clear(&mut self) {
        self.items.clear();
    }

    pub fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.items.drain(..)
    }
}

impl<T> Deref for FixedVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T> DerefMut for FixedVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}
