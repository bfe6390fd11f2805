// SPDX-License-Identifier: GPL-2.0

//! To the guest: the thread sleeps without packets, or without slots for the oldest one.
//!
//! - A packet that was sent arrives once the guest has posted the slots that it needs, though the guest
//!   posts one at a time and notifies only when it is asked to.
//! - Each event is acknowledged, once, also where one event channel serves both directions.
//!
//! Each of these changes made at least one of the models fail:
//!
//! - `Worker::wait`: asking for an event at one slot more than needed; not acknowledging the event; not
//!   saying that an event is expected; not looking whether there are packets.
//! - `BackRing::request_event`: not looking again after asking; no barrier between asking and looking.
//! - `WaitQueue::wait`: looking at the condition before the thread is in the queue.
//! - `Interrupt::interrupt`: waking the thread before the event is handed over.
//! - `Shared::send`: not waking the thread.

use loom::thread;

use crate::machine::{
    explore,
    Machine,
    Wiring, //
};

/// Memory of a small packet, in bytes.
const TRUESIZE: usize = 1000;

/// The host sends packets of `slots` slots while the guest posts and takes them.
fn arrives(wiring: Wiring, slots: u16, packets: u16, preemptions: usize) {
    explore(preemptions, move || {
        let mut machine = Machine::new(wiring);
        if wiring == Wiring::Shared {
            // Without NAPI nobody would acknowledge what the thread does not expect.
            machine.up();
        }
        machine.begin();
        let host = machine.host.clone();
        let len = usize::from(slots) * 4096;
        let sender = thread::spawn(move || host.send(packets.into(), len, TRUESIZE));
        for id in (0..packets).map(|number| number * slots) {
            for slot in id..id + slots {
                machine.rx.post(slot);
            }
            for slot in id..id + slots {
                assert_eq!(machine.rx.wait(), slot);
            }
        }
        assert_eq!(sender.join().unwrap(), 0);
        machine.end();
    });
}

/// The guest posts when the packet waits.
fn arrives_late(wiring: Wiring, slots: u16, preemptions: usize) {
    explore(preemptions, move || {
        let mut machine = Machine::new(wiring);
        if wiring == Wiring::Shared {
            machine.up();
        }
        machine.begin();
        machine.host.send(1, usize::from(slots) * 4096, TRUESIZE);
        for slot in 0..slots {
            machine.rx.post(slot);
        }
        for slot in 0..slots {
            assert_eq!(machine.rx.wait(), slot);
        }
        machine.end();
    });
}

#[test]
fn packet_arrives() {
    arrives(Wiring::Split, 1, 1, 2);
}

#[test]
fn packet_arrives_by_the_shared_channel() {
    arrives(Wiring::Shared, 1, 1, 1);
    arrives_late(Wiring::Shared, 1, 2);
}

#[test]
fn packets_arrive_one_at_a_time() {
    arrives(Wiring::Split, 1, 2, 1);
}

#[test]
fn packet_of_two_slots_arrives() {
    arrives_late(Wiring::Split, 2, 2);
    arrives_late(Wiring::Shared, 2, 1);
}
