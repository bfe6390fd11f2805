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
    backlog::{
        Gate,
        Waiting, //
    },
    copy::Outgoing,
    plan::{
        Headroom,
        Packet,
        Plan, //
    },
    stall::{
        Change,
        Reception, //
    }, //
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
    /// There was work since the last event was acknowledged.
    worked: bool,
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
            worked: false,
        }
    }

    /// Serves the guest until the thread is told to stop.
    pub(crate) fn run(mut self, thread: &kthread::Current) {
        while !thread.should_stop() {
            if self.netdev.data().is_faulty() {
                self.netdev.data().report_fault();
                self.shared.backlog.lock().set_gate(Gate::Closed);
                self.purge();
                self.shared.wait.wait(|| thread.should_stop());
            } else if let Err(overflow) = self.serve() {
                self.netdev.data().raise(&self.netdev, overflow.into());
            } else {
                self.wait(thread);
            }
        }
        self.purge();
    }

    /// Sends what the ring has slots for, and drops what is too old.
    fn serve(&mut self) -> Result<(), Overflow> {
        loop {
            let mut slots = self.outgoing.ring.unconsumed()?;
            let change = self.reception.sees(slots);
            self.apply(change);
            if self.reception.stalled_for().is_none() {
                slots = self.fill(slots);
            }
            if self.outgoing.is_empty() {
                self.miss(slots);
                return Ok(());
            }
            self.flush();
            task::cond_resched();
        }
    }

    /// Adds packets to the batch while they fit into `slots`; returns how many are left.
    fn fill(&mut self, mut slots: u32) -> u32 {
        while !self.outgoing.is_full() {
            let Some((waiting, plan)) = self.next() else {
                break;
            };
            let Some(left) = slots.checked_sub(plan.slots()) else {
                self.head = Some((waiting, plan));
                break;
            };
            slots = left;
            self.outgoing.add(waiting.skb, waiting.charge, &plan);
        }
        slots
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
        self.worked = true;
    }

    /// The oldest packet does not fit into `slots`, or there is none.
    fn miss(&mut self, slots: u32) {
        if let Some((_, plan)) = &self.head {
            let needed = plan.slots();
            if slots < needed {
                let timeout = if self.notifies {
                    params::RX_STALL_TIMEOUT_MSECS.get()
                } else {
                    0
                };
                let change = self.reception.misses(needed, timeout);
                self.apply(change);
            }
        }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::None => {}
            Change::Stalled => {
                self.shared.stats.rx_stalls.add(1);
                self.shared.backlog.lock().set_gate(Gate::Stalled);
                self.purge();
                self.netdev.data().queue_stalled(&self.netdev);
            }
            Change::Recovered => {
                self.shared.backlog.lock().set_gate(Gate::Open);
                self.netdev.data().queue_recovered(&self.netdev);
            }
        }
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
            worked,
            ..
        } = self;
        let slots = match head {
            Some((_, plan)) => Some(plan.slots()),
            None => reception.stalled_for(),
        };
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
            let ready = slots.is_some_and(|slots| outgoing.ring.request_event(slots) != Ok(false));
            if !ready {
                port.finish(Waiter::Send, core::mem::take(worked));
            }
            ready
        });
        shared.expect_event(false);
        port.finish(Waiter::Send, true);
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
            self.drop_waiting(waiting, DropReason::QueuePurge);
        }
        // A statement of its own, so that the lock is not held while a packet is dropped.
        while let Some(waiting) = { self.shared.backlog.lock().take() } {
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
