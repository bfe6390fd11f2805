// SPDX-License-Identifier: GPL-2.0

//! Time, which stands still.

pub mod timer;

pub type Jiffies = core::ffi::c_ulong;
pub type Msecs = u32;

pub fn msecs_to_jiffies(msecs: Msecs) -> Jiffies {
    msecs.into()
}

/// A point in time, which is never reached.
#[derive(Clone, Copy)]
pub struct Deadline(Jiffies);

impl Deadline {
    pub fn after(msecs: Msecs) -> Self {
        Self::after_jiffies(msecs_to_jiffies(msecs))
    }

    pub fn after_jiffies(ahead: Jiffies) -> Self {
        Self(ahead)
    }

    pub fn passed(&self) -> bool {
        false
    }

    pub fn remaining(&self) -> Jiffies {
        self.0
    }
}
