// SPDX-License-Identifier: GPL-2.0

//! Names, which are not modelled.

/// What would be shown.
pub struct Arguments;

/// Evaluates what would be shown.
#[macro_export]
macro_rules! fmt {
    ($format:literal $(, $value:expr)*) => {{
        $(let _ = &$value;)*
        $crate::fmt::Arguments
    }};
}

pub use crate::fmt;
