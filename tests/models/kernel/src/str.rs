// SPDX-License-Identifier: GPL-2.0

//! Names, which are not modelled.

use core::{
    ffi::{
        c_char,
        CStr, //
    },
    ops::Deref, //
};

use crate::{
    error::Result,
    fmt, //
};

/// An empty name.
pub struct CString(());

impl CString {
    pub fn try_from_fmt(_: fmt::Arguments) -> Result<Self> {
        Ok(Self(()))
    }
}

impl Deref for CString {
    type Target = CStr;

    fn deref(&self) -> &CStr {
        c""
    }
}

/// What the kernel's strings can do.
pub trait CStrExt {
    fn as_char_ptr(&self) -> *const c_char;
}

impl CStrExt for CStr {
    fn as_char_ptr(&self) -> *const c_char {
        self.as_ptr()
    }
}
