// SPDX-License-Identifier: GPL-2.0

//! Tells a guest that has stopped receiving from a slow one.

use kernel::time::{
    Deadline,
    Msecs, //
};

/// How a queue's guest receives.
///
/// A guest is slow while its ring lacks the slots of the oldest packet, and has stopped when nothing
/// has fitted for the stall timeout, however many packets have expired meanwhile. Without packets
/// nothing is concluded.
pub(crate) enum Reception {
    /// The last packet fitted.
    Flowing,
    /// A packet that needs `slots` does not fit. Counts as stalled after the deadline.
    Waiting { slots: u32, until: Deadline },
    /// Nothing has fitted for the stall timeout. Flows again when `slots` are there.
    Stalled { slots: u32 },
}

/// A change of [`Reception`] that others have to know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Change {
    None,
    Stalled,
    Recovered,
}

impl Reception {
    /// A packet that needs `slots` does not fit now; `timeout` 0 stands for never stalled.
    pub(crate) fn misses(&mut self, slots: u32, timeout: Msecs) -> Change {
        match self {
            Reception::Flowing => {
                *self = Reception::Waiting {
                    slots,
                    until: Deadline::after(timeout),
                };
                Change::None
            }
            Reception::Waiting { until, .. } if timeout != 0 && until.passed() => {
                *self = Reception::Stalled { slots };
                Change::Stalled
            }
            Reception::Waiting { slots: needed, .. } | Reception::Stalled { slots: needed } => {
                *needed = slots;
                Change::None
            }
        }
    }

    /// The ring has `slots`, with or without a packet to fill them.
    pub(crate) fn sees(&mut self, slots: u32) -> Change {
        match self {
            Reception::Waiting { slots: needed, .. } if slots >= *needed => {
                *self = Reception::Flowing;
                Change::None
            }
            Reception::Stalled { slots: needed } if slots >= *needed => {
                *self = Reception::Flowing;
                Change::Recovered
            }
            _ => Change::None,
        }
    }

    /// Slots that a stalled guest has to offer before anything is given to it again.
    pub(crate) fn stalled_for(&self) -> Option<u32> {
        match self {
            Reception::Stalled { slots } => Some(*slots),
            _ => None,
        }
    }
}
