// SPDX-License-Identifier: GPL-2.0

//! The bound on what waits for the guest.
//!
//! - The host's queue is never left stopped: whoever sends goes on once half of the limit is free.
//! - What waits never exceeds the limit, but for a packet alone.
//! - Stopping depends on the account alone: with an empty ring packets are taken in up to the limit, and
//!   with a full one the host is stopped all the same.
//!
//! Each of these changes made at least one of the models fail:
//!
//! - `Shared::send`: stopping the host after the lock is released; not stopping it.
//! - `ByteLimit::admit`: not remembering that the host is stopped; a limit one packet too high.
//! - `Worker::flush`: not giving back the memory of what was sent.

use loom::thread;

use crate::machine::{
    explore,
    Machine,
    Wiring, //
};

/// Two such packets fit, and there is no room for a third ordinary one, in bytes.
const LARGE: usize = 230 * 1024;
/// Two such packets fit, and the third, which may be an ordinary one, does not, in bytes.
const TOO_LARGE: usize = 215 * 1024;

/// The guest has posted slots for all packets.
fn flows(truesize: usize, packets: u16, preemptions: usize) {
    explore(preemptions, move || {
        let mut machine = Machine::new(Wiring::Split);
        for id in 0..packets {
            machine.rx.post(id);
        }
        machine.begin();
        machine.host.send(packets.into(), 60, truesize);
        for id in 0..packets {
            assert_eq!(machine.rx.wait(), id);
        }
        machine.end();
    });
}

/// The guest posts nothing before the host is stopped, and then one slot, which makes room enough.
fn flows_late(truesize: usize, preemptions: usize) {
    explore(preemptions, move || {
        let mut machine = Machine::new(Wiring::Split);
        machine.host.send(2, 60, truesize);
        machine.begin();
        let host = machine.host.clone();
        let sender = thread::spawn(move || host.send(1, 60, truesize));
        machine.rx.post(0);
        assert_eq!(machine.rx.wait(), 0);
        sender.join().unwrap();
        machine.end();
    });
}

#[test]
fn stopped_host_goes_on() {
    flows(LARGE, 3, 2);
}

#[test]
fn refused_packet_is_sent_later() {
    flows(TOO_LARGE, 3, 2);
}

#[test]
fn host_goes_on_when_the_guest_receives_at_last() {
    flows_late(LARGE, 1);
    flows_late(TOO_LARGE, 1);
}
