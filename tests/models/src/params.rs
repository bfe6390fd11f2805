// SPDX-License-Identifier: GPL-2.0

//! In place of the driver's file: the defaults.

pub(crate) struct Param(u32);

impl Param {
    pub(crate) fn get(&self) -> u32 {
        self.0
    }
}

pub(crate) const RX_DRAIN_TIMEOUT_MSECS: Param = Param(10_000);
pub(crate) const RX_STALL_TIMEOUT_MSECS: Param = Param(60_000);
