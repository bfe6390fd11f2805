// SPDX-License-Identifier: GPL-2.0

//! The toolstack's limit on what a guest sends.

use kernel::{
    new_spinlock_irq,
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        SpinLockIrq, //
    },
    time::{
        monotonic_nanos,
        msecs_to_jiffies,
        Jiffies,
        Msecs, //
    }, //
};

use super::credit::{
    Bucket,
    Limit,
    State,
    Wait, //
};

const NANOS_PER_MSEC: u64 = 1_000_000;

/// What the guest may send, by all queues of an interface together.
#[pin_data]
pub(crate) struct Rate {
    /// Whether there is a limit, for those who ask often.
    limited: Atomic<bool>,
    #[pin]
    bucket: SpinLockIrq<Bucket>,
}

impl Rate {
    /// No limit.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            limited: Atomic::new(false),
            bucket <- new_spinlock_irq!(Bucket::new()),
        })
    }

    /// Sets another limit; returns whether it is another one, after which those who wait should ask
    /// again.
    pub(crate) fn set(&self, limit: Option<Limit>) -> bool {
        let mut bucket = self.bucket.lock();
        self.limited.store(limit.is_some(), Relaxed);
        bucket.set(limit)
    }

    /// The limit and what is left of it.
    pub(crate) fn state(&self) -> State {
        self.bucket.lock().state(monotonic_nanos())
    }

    /// Asks for a packet of `size` bytes to be received from the guest.
    ///
    /// # Errors
    ///
    /// The time, in jiffies and not 0, after which to ask again.
    #[inline]
    pub(crate) fn take(&self, size: u16) -> Result<(), Jiffies> {
        if !self.limited.load(Relaxed) {
            return Ok(());
        }
        self.take_limited(size)
    }

    #[inline(never)]
    fn take_limited(&self, size: u16) -> Result<(), Jiffies> {
        let taken = self.bucket.lock().take(size, monotonic_nanos());
        taken.map_err(|Wait(nanos)| {
            let msecs = nanos.div_ceil(NANOS_PER_MSEC);
            msecs_to_jiffies(Msecs::try_from(msecs).unwrap_or(Msecs::MAX)).max(1)
        })
    }
}
