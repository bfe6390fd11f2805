// SPDX-License-Identifier: GPL-2.0

//! The account against a model which remembers every packet.

use std::collections::{HashSet, VecDeque};

use proptest::prelude::*;

use super::byte_queue::*;

const KIB: usize = 1024;
const RESERVE: usize = 72 * KIB;

/// What the world around the account does: the packets in the queue, and the host.
struct Model {
    limit: usize,
    account: ByteLimit,
    packets: VecDeque<usize>,
    host_stopped: bool,
    stops: usize,
    wakes: usize,
    peak: usize,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Admit(usize),
    Release,
}

impl Model {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            account: ByteLimit::new(limit),
            packets: VecDeque::new(),
            host_stopped: false,
            stops: 0,
            wakes: 0,
            peak: 0,
        }
    }

    fn queued(&self) -> usize {
        self.packets.iter().sum()
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Admit(bytes) => self.admit(bytes),
            Event::Release => self.release(),
        }
        assert_eq!(self.account.queued(), self.queued());
        assert_eq!(self.account.peak(), self.peak);
        assert!(self.queued() <= self.limit || self.packets.len() == 1);
    }

    fn admit(&mut self, bytes: usize) {
        let before = self.queued();
        let fits = self.packets.is_empty() || before.saturating_add(bytes) <= self.limit;
        let stop = match self.account.admit(bytes) {
            Admission::Refuse => {
                assert!(!fits, "refused although it fits");
                assert!(
                    self.host_stopped || bytes > RESERVE || self.limit < 2 * RESERVE,
                    "an ordinary packet was refused before the host was stopped"
                );
                true
            }
            accepted => {
                assert!(fits, "accepted although it does not fit");
                self.packets.push_back(bytes);
                accepted == Admission::AcceptAndStop
            }
        };
        if fits {
            let next_fits = self.queued().saturating_add(RESERVE) <= self.limit;
            assert_eq!(stop, !next_fits, "stopped too early or too late");
        }
        if stop && !self.host_stopped {
            self.host_stopped = true;
            self.stops += 1;
        }
        self.peak = self.peak.max(self.queued());
    }

    fn release(&mut self) {
        let bytes = self.packets.pop_front().expect("a packet is queued");
        let wake = self.account.release(bytes);
        let due = self.host_stopped && self.queued() <= self.limit / 2;
        assert_eq!(wake, due, "woken too early, late or often");
        if wake {
            self.host_stopped = false;
            self.wakes += 1;
        }
    }

    fn drain(&mut self) {
        while !self.packets.is_empty() {
            self.apply(Event::Release);
        }
        assert!(!self.host_stopped, "the host was left stopped");
        assert_eq!(self.stops, self.wakes);
        assert_eq!(self.account.queued(), 0);
    }
}

/// Visits every state that any sequence of events leads to, and drains the queue from there.
fn explore(limit: usize, sizes: &[usize]) -> usize {
    let mut seen = HashSet::new();
    let mut paths = vec![Vec::new()];
    while let Some(path) = paths.pop() {
        let replay = || {
            let mut model = Model::new(limit);
            path.iter().for_each(|event| model.apply(*event));
            model
        };
        let mut model = replay();
        if !seen.insert((model.packets.clone(), model.host_stopped)) {
            continue;
        }
        let mut events: Vec<_> = sizes.iter().copied().map(Event::Admit).collect();
        if !model.packets.is_empty() {
            events.push(Event::Release);
        }
        for event in events {
            replay().apply(event);
            paths.push(path.iter().copied().chain([event]).collect());
        }
        model.drain();
    }
    seen.len()
}

#[test]
fn every_state_of_a_small_queue() {
    let sizes = [20 * KIB, 56 * KIB, RESERVE, 90 * KIB, 300 * KIB];
    assert!(explore(200 * KIB, &sizes) > 200);
}

#[test]
fn every_state_of_a_queue_without_reserve() {
    // Each packet stops the host.
    let sizes = [1, 5, 10, 11, RESERVE];
    assert!(explore(10, &sizes) > 40);
}

#[test]
fn limit_is_half_a_mebibyte() {
    assert_eq!(LIMIT, 512 * KIB);
}

#[test]
fn sizes_do_not_overflow() {
    let mut account = ByteLimit::new(LIMIT);
    assert_eq!(account.admit(usize::MAX), Admission::AcceptAndStop);
    assert_eq!(account.admit(1), Admission::Refuse);
    assert!(account.release(usize::MAX));
    assert_eq!(account.admit(1), Admission::Accept);
    assert_eq!(account.admit(usize::MAX), Admission::Refuse);
}

proptest! {
    #[test]
    fn any_sequence(
        events in proptest::collection::vec(
            prop_oneof![
                3 => (1..=4 * KIB).prop_map(Some),
                3 => (1..=RESERVE).prop_map(Some),
                1 => (1..=LIMIT * 2).prop_map(Some),
                6 => Just(None),
            ],
            0..400,
        )
    ) {
        let mut model = Model::new(LIMIT);
        for size in events {
            match size {
                Some(bytes) => model.apply(Event::Admit(bytes)),
                None if model.packets.is_empty() => {}
                None => model.apply(Event::Release),
            }
        }
        model.drain();
    }
}
