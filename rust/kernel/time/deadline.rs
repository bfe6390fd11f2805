// SPDX-License-Identifier: GPL-2.0

//! Points in time, to compare with now.
//!
//! C header: [`include/linux/jiffies.h`](srctree/include/linux/jiffies.h)

use zerocopy_derive::Immutable;

use super::{
    jiffies,
    msecs_to_jiffies,
    Jiffies,
    Msecs, //
};
use crate::prelude::*;

/// The longest time ahead which can be told from the past, in jiffies.
const MAX_AHEAD: Jiffies = Jiffies::MAX / 2;

/// A point in time, with the resolution of a jiffy.
///
/// It has to be looked at before half of the range of the counter has passed since it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(transparent)]
pub struct Deadline(Jiffies);

impl Deadline {
    /// The point in time which is `msecs` milliseconds from now.
    #[inline]
    pub fn after(msecs: Msecs) -> Self {
        Self::after_jiffies(msecs_to_jiffies(msecs))
    }

    /// The point in time which is `ahead` jiffies from now.
    #[inline]
    pub fn after_jiffies(ahead: Jiffies) -> Self {
        Self::at(jiffies(), ahead)
    }

    /// Whether the point in time is reached.
    #[inline]
    pub fn passed(&self) -> bool {
        self.remaining() == 0
    }

    /// The time until the point is reached, in jiffies; 0 when it is.
    #[inline]
    pub fn remaining(&self) -> Jiffies {
        self.remaining_at(jiffies())
    }

    /// The point in time which is `ahead` jiffies from `now`.
    #[inline]
    fn at(now: Jiffies, ahead: Jiffies) -> Self {
        Self(now.wrapping_add(ahead.min(MAX_AHEAD)))
    }

    /// The time from `now` until the point is reached, in jiffies; 0 when it is.
    #[inline]
    fn remaining_at(&self, now: Jiffies) -> Jiffies {
        let ahead = self.0.wrapping_sub(now);

        if ahead <= MAX_AHEAD {
            ahead
        } else {
            0
        }
    }
}

#[kunit_tests(xen_netback_rs_deadline)]
mod tests {
    use super::*;

    #[test]
    fn passes_at_the_point() {
        let deadline = Deadline::at(1000, 10);

        assert_eq!(deadline.remaining_at(1000), 10);
        assert_eq!(deadline.remaining_at(1009), 1);
        assert_eq!(deadline.remaining_at(1010), 0);
        assert_eq!(deadline.remaining_at(1011), 0);
    }

    #[test]
    fn counter_wraps_around() {
        let deadline = Deadline::at(Jiffies::MAX - 1, 5);

        assert_eq!(deadline.remaining_at(Jiffies::MAX - 1), 5);
        assert_eq!(deadline.remaining_at(Jiffies::MAX), 4);
        assert_eq!(deadline.remaining_at(0), 3);
        assert_eq!(deadline.remaining_at(3), 0);
        assert_eq!(deadline.remaining_at(4), 0);
    }

    #[test]
    fn longest_time_is_limited() {
        let deadline = Deadline::at(7, Jiffies::MAX);

        assert_eq!(deadline.remaining_at(7), MAX_AHEAD);
        assert_eq!(deadline.remaining_at(MAX_AHEAD + 7), 0);
    }

    #[test]
    fn time_goes_by() {
        let start = jiffies();
        let deadline = Deadline::after(20);

        assert!(!Deadline::after(10_000).passed());
        crate::time::delay::fsleep(crate::time::Delta::from_millis(60));
        assert!(deadline.passed());
        assert!(jiffies().wrapping_sub(start) >= msecs_to_jiffies(20));
        assert!(Deadline::after(0).passed());
    }
}
