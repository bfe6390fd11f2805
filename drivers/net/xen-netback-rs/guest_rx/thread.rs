// SPDX-License-Identifier: GPL-2.0

//! The thread that brings packets to the guest.

use kernel::{
    kthread,
    net::{
        netdevice,
        skbuff::DropReason, //
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
    backlog::Waiting,
    copy::Outgoing,
    plan::{
        Headroom,
        Packet,
        Plan, //
    },
    stall::Reception, //
};
use crate::{
    interface::Interface,
    params,
    queue::Shared,
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

/// What the thread owns of a queue.
pub(crate) struct Worker {
    outgoing: Outgoing,
    port: Arc<Port>,
    shared: Arc<Shared>,
    netdev: ARef<netdevice::Device<Interface>>,
    headroom: Headroom,
    /// The frontend tells about new requests.
    notifies: bool,
    /// The oldest packet, with the plan by which it will be sent.
    head: Option<(Waiting, Plan)>,
    reception: Reception,
}

impl Worker {
    pub(crate) fn new(
        outgoing: Outgoing,
        port: Arc<Port>,
        shared: Arc<Shared>,
        netdev: ARef<netdevice::Device<Interface>>,
        headroom: Headroom,
        notifies: bool,
    ) -> Self {
        Self {
            outgoing,
            port,
            shared,
            netdev,
            headroom,
            notifies,
            head: None,
            reception: Reception::Flowing,
        }
    }

    /// Serves the guest until the thread is told to stop.
    pub(crate) fn run(mut self, thread: &kthread::Current) {
        while !thread.should_stop() {
            if self.netdev.data().is_faulty() {
                self.end(thread);
            } else if let Err(overflow) = self.serve() {
                self.netdev.data().raise(&self.netdev, overflow.into());
            } else {
                self.wait(thread);
            }
        }
        self.purge();
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

    /// Sends what the ring has slots for, and drops what is too old.
    fn serve(&mut self) -> Result<(), Overflow> {
        while !self.netdev.data().is_faulty() {
            let slots = self.outgoing.ring.unconsumed()?;
            if self.reception.sees(slots) {
                self.recover();
            }
            if self.reception.stalled_for().is_none() {
                self.fill(slots);
            }
            if self.outgoing.is_empty() {
                break;
            }
            self.flush();
            task::cond_resched();
        }
        Ok(())
    }

    /// Adds packets to the batch while they fit into `slots`.
    fn fill(&mut self, mut slots: u32) {
        while !self.outgoing.is_full() {
            let Some((waiting, plan)) = self.next() else {
                return;
            };
            let Some(left) = slots.checked_sub(plan.slots()) else {
                self.head = Some((waiting, plan));
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
            let (waiting, plan) = match self.head.take() {
                Some((waiting, plan)) => (waiting, Some(plan)),
                None => (self.shared.backlog.lock().take()?, None),
            };
            if waiting.deadline.passed() {
                self.shared.stats.rx_expired.add(1);
                self.drop_waiting(waiting, DropReason::FullRing);
                continue;
            }
            match plan.map_or_else(|| self.plan(&waiting), Some) {
                Some(plan) => return Some((waiting, plan)),
                None => {
                    self.shared.stats.rx_unsendable.add(1);
                    self.drop_waiting(waiting, DropReason::TooBig);
                }
            }
        }
    }

    fn plan(&self, waiting: &Waiting) -> Option<Plan> {
        use kernel::net::skbuff;

        let skb = &waiting.skb;
        let gso = match skb.gso() {
            None => None,
            Some(gso) => Some(Gso {
                kind: match gso.kind {
                    skbuff::GsoKind::TcpV4 => GsoKind::TcpV4,
                    skbuff::GsoKind::TcpV6 => GsoKind::TcpV6,
                    // The interface does not announce any other.
                    skbuff::GsoKind::Other => return None,
                },
                size: gso.size,
            }),
        };
        let packet = Packet {
            len: u32::try_from(skb.len()).ok()?,
            checksum: match skb.checksum() {
                skbuff::Checksum::Partial => Checksum::Blank,
                skbuff::Checksum::Unnecessary => Checksum::Valid,
                skbuff::Checksum::None | skbuff::Checksum::Complete => Checksum::Unverified,
            },
            gso,
            hash: None,
        };
        Plan::new(packet, self.headroom).ok()
    }

    /// Copies the batch to the guest, and ends its packets.
    fn flush(&mut self) {
        let stats = &self.shared.stats;
        let calls = self.outgoing.hypercalls();
        let mut charge: usize = 0;
        let (sent, notify) = self.outgoing.flush();
        if notify {
            self.port.notify();
            stats.rx_notifications.add(1);
        }
        for packet in sent {
            charge = charge.saturating_add(packet.charge);
            if packet.copied {
                stats.rx_packets.add(1);
                stats.rx_bytes.add(packet.skb.len() as u64);
                packet.skb.consume_any();
            } else {
                stats.rx_copy_failed.add(1);
                packet.skb.drop_any(DropReason::NotSpecified);
            }
        }
        stats
            .rx_copy_calls
            .add(self.outgoing.hypercalls().wrapping_sub(calls));
        self.release(charge);
        // An event that announced these requests has done its work.
        self.port.finish(Waiter::Send, true);
    }

    /// The oldest packet, which needs `slots`, does not fit.
    fn miss(&mut self, slots: u32) {
        // Of a frontend that does not tell about new requests, little can be concluded.
        let timeout = match self.notifies {
            true => params::RX_STALL_TIMEOUT_MSECS.get(),
            false => 0,
        };
        if self.reception.misses(slots, timeout) {
            self.shared.stats.rx_stalls.add(1);
            self.shared.backlog.lock().stall();
            self.purge();
            self.netdev.data().queue_stalled(&self.netdev);
        }
    }

    /// The guest, which had stalled, receives again.
    fn recover(&mut self) {
        self.shared.backlog.lock().recover();
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
            Some((_, plan)) => Some(plan.slots()),
            None => reception.stalled_for(),
        };
        let mut announced = false;
        shared.expect_event(slots.is_some());
        shared.wait.wait_timeout(timeout, || {
            if thread.should_stop() || netdev.data().is_faulty() {
                return true;
            }
            if head.is_none() && reception.stalled_for().is_none() {
                if !shared.backlog.lock().is_empty() {
                    return true;
                }
            }
            // An error is found again, and dealt with, by whoever looks next.
            announced = slots.is_some_and(|slots| outgoing.ring.request_event(slots) != Ok(false));
            if !announced {
                port.finish(Waiter::Send, false);
            }
            announced
        });
        shared.expect_event(false);
        port.finish(Waiter::Send, announced);
    }

    /// How long to sleep at most: until the oldest packet is too old, and not longer than the ring may
    /// go without being looked at.
    fn timeout(&self) -> Jiffies {
        match &self.head {
            None => Jiffies::MAX,
            Some((waiting, _)) if self.notifies => waiting.deadline.remaining(),
            Some((waiting, _)) => waiting.deadline.remaining().min(msecs_to_jiffies(POLL)),
        }
    }

    /// Drops all that waits.
    fn purge(&mut self) {
        if let Some((waiting, _)) = self.head.take() {
            self.shared.stats.rx_purged.add(1);
            self.drop_waiting(waiting, DropReason::QueuePurge);
        }
        loop {
            // A statement of its own: the lock is taken again for every packet that is dropped.
            let next = self.shared.backlog.lock().take();
            let Some(waiting) = next else {
                break;
            };
            self.shared.stats.rx_purged.add(1);
            self.drop_waiting(waiting, DropReason::QueuePurge);
        }
    }

    fn drop_waiting(&self, waiting: Waiting, reason: DropReason) {
        waiting.skb.drop_any(reason);
        self.release(waiting.charge);
    }

    fn release(&self, charge: usize) {
        self.shared.release(&self.netdev, charge);
    }
}
