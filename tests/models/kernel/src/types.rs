// SPDX-License-Identifier: GPL-2.0

//! C's structures inside of Rust's.

use std::{
    cell::UnsafeCell,
    mem::MaybeUninit, //
};

use crate::prelude::PinInit;

/// A structure that C code owns.
pub struct Opaque<T>(UnsafeCell<MaybeUninit<T>>);

impl<T> Opaque<T> {
    pub fn uninit() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// C's part of the models may be moved before it is used.
    pub fn ffi_init(init: impl FnOnce(*mut T)) -> impl PinInit<Self> {
        let this = Self::uninit();
        init(this.get());
        this
    }

    pub fn get(&self) -> *mut T {
        self.0.get().cast()
    }
}
