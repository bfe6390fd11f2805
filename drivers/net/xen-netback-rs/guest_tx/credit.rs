// SPDX-License-Identifier: GPL-2.0

//! How much a guest may send: a bucket that fills with time and is emptied by packets.
//!
//! Points in time are nanoseconds since any point that stays the same.

/// The longest packet, in bytes.
const MAX_PACKET: u64 = u16::MAX as u64;

/// What every bucket holds at least, in bytes: a few packets of any size.
const MIN_BURST: u64 = 128 * 1024;

/// How long to wait at least, in nanoseconds. A sender that has few packets under way, as TCP with a slow
/// receiver, gets further by many of them at times than by one at a time.
const PAUSE: u64 = 10_000_000;

const _: () = assert!(MIN_BURST >= 2 * MAX_PACKET);

/// What may be sent in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    bytes: u64,
    period: u64,
}

impl Limit {
    /// `bytes` in every `usec` microseconds: 0 bytes are nothing at all, 0 microseconds no limit.
    pub(crate) fn new(bytes: u64, usec: u32) -> Self {
        Self {
            bytes,
            period: u64::from(usec).saturating_mul(1000),
        }
    }

    /// The time that a bucket takes to fill, rounded down; [`None`] when it never does.
    ///
    /// A bucket holds as much as may be sent in one period, and no less than [`MIN_BURST`].
    fn fill_time(self) -> Option<u64> {
        if self.bytes >= MIN_BURST {
            Some(self.period)
        } else {
            // At most 60 bits.
            MIN_BURST.wrapping_mul(self.period).checked_div(self.bytes)
        }
    }

    /// The time in which `bytes`, at most [`MAX_PACKET`], come into a bucket, rounded up.
    fn time_of(self, bytes: u64) -> Option<u64> {
        // At most 58 bits.
        let product = bytes.wrapping_mul(self.period);
        let time = product.checked_div(self.bytes)?;
        let exact = time.wrapping_mul(self.bytes) == product;
        Some(time.wrapping_add(u64::from(!exact)))
    }
}

/// Nanoseconds after which it is worth to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) u64);

/// The credit of a guest.
///
/// In any stretch of time packets take no more than what the limit allows for that time and what the
/// bucket held at its start. Whether a packet may go does not depend on its size, so that of several
/// queues which share a bucket none is kept waiting by the others' smaller packets.
///
/// # Invariants
///
/// The bucket lacks at most what fits into it.
#[derive(Debug)]
pub(crate) struct Bucket {
    limit: Option<Limit>,
    /// When the bucket is full if nothing is taken out any more.
    full_at: u64,
}

impl Bucket {
    /// No limit.
    pub(crate) const fn new() -> Self {
        Self {
            limit: None,
            full_at: 0,
        }
    }

    /// Sets another limit, beginning with a full bucket; returns whether it is another one.
    pub(crate) fn set(&mut self, limit: Option<Limit>) -> bool {
        let changed = self.limit != limit;
        if changed {
            *self = Self { limit, full_at: 0 };
        }
        changed
    }

    /// Takes a packet of `size` bytes at the time `now` out of the bucket, or says how long to wait.
    pub(crate) fn take(&mut self, size: u16, now: u64) -> Result<(), Wait> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        let times = (
            limit.fill_time(),
            limit.time_of(MAX_PACKET),
            limit.time_of(size.into()),
        );
        let (Some(fill), Some(largest), Some(cost)) = times else {
            return Err(Wait(u64::MAX));
        };
        let lacking = self.full_at.saturating_sub(now);
        // The longest packet has to fit, whatever this one's size.
        let spare = fill.saturating_sub(largest);
        if lacking > spare {
            // By then the bucket is not full, so that nothing runs over.
            let pause = PAUSE.min(spare / 2);
            return Err(Wait(lacking.wrapping_sub(spare).saturating_add(pause)));
        }
        // INVARIANT: `cost` is not more than `largest`.
        self.full_at = now.saturating_add(lacking).saturating_add(cost);
        Ok(())
    }

    /// What the bucket is like at the time `now`, for people to look at.
    pub(crate) fn state(&self, now: u64) -> State {
        let Some(limit) = self.limit else {
            return State {
                bytes: u64::MAX,
                usec: 0,
                remaining: u64::MAX,
                exhausted: false,
            };
        };
        let lacking = self.full_at.saturating_sub(now);
        let filled = limit.fill_time().unwrap_or(0).saturating_sub(lacking);
        State {
            bytes: limit.bytes,
            usec: limit.period / 1000,
            remaining: filled
                .saturating_mul(limit.bytes)
                .checked_div(limit.period)
                .unwrap_or(u64::MAX),
            exhausted: limit.time_of(MAX_PACKET).is_none_or(|time| time > filled),
        }
    }
}

/// A bucket as people may look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// What may be sent in one period, the largest number if there is no limit.
    pub(crate) bytes: u64,
    /// The period in microseconds.
    pub(crate) usec: u64,
    /// Bytes which are in the bucket.
    pub(crate) remaining: u64,
    /// Every packet has to wait.
    pub(crate) exhausted: bool,
}
