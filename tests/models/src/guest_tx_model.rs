// SPDX-License-Identifier: GPL-2.0

//! From the guest: NAPI sleeps when the ring is empty, and asks for an event before.
//!
//! - Whatever the guest posts is answered, though it posts one request at a time and notifies only when
//!   it is asked to.
//! - Each event is acknowledged, once.
//! - A request is read after the index that announces it; a response is visible before its index.
//!
//! Each of these changes made at least one of the models fail:
//!
//! - `Poller::work`: not asking for an event when the ring is empty.
//! - `Poller::poll`: not acknowledging the event.
//! - `BackRing::request_event`: not looking again after asking; no barrier between asking and looking.
//! - `BackRing::unconsumed`: no barrier after the index. `BackRing::publish`: no barrier before it; none
//!   after it.
//! - `Interrupt::interrupt`: scheduling NAPI before the event is handed over.

use crate::machine::{
    explore,
    Machine,
    Wiring, //
};

/// Posts requests `batch` at a time, and waits for the answers.
fn served(wiring: Wiring, batch: u16, batches: u16, preemptions: usize) {
    explore(preemptions, move || {
        let mut machine = Machine::new(wiring);
        machine.up();
        machine.begin();
        for first in (0..batches).map(|number| number * batch) {
            for id in first..first + batch {
                machine.tx.post(id);
            }
            for id in first..first + batch {
                assert_eq!(machine.tx.wait(), id);
            }
        }
        machine.end();
    });
}

#[test]
fn one_request_is_served() {
    served(Wiring::Shared, 1, 1, 3);
}

#[test]
fn requests_one_at_a_time_are_served() {
    served(Wiring::Shared, 1, 2, 2);
    served(Wiring::Split, 1, 2, 2);
}

/// With a budget of one packet, a poll ends before the ring is empty.
#[test]
fn more_than_the_budget_is_served() {
    served(Wiring::Shared, 2, 1, 2);
}
