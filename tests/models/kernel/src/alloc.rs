// SPDX-License-Identifier: GPL-2.0

//! Memory, of which there is enough.

use std::{
    ops::{
        Deref,
        DerefMut, //
    },
    pin::Pin, //
};

use crate::{
    error::Result,
    prelude::PinInit, //
};

/// Never happens.
#[derive(Debug)]
pub struct AllocError;

/// How to allocate.
#[derive(Clone, Copy)]
pub struct Flags;

pub const GFP_KERNEL: Flags = Flags;

/// A box with the kernel's constructors.
pub struct KBox<T>(Box<T>);

impl<T> KBox<T> {
    pub fn new(value: T, _: Flags) -> Result<Self> {
        Ok(Self(Box::new(value)))
    }

    pub fn pin_init(init: impl PinInit<T>, _: Flags) -> Result<Pin<Self>>
    where
        T: Unpin,
    {
        Ok(Pin::new(Self(Box::new(init.make()))))
    }
}

impl<T> Deref for KBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for KBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
