// SPDX-License-Identifier: GPL-2.0

//! The guest goes away while everybody is at work.
//!
//! - Disconnecting ends: NAPI, the thread and the interrupts do.
//! - No packet is left, none is lost without a reason, and the ring pages are given back.
//! - Whoever was stopped from sending goes on.
//! - While the interface is down nothing is polled, and nothing is forgotten.
//!
//! Each of these changes made at least one of the models fail:
//!
//! - `Queue::drop`: leaving the backlog open.
//! - `Worker::run`: not dropping what waits at the end. `Worker::wait`: sleeping though the thread is to
//!   stop.
//! - `Shared::send`: stopping the host after the lock is released.
//! - `Queue::up`: not scheduling NAPI.

use loom::thread;

use crate::machine::{
    explore,
    Machine,
    Wiring, //
};

/// Two such packets fit, and there is no room for a third, in bytes.
const LARGE: usize = 230 * 1024;

/// The host sends more than the queue takes, to a guest that receives nothing.
#[test]
fn while_the_host_sends() {
    explore(2, || {
        let mut machine = Machine::new(Wiring::Shared);
        machine.begin();
        let host = machine.host.clone();
        let sender = thread::spawn(move || host.send(3, 60, LARGE));
        machine.disconnect();
        sender.join().unwrap();
        loom::stop_exploring();
    });
}

/// The guest posts and notifies on both rings, and nobody knows how far it came.
#[test]
fn while_the_guest_posts() {
    explore(2, || {
        let mut machine = Machine::new(Wiring::Shared);
        machine.up();
        machine.host.send(1, 60, LARGE);
        machine.begin();
        let (mut tx, mut rx) = machine.rings();
        let guest = thread::spawn(move || {
            tx.post(0);
            rx.post(0);
        });
        machine.disconnect();
        guest.join().unwrap();
        loom::stop_exploring();
    });
}

/// The interface was down while the guest sent, and what it sent is served all the same.
#[test]
fn down_and_up() {
    explore(2, || {
        let mut machine = Machine::new(Wiring::Shared);
        machine.up();
        machine.down();
        machine.begin();
        machine.tx.post(0);
        machine.up();
        assert_eq!(machine.tx.wait(), 0);
        machine.end();
    });
}
