// SPDX-License-Identifier: GPL-2.0

//! The consumer of the ring from the guest.

use kernel::{
    fixed_vec::FixedVec,
    net::{
        napi::{
            self,
            Progress, //
        },
        netdevice,
        page_pool::PagePool,
        skbuff::Unshared, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    xen::{
        events::{
            Port,
            Waiter, //
        },
        grant::{
            self,
            CopyBatch, //
        },
        netif,
        ring::{
            self,
            BackRing, //
        },
        DomId, //
    }, //
};

use super::{
    copy,
    offload,
    parse::{
        self,
        Content,
        Packet,
        Parsed,
        Rejected, //
    }, //
};
use crate::{
    interface::{
        Fault,
        Interface, //
    },
    params,
    queue::Shared,
    wire::{
        TxSlot,
        TxStatus, //
    }, //
};

/// Packets per copy hypercall.
const BATCH: u16 = 64;
/// Copy operations after which a batch is flushed: about four packets of 64 KiB.
const OPS: u16 = 64;
/// Unused pages kept per queue.
const POOL_PAGES: u32 = 256;

/// A chain of slots that was taken off the ring and is still to be answered.
struct Chain {
    /// Where it starts in the inbox.
    start: usize,
    parsed: Parsed,
    status: TxStatus,
}

/// What NAPI owns of a queue.
///
/// Between two polls every request that was taken is answered: all of a round's chains are in
/// `chains` while it lasts, and it ends by answering them.
pub(crate) struct Poller {
    ring: BackRing<netif::Tx>,
    port: Arc<Port>,
    shared: Arc<Shared>,
    netdev: ARef<netdevice::Device<Interface>>,
    pool: PagePool,
    /// Copies of the requests that a round works on.
    inbox: FixedVec<TxSlot>,
    chains: FixedVec<Chain>,
    /// The chain's number in `chains` goes with every packet.
    batch: CopyBatch<Unshared, usize>,
    /// Packets that came over, until their requests are answered.
    arrived: FixedVec<(Unshared, Packet)>,
    /// Packets with more data slots than this behind the first are fatal.
    fatal_slots: u32,
    /// There was work since the last event was acknowledged.
    worked: bool,
}

impl Poller {
    pub(crate) fn new(
        ring: BackRing<netif::Tx>,
        domid: DomId,
        port: Arc<Port>,
        shared: Arc<Shared>,
        netdev: &netdevice::Registration<Interface>,
    ) -> Result<Self> {
        let slots = ring::SLOTS as usize;
        let batch = usize::from(BATCH);
        Ok(Self {
            ring,
            port,
            shared,
            netdev: netdev.device(),
            pool: PagePool::for_device(netdev, POOL_PAGES, 0)?,
            inbox: FixedVec::new(slots)?,
            chains: FixedVec::new(batch)?,
            batch: CopyBatch::new(domid, OPS, BATCH)?,
            arrived: FixedVec::new(batch)?,
            fatal_slots: params::FATAL_SKB_SLOTS.get(),
            worked: false,
        })
    }

    /// Takes at most `limit` chains off the ring, as many as make a batch, and answers them. Returns their
    /// number, 0 if the ring was seen empty.
    fn round(&mut self, cx: &mut napi::Context<'_>, limit: usize) -> Result<usize, Fault> {
        let ready = self.ring.unconsumed()?;
        self.inbox.clear();
        for ahead in 0..ready {
            // Has room for the whole ring.
            let _ = self.inbox.push(self.ring.peek(ahead).0);
        }
        let outcome = self.take_chains(cx, limit);
        let taken = self.chains.len();
        self.copy();
        self.answer();
        self.deliver(cx);
        outcome.map(|()| taken)
    }

    /// Parses the inbox into chains, and prepares the copies.
    fn take_chains(&mut self, cx: &mut napi::Context<'_>, limit: usize) -> Result<(), Fault> {
        let mut start: usize = 0;
        while start < self.inbox.len()
            && self.chains.len() < limit
            && !self.chains.is_full()
            && !self.batch.is_full()
        {
            let slots = self.inbox.get(start..).unwrap_or_default();
            let parsed = parse::parse(slots, self.fatal_slots)?;
            let status = match self.prepare(cx, start, &parsed) {
                true => TxStatus::Okay,
                false => TxStatus::Error,
            };
            let chain = Chain {
                start,
                parsed,
                status,
            };
            // Is not full: the loop has asked.
            let _ = self.chains.push(chain);
            start = start.saturating_add(parsed.slots());
        }
        Ok(())
    }

    /// Prepares the copy of one chain's packet; returns whether there is one.
    fn prepare(&mut self, cx: &mut napi::Context<'_>, start: usize, parsed: &Parsed) -> bool {
        let stats = &self.shared.stats;
        let packet = match &parsed.content {
            Content::Packet(packet) => packet,
            Content::Multicast(_) => {
                stats.tx_unsupported.add(1);
                return false;
            }
            Content::Rejected(rejected) => {
                match rejected {
                    Rejected::TooManySlots => stats.tx_too_many_slots.add(1),
                    Rejected::SizeOverflow => stats.tx_size_overflow.add(1),
                    Rejected::Runt => stats.tx_runt.add(1),
                }
                return false;
            }
        };
        let slots = self.inbox.get(start..).unwrap_or_default();
        let segments = || parsed.segments(slots);
        let skb = copy::allocate(cx, &mut self.pool, packet.len.into(), segments);
        let pushed = skb.map(|skb| {
            let segments = segments().map(|segment| grant::Segment {
                gref: grant::Ref(segment.gref),
                offset: segment.offset,
                len: segment.len,
            });
            self.batch.push(skb, self.chains.len(), segments)
        });
        match pushed {
            Ok(Ok(())) => true,
            _ => {
                stats.tx_no_memory.add(1);
                false
            }
        }
    }

    /// Copies the packets over.
    fn copy(&mut self) {
        let stats = &self.shared.stats;
        let calls = self.batch.hypercalls();
        for copied in self.batch.submit() {
            let Some(chain) = self.chains.get_mut(copied.meta) else {
                continue;
            };
            match chain.parsed.content {
                Content::Packet(packet) if !copied.failed => {
                    // The capacity is that of the batch.
                    let _ = self.arrived.push((copied.buffer, packet));
                }
                _ => {
                    stats.tx_copy_failed.add(1);
                    chain.status = TxStatus::Error;
                }
            }
        }
        stats
            .tx_copy_calls
            .add(self.batch.hypercalls().wrapping_sub(calls));
    }

    /// Answers all chains. Nothing of the guest's memory is referred to any more.
    fn answer(&mut self) {
        for chain in self.chains.drain() {
            let slots = self.inbox.get(chain.start..).unwrap_or_default();
            // At most the size of the ring.
            self.ring.consume(chain.parsed.slots() as u32);
            for reply in chain.parsed.replies(slots, chain.status) {
                self.ring.respond(netif::TxReply(reply));
            }
        }
        if self.ring.publish() {
            self.port.notify();
            self.shared.stats.tx_notifications.add(1);
        }
    }

    /// Passes the packets to the stack.
    fn deliver(&mut self, cx: &mut napi::Context<'_>) {
        let stats = &self.shared.stats;
        for (skb, packet) in self.arrived.drain() {
            let len = skb.len();
            match offload::describe(cx, skb, &packet, stats) {
                Ok(frame) => {
                    stats.tx_packets.add(1);
                    stats.tx_bytes.add(len as u64);
                    cx.gro_receive(frame);
                }
                Err(_) => stats.tx_bad_offload.add(1),
            }
        }
    }

    /// Works until the ring is empty or the budget used up.
    fn work(&mut self, cx: &mut napi::Context<'_>) -> Result<Progress, Fault> {
        let budget = cx.budget();
        let mut done: usize = 0;
        loop {
            let taken = self.round(cx, budget.saturating_sub(done))?;
            self.worked |= taken > 0;
            done = done.saturating_add(taken);
            if done >= budget {
                return Ok(Progress::More);
            }
            if taken == 0 && !self.ring.request_event(1)? {
                return Ok(Progress::Idle(done));
            }
        }
    }
}

impl napi::Poller for Poller {
    fn poll(&mut self, cx: &mut napi::Context<'_>) -> Progress {
        if self.netdev.data().is_faulty() {
            // The event stays unacknowledged: the guest cannot send another one.
            return Progress::Idle(0);
        }
        match self.work(cx) {
            Ok(progress) => {
                let worked = core::mem::take(&mut self.worked);
                self.port.finish(Waiter::Receive, worked);
                progress
            }
            Err(fault) => {
                self.netdev.data().raise(&self.netdev, fault);
                Progress::Idle(0)
            }
        }
    }
}
