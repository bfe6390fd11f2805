// SPDX-License-Identifier: GPL-2.0

//! What the kernel's prelude has and the files under test use.

pub use core::{
    ffi::{
        c_char,
        c_int,
        c_long,
        c_uint,
        c_ulong,
        c_void,
        CStr, //
    },
    pin::Pin, //
};

pub use macros::{
    kunit_tests,
    pin_data,
    FromBytes,
    IntoBytes, //
};

pub use crate::{
    alloc::{
        KBox,
        GFP_KERNEL, //
    },
    error::{
        Error,
        Result,
        EIO,
        ENOMEM, //
    },
    fmt::fmt,
    pin_init,
    str::CStrExt, //
};

/// What makes a value. Nothing moves once it is used, because a value is made in a box or a pointer that is
/// shared.
pub trait PinInit<T> {
    fn make(self) -> T;
}

impl<T> PinInit<T> for T {
    fn make(self) -> T {
        self
    }
}

/// Bytes that may come from anywhere.
pub trait FromBytes: Copy {}
impl<T: Copy> FromBytes for T {}

/// Bytes without gaps.
pub trait IntoBytes: Copy {}
impl<T: Copy> IntoBytes for T {}

/// The fields of a structure, in the order written.
#[macro_export]
macro_rules! pin_init {
    ($name:ident { $($fields:tt)* }) => { $crate::pin_init!(@ $name [] $($fields)*) };
    (@ $name:ident [$($done:tt)*]) => { $name { $($done)* } };
    (@ $name:ident [$($done:tt)*] $field:ident <- $value:expr, $($rest:tt)*) => {
        $crate::pin_init!(@ $name [$($done)* $field: $crate::prelude::PinInit::make($value),] $($rest)*)
    };
    (@ $name:ident [$($done:tt)*] $field:ident: $value:expr, $($rest:tt)*) => {
        $crate::pin_init!(@ $name [$($done)* $field: $value,] $($rest)*)
    };
    (@ $name:ident [$($done:tt)*] $field:ident, $($rest:tt)*) => {
        $crate::pin_init!(@ $name [$($done)* $field,] $($rest)*)
    };
}

/// Says what should never happen, and makes the model fail.
#[macro_export]
macro_rules! pr_warn_once {
    ($($message:tt)*) => { panic!($($message)*) };
}
