// SPDX-License-Identifier: GPL-2.0

//! How much memory may wait for the guest, and when the host has to hold back.

/// Memory which may wait in one queue, in bytes.
pub(crate) const LIMIT: usize = 512 * 1024;

/// Memory which the largest ordinary packet takes: 64 KiB of payload and its buffers, in bytes.
const RESERVE: usize = 72 * 1024;

/// The account of a queue whose packets are counted by the memory they take.
///
/// The host is stopped while there is still room for one more packet, so that a packet under way
/// is not lost, and woken when half of the limit is free. Both depend on the account alone.
///
/// # Invariants
///
/// - `queued` is the sum of what was admitted and not yet released.
/// - `queued` exceeds the limit only while a single packet makes it up.
/// - `stopped` implies that there will be a release, as long as each admitted packet is released:
///   the host cannot be left stopped.
#[derive(Debug)]
pub(crate) struct ByteLimit {
    limit: usize,
    queued: usize,
    peak: usize,
    stopped: bool,
}

/// The answer to a packet that asks to be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Admission {
    /// The packet is counted; the host goes on.
    Accept,
    /// The packet is counted; the host has to be stopped, since the next may not fit.
    AcceptAndStop,
    /// The packet is not counted and goes back to the host, which has to be stopped.
    Refuse,
}

impl ByteLimit {
    /// An empty queue. With a limit of less than twice the largest ordinary packet, a packet may be
    /// refused as soon as the host has been woken.
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            limit,
            queued: 0,
            peak: 0,
            stopped: false,
        }
    }

    /// Counts a packet which takes `bytes` of memory, if there is room for it.
    ///
    /// A packet alone always fits, so that none is too large to be sent at all.
    pub(crate) fn admit(&mut self, bytes: usize) -> Admission {
        let after = match self.queued.checked_add(bytes) {
            Some(after) if after <= self.limit || self.queued == 0 => after,
            _ => {
                self.stopped = true;
                return Admission::Refuse;
            }
        };
        self.queued = after;
        // Not written without need: the line is shared by senders and the thread.
        if after > self.peak {
            self.peak = after;
        }
        if after.saturating_add(RESERVE) > self.limit {
            self.stopped = true;
            Admission::AcceptAndStop
        } else {
            Admission::Accept
        }
    }

    /// Takes a packet of `bytes`, as admitted, off the account; returns whether to wake the host.
    #[must_use]
    pub(crate) fn release(&mut self, bytes: usize) -> bool {
        self.queued = self.queued.saturating_sub(bytes);
        let wake = self.stopped && self.queued <= self.limit / 2;
        if wake {
            self.stopped = false;
        }
        wake
    }

    /// Memory which waits now, in bytes.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// The most memory that ever waited at once, in bytes.
    pub(crate) fn peak(&self) -> usize {
        self.peak
    }
}
