// SPDX-License-Identifier: GPL-2.0

//! Atomics with the kernel's orders.

use loom::sync::atomic::{
    fence,
    AtomicBool,
    AtomicU32,
    Ordering, //
};

pub use ordering::{
    Full,
    Relaxed, //
};

pub mod ordering {
    //! The orders that are used.

    /// None.
    pub struct Relaxed;
    /// That of a full barrier before and after.
    pub struct Full;
}

/// An atomic value.
pub struct Atomic<T: Value>(T::Cell);

/// What can be accessed as a whole.
pub trait Value: Copy {
    type Cell;
    fn cell(self) -> Self::Cell;
    fn load(cell: &Self::Cell) -> Self;
    fn store(cell: &Self::Cell, value: Self);
}

macro_rules! value {
    ($type:ty, $cell:ty) => {
        impl Value for $type {
            type Cell = $cell;

            fn cell(self) -> $cell {
                <$cell>::new(self)
            }

            fn load(cell: &$cell) -> $type {
                cell.load(Ordering::Relaxed)
            }

            fn store(cell: &$cell, value: $type) {
                cell.store(value, Ordering::Relaxed);
            }
        }
    };
}

value!(bool, AtomicBool);
value!(u32, AtomicU32);
// Only statistics are that wide, and nothing depends on them: not modelled.
value!(u64, std::sync::atomic::AtomicU64);

impl<T: Value> Atomic<T> {
    pub fn new(value: T) -> Self {
        Self(value.cell())
    }

    pub fn load(&self, _: Relaxed) -> T {
        T::load(&self.0)
    }

    pub fn store(&self, value: T, _: Relaxed) {
        T::store(&self.0, value);
    }
}

impl Atomic<u32> {
    /// Exchanges `old` for `new`. An exchange that fails orders nothing.
    pub fn cmpxchg(&self, old: u32, new: u32, _: Full) -> Result<u32, u32> {
        fence(Ordering::SeqCst);
        let result = self
            .0
            .compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed);
        if result.is_ok() {
            fence(Ordering::SeqCst);
        }
        result
    }
}
