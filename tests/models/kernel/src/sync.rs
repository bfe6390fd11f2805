// SPDX-License-Identifier: GPL-2.0

//! Locks, atomics and shared ownership.

use std::ops::Deref;

pub mod atomic;
#[path = "../../../../rust/kernel/sync/wait.rs"]
pub mod wait;

use crate::{
    alloc::Flags,
    error::Result,
    prelude::PinInit, //
};

/// Shared ownership. Counting is not modelled: what is counted lives in safe code.
pub struct Arc<T>(std::sync::Arc<T>);

impl<T> Arc<T> {
    pub fn new(value: T, _: Flags) -> Result<Self> {
        Ok(Self(std::sync::Arc::new(value)))
    }

    pub fn pin_init(init: impl PinInit<T>, _: Flags) -> Result<Self> {
        Ok(Self(std::sync::Arc::new(init.make())))
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

pub mod aref {
    //! References to what the kernel counts.

    /// A reference.
    pub struct ARef<T>(std::sync::Arc<T>);

    impl<T> ARef<T> {
        pub fn new(value: T) -> Self {
            Self(std::sync::Arc::new(value))
        }
    }

    impl<T: Clone> From<&T> for ARef<T> {
        fn from(value: &T) -> Self {
            Self::new(value.clone())
        }
    }

    impl<T> Clone for ARef<T> {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }

    impl<T> std::ops::Deref for ARef<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }
}

/// A lock.
pub struct SpinLockIrq<T>(loom::sync::Mutex<T>);

impl<T> SpinLockIrq<T> {
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }
}

/// Makes a lock.
#[macro_export]
macro_rules! new_spinlock_irq {
    ($value:expr) => {
        $crate::sync::SpinLockIrq::new($value)
    };
}

/// The class of a lock, for lockdep.
pub struct LockClassKey;

impl LockClassKey {
    pub fn as_ptr(&self) -> *mut LockClassKey {
        core::ptr::null_mut()
    }
}

#[macro_export]
macro_rules! static_lock_class {
    () => {
        $crate::sync::LockClassKey
    };
}
