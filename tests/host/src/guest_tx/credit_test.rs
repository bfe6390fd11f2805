// SPDX-License-Identifier: GPL-2.0

//! The bucket against the sum of what went through it.

use proptest::prelude::*;

use super::credit::*;

const MIN_BURST: u64 = 131072;
const SECOND: u64 = 1_000_000_000;

fn limited(bytes: u64, usec: u32) -> Bucket {
    let mut bucket = Bucket::new();
    assert!(bucket.set(Some(Limit::new(bytes, usec))));
    bucket
}

/// Sends packets of `size` for as long as they may go at one moment; returns how many.
fn burst(bucket: &mut Bucket, size: u16, now: u64) -> u64 {
    (0..1_000_000)
        .find(|_| bucket.take(size, now).is_err())
        .expect("there is a limit")
}

#[test]
fn nothing_waits_without_a_limit() {
    let mut bucket = Bucket::new();
    for _ in 0..100_000 {
        assert_eq!(bucket.take(u16::MAX, 0), Ok(()));
    }
}

#[test]
fn burst_is_that_of_an_interval_and_some_packets_at_least() {
    for (bytes, burst_bytes) in [
        (1, MIN_BURST),
        (1000, MIN_BURST),
        (MIN_BURST - 1, MIN_BURST),
        (MIN_BURST, MIN_BURST),
        (1_000_000, 1_000_000),
    ] {
        for size in [14, 1000, 1514, u16::MAX] {
            let sent = burst(&mut limited(bytes, 50_000), size, 7) * u64::from(size);
            assert!(sent <= burst_bytes, "{bytes} {size}: {sent}");
            let spared = u64::from(u16::MAX) + u64::from(size);
            assert!(sent + spared >= burst_bytes, "{bytes} {size}: {sent}");
        }
    }
}

#[test]
fn packets_that_take_no_time_to_mention_count() {
    // Ten of them in a nanosecond: they count as if each took one.
    let sent = burst(&mut limited(10_000_000, 1), 999, 0);
    assert!((900..=1001).contains(&sent), "{sent}");
}

#[test]
fn one_packet_of_any_size_always_goes() {
    for bytes in [1, 100, 65535, u64::MAX] {
        for usec in [1, 50_000, u32::MAX] {
            for size in [0, 1, 14, 1514, u16::MAX] {
                assert_eq!(limited(bytes, usec).take(size, 0), Ok(()));
            }
        }
    }
}

#[test]
fn small_packets_do_not_go_before_large_ones() {
    let mut bucket = limited(1000, 1000);
    burst(&mut bucket, 1, 0);
    let wait = bucket.take(1, 0);
    assert!(wait.is_err());
    assert_eq!(bucket.take(u16::MAX, 0), wait);
}

#[test]
fn a_limit_of_nothing_lets_nothing_through() {
    let never = Err(Wait(u64::MAX));
    for usec in [0, 1, 50_000, u32::MAX] {
        let mut bucket = limited(0, usec);
        assert_eq!(bucket.take(14, 0), never);
        assert_eq!(bucket.take(0, u64::MAX), never);
        // Until there is another one.
        assert!(bucket.set(Some(Limit::new(1, 1))));
        assert_eq!(bucket.take(14, 0), Ok(()));
    }
}

#[test]
fn no_time_is_no_limit() {
    let mut bucket = limited(1, 0);
    for _ in 0..100_000 {
        assert_eq!(bucket.take(u16::MAX, 5), Ok(()));
    }
}

#[test]
fn the_same_limit_again_changes_nothing() {
    let mut bucket = limited(1000, 1000);
    burst(&mut bucket, 1000, 0);
    assert!(!bucket.set(Some(Limit::new(1000, 1000))));
    assert!(bucket.take(1000, 0).is_err());
    assert!(bucket.set(Some(Limit::new(1000, 999))));
    assert!(bucket.take(1000, 0).is_ok());
    assert!(bucket.set(None));
    assert!(!bucket.set(None));
}

#[test]
fn clock_that_starts_anywhere() {
    for start in [0, 1, u64::MAX / 2, u64::MAX - 10 * SECOND] {
        let mut bucket = limited(1_000_000, 1_000_000);
        let sent = burst(&mut bucket, 1000, start);
        assert!((930..=1000).contains(&sent), "{start}: {sent}");
        // A tenth of a second later, and long after, it goes on.
        let sent = burst(&mut bucket, 1000, start + SECOND / 10);
        assert!((99..=101).contains(&sent), "{start}: {sent}");
        let sent = burst(&mut bucket, 1000, start + 5 * SECOND);
        assert!((930..=1000).contains(&sent), "{start}: {sent}");
    }
}

#[test]
fn state_shows_what_is_left() {
    let unlimited = State {
        bytes: u64::MAX,
        usec: 0,
        remaining: u64::MAX,
        exhausted: false,
    };
    assert_eq!(Bucket::new().state(9), unlimited);

    let mut bucket = limited(1_000_000, 50_000);
    let full = State {
        bytes: 1_000_000,
        usec: 50_000,
        remaining: 1_000_000,
        exhausted: false,
    };
    assert_eq!(bucket.state(0), full);
    assert_eq!(bucket.take(50_000, 0), Ok(()));
    assert_eq!(bucket.state(0).remaining, 950_000);
    assert_eq!(bucket.state(2_000_000).remaining, 990_000);
    assert_eq!(bucket.state(SECOND), full);

    assert_eq!(limited(1000, 1).state(0).remaining, MIN_BURST);
    assert_eq!(limited(0, 1).state(0).remaining, 0);
    assert_eq!(limited(1, 0).state(0).remaining, u64::MAX);
    assert!(limited(0, 1).state(0).exhausted);
    limited(u64::MAX, u32::MAX).state(0);
}

fn any_limit() -> impl Strategy<Value = (u64, u32)> {
    (
        prop_oneof![1..=2000u64, 1..=1_000_000u64, 1..=u64::MAX],
        prop_oneof![1..=1000u32, 1000..=1_000_000u32, 1..=u32::MAX],
    )
}

/// What comes into a bucket in `nanos`.
fn flow(bytes: u64, usec: u32, nanos: u64) -> u128 {
    let period = u128::from(usec) * 1000;
    u128::from(nanos) * u128::from(bytes) / period
}

/// What may go in `nanos` at most, beginning with a full bucket.
fn allowed(bytes: u64, usec: u32, nanos: u64) -> u128 {
    u128::from(bytes.max(MIN_BURST)) + flow(bytes, usec, nanos) + 1
}

proptest! {
    /// Whatever is sent whenever, no window sees more than the limit and one burst.
    #[test]
    fn no_window_has_more_than_the_limit(
        (bytes, usec) in any_limit(),
        events in proptest::collection::vec(
            (
                prop_oneof![Just(0u64), 0..1000u64, 0..10_000_000u64, 0..10 * SECOND],
                prop_oneof![0..=64u16, Just(1514), any::<u16>()],
            ),
            1..120,
        ),
    ) {
        let mut bucket = limited(bytes, usec);
        let mut now = 0;
        let mut passed = Vec::new();
        for (pause, size) in events {
            now += pause;
            let exhausted = bucket.state(now).exhausted;
            let taken = bucket.take(size, now);
            prop_assert_eq!(taken.is_err(), exhausted);
            if taken.is_ok() {
                passed.push((now, u128::from(size)));
            }
        }
        for first in 0..passed.len() {
            let mut sum = 0;
            for (at, size) in &passed[first..] {
                sum += size;
                let nanos = at - passed[first].0;
                prop_assert!(sum <= allowed(bytes, usec, nanos), "{sum} in {nanos} ns");
            }
        }
    }

    /// Who waits as long as told may go, and gets all that the limit allows, but for the rounding of
    /// a nanosecond for each packet.
    #[test]
    fn who_always_sends_gets_the_limit(
        (bytes, usec) in (1..=5_000_000u64, 1..=1_000_000u32),
        sizes in proptest::collection::vec(prop_oneof![14..=1514u16, 14..=u16::MAX], 50..200),
    ) {
        let mut bucket = limited(bytes, usec);
        let mut now: u64 = 0;
        let mut sent: u128 = 0;
        for &size in &sizes {
            if let Err(Wait(nanos)) = bucket.take(size, now) {
                prop_assert!(nanos > 0);
                if let Some(less) = nanos.checked_sub(10_000_001) {
                    prop_assert!(bucket.take(size, now + less).is_err(), "waits too long");
                }
                now += nanos;
                prop_assert!(bucket.state(now).remaining < bytes.max(MIN_BURST), "runs over");
                prop_assert_eq!(bucket.take(size, now), Ok(()));
            }
            sent += u128::from(size);
        }
        let rounding = u64::try_from(sizes.len()).expect("few");
        prop_assert!(sent <= allowed(bytes, usec, now));
        prop_assert!(sent >= flow(bytes, usec, now.saturating_sub(rounding)));
    }
}
