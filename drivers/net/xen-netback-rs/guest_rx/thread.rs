// SPDX-License-Identifier: GPL-2.0

//! The thread that brings packets to the guest.

use kernel::{
    bottom_half,
    kthread,
    net::{
        netdevice,
        skbuff::DropReason,
        trace, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    task,
    time::{
        msecs_to_jiffies,
        Jiffies,
        Msecs, //
    },
    xen::{
        events::{
            Port,
            Waiter, //
        },
        ring::Overflow, //
    }, //
};

use super::{
    backlog::{
        Charge,
        Taken,
        Waiting, //
    },
    copy::Outgoing,
    plan::{
        Packet,
        Plan, //
    },
    stall::Reception, //
};
use crate::{
    interface::Interface,
    negotiate::{
        Agreement,
        Offloads, //
    },
    params,
    shared::Shared,
    wire::{
        Checksum,
        Gso,
        GsoKind, //
    }, //
};

/// How often the ring of a frontend that does not tell about new requests is looked at, in
/// milliseconds.
const POLL: Msecs = 30;

/// How long to wait for another attempt to report a fault, in milliseconds.
const REPORT_PAUSE: Msecs = 10;

/// Whether there may be more to send than what a batch could take.
struct More(bool);

/// What the thread owns of a queue.
pub(crate) struct Worker {
    outgoing: Outgoing,
    port: Arc<Port>,
    shared: Arc<Shared>,
    netdev: ARef<netdevice::Device<Interface>>,
    /// What the frontend has agreed to receive.
    offloads: Offloads,
    /// The frontend tells about new requests.
    notifies: bool,
    /// The oldest packet, and the slots that it needs.
    head: Option<(Waiting, u32)>,
    /// What follows, taken off the backlog all at once so that it is not locked for each of them.
    taken: Taken,
    reception: Reception,
}

impl Worker {
    pub(crate) fn new(
        outgoing: Outgoing,
        port: Arc<Port>,
        shared: Arc<Shared>,
        netdev: ARef<netdevice::Device<Interface>>,
        agreement: &Agreement,
    ) -> Self {
        Self {
            outgoing,
            port,
            shared,
            netdev,
            offloads: agreement.offloads,
            notifies: agreement.rx_notify,
            head: None,
            taken: Taken::new(),
            reception: Reception::Flowing,
        }
    }

    /// Serves the guest until the thread is told to stop.
    pub(crate) fn run(mut self, thread: &kthread::Current) {
        while !thread.should_stop() {
            // Here, because a guest can keep every turn from sleeping.
            task::cond_resched();
            if self.netdev.data().is_faulty() {
                return self.end(thread);
            }
            match self.serve() {
                Ok(More(true)) => {}
                // No packets, or no slots for the oldest: to wait is to look first.
                Ok(More(false)) => self.wait(thread),
                Err(overflow) => self.netdev.data().raise(&self.netdev, overflow.into()),
            }
        }
    }

    /// Serves the guest no more because of a fault, and has that reported.
    fn end(&mut self, thread: &kthread::Current) {
        self.shared.backlog.lock().close();
        self.purge();
        while !thread.should_stop() && !self.netdev.data().try_report_fault() {
            let pause = msecs_to_jiffies(REPORT_PAUSE);
            self.shared
                .wait
                .wait_timeout(pause, || thread.should_stop());
        }
        self.shared.wait.wait(|| thread.should_stop());
    }

    /// Sends a batch of what the ring has slots for, and drops what is too old.
    fn serve(&mut self) -> Result<More, Overflow> {
        let slots = self.outgoing.ring.unconsumed()?;
        if self.reception.sees(slots) {
            self.recover();
        }
        if self.reception.stalled_for().is_none() {
            self.fill(slots);
        }
        let more = More(self.outgoing.is_full());
        if !self.outgoing.is_empty() {
            self.flush();
        }
        Ok(more)
    }

    /// Adds packets to the batch while they fit into `slots`.
    fn fill(&mut self, mut slots: u32) {
        while !self.outgoing.is_full() {
            let Some((waiting, plan)) = self.next() else {
                return;
            };
            let Some(left) = slots.checked_sub(plan.slots()) else {
                self.head = Some((waiting, plan.slots()));
                self.miss(plan.slots());
                return;
            };
            slots = left;
            self.reception.fits();
            self.outgoing.add(waiting.skb, waiting.charge, &plan);
        }
    }

    /// Takes the oldest packet that is not too old and can be sent at all.
    fn next(&mut self) -> Option<(Waiting, Plan)> {
        loop {
            // What did not fit is planned anew: the guest may have asked for another headroom meanwhile.
            let waiting = match self.head.take() {
                Some((waiting, _)) => waiting,
                None => self.take()?,
            };
            if waiting.deadline.passed() {
                self.expire(waiting);
            } else if let Some(plan) = self.plan(&waiting) {
                return Some((waiting, plan));
            } else {
                self.refuse(waiting);
            }
        }
    }

    #[cold]
    fn expire(&self, waiting: Waiting) {
        self.shared.stats.rx_expired.add(1);
        trace::expire(&self.netdev, self.shared.index, waiting.skb.len());
        self.drop_waiting(waiting, DropReason::FullRing);
    }

    #[cold]
    fn refuse(&self, waiting: Waiting) {
        self.shared.stats.rx_unsendable.add(1);
        self.drop_waiting(waiting, DropReason::TooBig);
    }

    /// Takes the packet behind the head.
    fn take(&mut self) -> Option<Waiting> {
        if self.taken.is_empty() {
            self.taken = self.shared.backlog.lock().take();
        }
        self.taken.next()
    }

    fn plan(&self, waiting: &Waiting) -> Option<Plan> {
        use kernel::net::skbuff;

        let skb = &waiting.skb;
        let gso = match skb.gso() {
            None => None,
            Some(gso) => {
                let kind = match gso.kind {
                    skbuff::GsoKind::TcpV4 => GsoKind::TcpV4,
                    skbuff::GsoKind::TcpV6 => GsoKind::TcpV6,
                    // The interface does not announce any other.
                    skbuff::GsoKind::Other => return None,
                };
                // Not every packet was held against what the interface announces now: one may have waited
                // in the host since another frontend was here, or was redirected by a program (XDP).
                if !self.offloads.takes(kind) {
                    return None;
                }
                Some(Gso {
                    kind,
                    size: gso.size,
                })
            }
        };
        let packet = Packet {
            len: u32::try_from(skb.len()).ok()?,
            checksum: match skb.checksum() {
                skbuff::Checksum::Partial => Checksum::Blank,
                skbuff::Checksum::Unnecessary => Checksum::Valid,
                skbuff::Checksum::None | skbuff::Checksum::Complete => Checksum::Unverified,
            },
            gso,
            hash: self.netdev.data().hash(skb),
        };
        Plan::new(packet, self.netdev.data().headroom()).ok()
    }

    /// Copies the batch to the guest, and ends its packets.
    fn flush(&mut self) {
        let stats = &self.shared.stats;
        let mut charge = Charge::default();
        let mut packets: u64 = 0;
        let mut bytes: u64 = 0;
        trace::copy(
            &self.netdev,
            self.shared.index,
            true,
            self.outgoing.packets(),
            self.outgoing.operations(),
        );
        let (sent, notify) = self.outgoing.flush();
        if notify {
            self.port.notify();
            stats.rx_notifications.add(1);
        }
        // Freed packets are reused by those who send, and the host goes on right here when it is woken.
        let bottom_halves = bottom_half::disable();
        for packet in sent {
            charge = charge.and(packet.meta);
            if packet.failed {
                stats.rx_copy_failed.add(1);
                packet.buffer.drop_any(DropReason::CopyFault);
            } else {
                packets = packets.wrapping_add(1);
                bytes = bytes.wrapping_add(packet.buffer.len() as u64);
                packet.buffer.consume(&bottom_halves);
            }
        }
        self.release(charge);
        stats.rx_packets.add(packets);
        stats.rx_bytes.add(bytes);
        stats.rx_copy_calls.add(self.outgoing.take_hypercalls());
        let position = self.outgoing.ring.position();
        self.shared.rx_position.set(position);
        self.port.worked();
        self.port.finish(Waiter::Send);
        drop(bottom_halves);
    }

    /// The oldest packet, which needs `slots`, does not fit.
    fn miss(&mut self, slots: u32) {
        if self.reception.misses(slots, self.stall_timeout()) {
            self.shared.stats.rx_stalls.add(1);
            self.shared.backlog.lock().stall();
            self.purge();
            trace::stall(&self.netdev, self.shared.index, slots);
            self.netdev.data().queue_stalled(&self.netdev);
        }
    }

    /// The guest, which had stalled, receives again.
    fn recover(&mut self) {
        self.shared.backlog.lock().recover();
        trace::recover(&self.netdev, self.shared.index);
        self.netdev.data().queue_recovered(&self.netdev);
    }

    /// Sleeps until there may be something to do.
    fn wait(&mut self, thread: &kthread::Current) {
        let timeout = self.timeout();
        let Self {
            outgoing,
            port,
            shared,
            netdev,
            head,
            reception,
            ..
        } = self;
        let slots = match head {
            Some((_, slots)) => Some(*slots),
            None => reception.stalled_for(),
        };
        shared.expect_event(slots.is_some());
        shared.wait.wait_timeout(timeout, || {
            if thread.should_stop() || netdev.data().is_faulty() {
                return true;
            }
            if slots.is_none() && shared.backlog.lock().listen() {
                return true;
            }
            // An error is found again, and dealt with, by whoever looks next.
            let posted = slots.is_some_and(|slots| outgoing.ring.request_event(slots) != Ok(false));
            if posted {
                port.worked();
            } else {
                port.finish(Waiter::Send);
            }
            posted
        });
        shared.expect_event(false);
    }

    /// How long to sleep at most: until the oldest packet is too old or the guest has stalled, and not
    /// longer than the ring may go without being looked at.
    fn timeout(&self) -> Jiffies {
        let Some((waiting, _)) = &self.head else {
            return Jiffies::MAX;
        };
        let look = match self.notifies {
            true => self.reception.remaining(self.stall_timeout()),
            false => msecs_to_jiffies(POLL),
        };
        waiting.deadline.remaining().min(look)
    }

    /// Time without progress after which the guest has stalled; 0 for never.
    fn stall_timeout(&self) -> Msecs {
        // Of a frontend that does not tell about new requests, little can be concluded.
        match self.notifies {
            true => params::RX_STALL_TIMEOUT_MSECS.get(),
            false => 0,
        }
    }

    /// Drops all that waits.
    fn purge(&mut self) {
        let mut head = self.head.take().map(|(waiting, _)| waiting);
        while let Some(waiting) = head.take().or_else(|| self.take()) {
            self.shared.stats.rx_purged.add(1);
            self.drop_waiting(waiting, DropReason::QueuePurge);
        }
    }

    fn drop_waiting(&self, waiting: Waiting, reason: DropReason) {
        waiting.skb.drop_any(reason);
        self.release(waiting.charge);
    }

    fn release(&self, charge: Charge) {
        self.shared.release(&self.netdev, charge);
    }
}

impl Drop for Worker {
    /// Here, because a thread that is stopped before it was ever on a processor never runs.
    fn drop(&mut self) {
        self.purge();
    }
}
