// SPDX-License-Identifier: GPL-2.0

//! How often a guest may cause what others notice.
//!
//! A complaint is a line in the log and a node in xenstore, and all of the host hears of a change of features.
//! What leads to one is in the guest's hands, so there is a limit, and what would lead to more is not done.

use kernel::time::{
    Deadline,
    Msecs, //
};

/// How often in one interval.
const BURST: u32 = 10;

/// The interval, in milliseconds.
const INTERVAL: Msecs = 5000;

/// What one device may still cause.
pub(crate) struct Budget {
    left: u32,
    renewal: Deadline,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            left: BURST,
            renewal: Deadline::after(INTERVAL),
        }
    }

    /// Whether there may be another one.
    pub(crate) fn allowed(&mut self) -> bool {
        if self.renewal.passed() {
            *self = Self::new();
        }
        self.left > 0
    }

    /// Counts one.
    pub(crate) fn count(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}
