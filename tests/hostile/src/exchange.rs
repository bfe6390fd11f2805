// SPDX-License-Identifier: GPL-2.0

//! Packets to the host and back.

use std::{
    io,
    time::{
        Duration,
        Instant, //
    },
};

use crate::{
    frontend::Frontend,
    ping::Ends,
    queue::{
        Outgoing,
        Slot, //
    },
};

/// Buffers that are posted on each queue.
pub const BUFFERS: u32 = 40;
/// How long a packet may take before another one is sent.
const LOST: Duration = Duration::from_millis(200);

/// Sends echo requests to the host, with at most `window` under way, until `most` have come back or until
/// `end`; returns how many have.
pub fn exchange(
    frontend: &mut Frontend,
    ends: &Ends,
    window: u32,
    most: u64,
    end: Instant,
) -> io::Result<u64> {
    const SIZE: usize = 1000;
    let queues = frontend.queues.len();
    let rings: Vec<(&str, usize)> = (0..queues).map(|queue| ("rx", queue)).collect();
    let (mut back, mut number, mut under_way) = (0, 0u32, 0);
    let mut heard = Instant::now();
    while back < most && Instant::now() < end {
        for queue in 0..queues {
            frontend.post(queue, BUFFERS, false)?;
        }
        while under_way < window {
            let queue = number as usize % queues;
            let packet = whole(ends.ping(number, SIZE));
            let Frontend {
                queues, findings, ..
            } = frontend;
            queues[queue].sent(findings);
            if !queues[queue].fits(&packet) {
                break;
            }
            queues[queue].send(&packet)?;
            frontend.publish(queue)?;
            number = number.wrapping_add(1);
            under_way += 1;
        }
        frontend.wait_rings(&rings, end.min(heard + LOST))?;
        for queue in 0..queues {
            let Frontend {
                queues, findings, ..
            } = frontend;
            for received in queues[queue].received(findings)? {
                if ends.pong(&received.frame).is_some() {
                    heard = Instant::now();
                    back += 1;
                    under_way = under_way.saturating_sub(1);
                }
            }
        }
        if heard.elapsed() >= LOST {
            heard = Instant::now();
            under_way = 0;
        }
    }
    Ok(back)
}

/// A packet in one slot.
fn whole(frame: Vec<u8>) -> Outgoing {
    Outgoing {
        slots: vec![Slot {
            data: frame,
            ..Slot::default()
        }],
        ..Outgoing::default()
    }
}
