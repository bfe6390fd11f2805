// SPDX-License-Identifier: GPL-2.0

//! How a player has room on its rings, whatever it has done to them.

use std::{
    io,
    time::{
        Duration,
        Instant, //
    },
};

use super::Player;
use crate::{
    frontend::Frontend,
    queue::Outgoing, //
};

/// How long it may take to make room for a packet, or for an answer, before the frontend goes on without; and the
/// same when the frontend has made its ring what it is.
const ROOM: Duration = Duration::from_secs(1);
const NO_ROOM: Duration = Duration::from_millis(5);
impl Player<'_> {
    /// Publishes the packets that wait for others.
    pub(super) fn publish(&mut self, queue: usize) {
        if let Some(waiting) = self.waiting.get_mut(queue) {
            *waiting = 0;
        }
        // A port that the other end has closed is no error.
        let _ = self.frontend.publish(queue);
    }

    pub(super) fn collect(&mut self, queue: usize) -> io::Result<()> {
        self.publish(queue);
        let Frontend {
            queues, findings, ..
        } = &mut *self.frontend;
        queues[queue].sent(findings);
        queues[queue].received(findings)?;
        Ok(())
    }

    /// How long to wait for an answer.
    pub(super) fn patience(&self) -> Duration {
        if self.lied {
            NO_ROOM
        } else {
            ROOM
        }
    }

    /// Waits until a packet fits on the ring; returns whether it does.
    pub(super) fn make_tx_room(&mut self, queue: usize, packet: &Outgoing) -> io::Result<bool> {
        let end = Instant::now() + self.patience();
        while !self.frontend.queues[queue].fits(packet) {
            let before = self.frontend.queues[queue].tx_rules.cons;
            self.collect(queue)?;
            let ring = &mut self.frontend.queues[queue];
            if ring.fits(packet) {
                break;
            }
            let nothing_new = ring.tx_rules.cons == before;
            let lost = ring.has_slots(packet) || ring.tx.responses() != before;
            if self.lied && nothing_new && lost {
                // What is there cannot be read, or was not the answer to what the books say.
                ring.resume();
                return Ok(ring.fits(packet));
            }
            if Instant::now() > end {
                return Ok(false);
            }
            self.frontend.wait_rings(&[("tx", queue)], end)?;
        }
        Ok(true)
    }

    /// Reads what has come, if there is no room for another buffer.
    pub(super) fn make_rx_room(&mut self, queue: usize) -> io::Result<()> {
        if self.frontend.queues[queue].has_room() {
            return Ok(());
        }
        self.collect(queue)?;
        let ring = &mut self.frontend.queues[queue];
        if self.lied && !ring.has_room() && ring.rx.responses() != ring.rx_rules.cons {
            ring.resume();
        }
        Ok(())
    }
}
