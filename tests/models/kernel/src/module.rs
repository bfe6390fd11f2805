// SPDX-License-Identifier: GPL-2.0

//! Modules.

/// A module.
pub struct ThisModule;

pub fn this_module<T>() -> &'static ThisModule {
    &ThisModule
}
