// SPDX-License-Identifier: GPL-2.0

//! Errors.

use crate::alloc::AllocError;

/// An error number, which is positive here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(pub i32);

pub type Result<T = (), E = Error> = core::result::Result<T, E>;

pub const EIO: Error = Error(5);
pub const ENOMEM: Error = Error(12);

pub fn to_result(error: i32) -> Result {
    if error < 0 {
        Err(Error(error.wrapping_neg()))
    } else {
        Ok(())
    }
}

impl From<AllocError> for Error {
    fn from(_: AllocError) -> Self {
        ENOMEM
    }
}
