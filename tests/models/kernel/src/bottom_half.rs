// SPDX-License-Identifier: GPL-2.0

//! Bottom halves, which are threads of their own in a model: nothing of it depends on when they are off.

#[must_use]
pub struct Disabled(());

pub fn disable() -> Disabled {
    Disabled(())
}
