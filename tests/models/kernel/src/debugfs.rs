// SPDX-License-Identifier: GPL-2.0

//! Files in debugfs, of which there are none.

use std::marker::PhantomData;

/// A folder.
pub struct Dir;

/// A file.
pub struct File<T>(PhantomData<T>);
