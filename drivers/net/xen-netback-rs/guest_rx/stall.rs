// SPDX-License-Identifier: GPL-2.0

//! Tells a guest that has stopped receiving from a slow one.

use kernel::time::{
    Deadline,
    Jiffies,
    Msecs, //
};

/// How a queue's guest receives.
///
/// A guest is slow while its ring lacks the slots of the oldest packet, and has stalled when nothing
/// has fitted for the stall timeout, however many packets have expired meanwhile. Without packets
/// nothing is concluded.
pub(crate) enum Reception {
    /// The last packet fitted.
    Flowing,
    /// The last packet did not fit. Counts as stalled when the deadline has passed.
    Slow(Deadline),
    /// Nothing has fitted for the stall timeout. Flows again when that many slots are there.
    Stalled(u32),
}

impl Reception {
    /// A packet fits.
    pub(crate) fn fits(&mut self) {
        if let Reception::Slow(_) = self {
            *self = Reception::Flowing;
        }
    }

    /// A packet that needs `slots` does not fit; `timeout` 0 stands for never stalled. Returns whether
    /// the guest has stalled with that.
    #[must_use]
    pub(crate) fn misses(&mut self, slots: u32, timeout: Msecs) -> bool {
        match self {
            Reception::Flowing => *self = Reception::Slow(Deadline::after(timeout)),
            Reception::Slow(deadline) if timeout != 0 && deadline.passed() => {
                *self = Reception::Stalled(slots);
                return true;
            }
            Reception::Slow(_) | Reception::Stalled(_) => {}
        }
        false
    }

    /// How long it takes until a guest, to which nothing fits meanwhile, has stalled.
    pub(crate) fn remaining(&self, timeout: Msecs) -> Jiffies {
        match self {
            Reception::Slow(deadline) if timeout != 0 => deadline.remaining(),
            _ => Jiffies::MAX,
        }
    }

    /// The ring has `slots`. Returns whether a stalled guest receives again with that.
    #[must_use]
    pub(crate) fn sees(&mut self, slots: u32) -> bool {
        match self {
            Reception::Stalled(needed) if slots >= *needed => {
                *self = Reception::Flowing;
                true
            }
            _ => false,
        }
    }

    /// Slots that a stalled guest has to offer before anything is given to it again.
    pub(crate) fn stalled_for(&self) -> Option<u32> {
        match self {
            Reception::Stalled(slots) => Some(*slots),
            _ => None,
        }
    }
}
