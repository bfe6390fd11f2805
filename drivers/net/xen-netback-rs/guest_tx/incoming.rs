// SPDX-License-Identifier: GPL-2.0

//! The consumer of the ring from the guest.

use kernel::{
    fixed_vec::FixedVec,
    net::{
        napi,
        netdevice,
        skbuff::{
            DropReason,
            Unshared, //
        },
        trace, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    time::Jiffies,
    xen::{
        events::Port,
        grant::{
            CopyBatch,
            Ref,
            Segment, //
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
    copy::Pools,
    offload::{
        self,
        Undescribable, //
    },
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
    shared::Shared,
    wire::{
        TxSlot,
        TxStatus, //
    }, //
};

/// Packets per copy hypercall.
const BATCH: u16 = 64;
/// Copy operations per hypercall: what a page holds, and enough for `BYTES` of large packets.
const OPS: u16 = 102;
/// Bytes after which a batch is flushed: about four of the largest packets.
const BYTES: usize = 224 << 10;

/// A chain of slots that was taken off the ring and is still to be answered.
struct Chain {
    /// Where it starts in the inbox.
    start: usize,
    parsed: Parsed,
    status: TxStatus,
}

/// What came of a round.
pub(crate) struct Round {
    /// Chains that were taken and answered: none if the ring was seen empty, or the next packet has to wait.
    pub(crate) chains: usize,
    /// Bytes of the packets that were passed on.
    pub(crate) bytes: u64,
    /// How long the next packet has to wait because of the limit on what the guest sends, if it has.
    pub(crate) limited: Option<Jiffies>,
}

/// The ring from the guest, and the packets on their way out of it.
///
/// Between two rounds every request that was taken is answered: all of a round's chains are in
/// `chains` while it lasts, and it ends by answering them.
pub(crate) struct Incoming {
    pub(crate) ring: BackRing<netif::Tx>,
    port: Arc<Port>,
    shared: Arc<Shared>,
    netdev: ARef<netdevice::Device<Interface>>,
    pools: Pools,
    /// Copies of the next requests on the ring, as many as were seen: each is read once.
    inbox: FixedVec<TxSlot>,
    /// The pieces of the packet that is being prepared.
    segments: FixedVec<Segment>,
    chains: FixedVec<Chain>,
    /// The chain's number in `chains` goes with every packet.
    batch: CopyBatch<Unshared, usize>,
    /// Packets that came over, until their requests are answered.
    arrived: FixedVec<(Unshared, Packet)>,
    /// Packets with more data slots than this behind the first are fatal.
    fatal_slots: u32,
}

impl Incoming {
    pub(crate) fn new(
        ring: BackRing<netif::Tx>,
        domid: DomId,
        port: Arc<Port>,
        shared: Arc<Shared>,
        netdev: &netdevice::Registration<Interface>,
    ) -> Result<Self> {
        let slots = ring::slots::<netif::Tx>() as usize;
        let batch = usize::from(BATCH);
        Ok(Self {
            ring,
            port,
            shared,
            netdev: netdev.device(),
            pools: Pools::new(netdev)?,
            inbox: FixedVec::new(slots)?,
            segments: FixedVec::new(parse::MAX_SEGMENTS)?,
            chains: FixedVec::new(batch)?,
            batch: CopyBatch::new(domid, BATCH, OPS, BYTES)?,
            arrived: FixedVec::new(batch)?,
            fatal_slots: params::FATAL_SKB_SLOTS.get(),
        })
    }

    /// Takes at most `limit` chains off the ring, as many as make a batch, answers them, and passes on
    /// what they held.
    ///
    /// Chains in front of one that breaks the protocol are answered all the same.
    pub(crate) fn round(
        &mut self,
        cx: &mut napi::Context<'_>,
        limit: usize,
    ) -> Result<Round, Fault> {
        let ready = self.ring.unconsumed()?;
        for ahead in self.inbox.len() as u32..ready {
            // Has room for the whole ring.
            let _ = self.inbox.push(self.ring.peek(ahead).bytes());
        }
        let outcome = self.take_chains(cx, limit);
        let chains = self.chains.len();
        self.copy();
        self.answer();
        let bytes = self.deliver(cx);
        outcome.map(|limited| Round {
            chains,
            bytes,
            limited,
        })
    }

    /// Parses the inbox into chains, and prepares the copies. Returns how long the next packet has to wait,
    /// if it has.
    fn take_chains(
        &mut self,
        cx: &mut napi::Context<'_>,
        limit: usize,
    ) -> Result<Option<Jiffies>, Fault> {
        let mut start: usize = 0;
        while start < self.inbox.len()
            && self.chains.len() < limit
            && !self.chains.is_full()
            && !self.batch.is_full()
        {
            let slots = self.inbox.get(start..).unwrap_or_default();
            let mut chain = Chain {
                start,
                parsed: parse::parse(slots, self.fatal_slots)?,
                status: TxStatus::Error,
            };
            if let Content::Packet(packet) = &chain.parsed.content {
                if let Err(wait) = self.netdev.data().rate.take(packet.len) {
                    return Ok(Some(wait));
                }
            }
            if self.prepare(cx, start, &chain.parsed) {
                chain.status = TxStatus::Okay;
            }
            start = start.saturating_add(chain.parsed.slots());
            // Is not full: the loop has asked.
            let _ = self.chains.push(chain);
        }
        Ok(None)
    }

    /// Does what one chain asks for: prepares the copy of its packet, or changes the guest's multicast
    /// addresses. Returns whether that was possible.
    fn prepare(&mut self, cx: &mut napi::Context<'_>, start: usize, parsed: &Parsed) -> bool {
        let stats = &self.shared.stats;
        let packet = match &parsed.content {
            Content::Packet(packet) => packet,
            Content::Multicast(change) => {
                let changed = self.netdev.data().filter.change(*change);
                if changed.is_err() {
                    stats.tx_multicast_full.add(1);
                }
                return changed.is_ok();
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
        self.segments.clear();
        parsed.segments(slots).for_each(|segment| {
            // Has room for all of a packet.
            let _ = self.segments.push(Segment {
                gref: Ref(segment.gref),
                offset: segment.offset,
                len: segment.len,
            });
        });
        let skb = self.pools.allocate(cx, packet.len.into(), &self.segments);
        let pushed = skb.map(|skb| {
            let segments = self.segments.iter().copied();
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
        if !self.batch.is_empty() {
            trace::copy(
                &self.netdev,
                self.shared.index,
                false,
                self.batch.len(),
                self.batch.operations(),
            );
        }
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
                    copied.buffer.drop_any(DropReason::CopyFault);
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
        let mut end: usize = 0;
        for chain in self.chains.drain() {
            let slots = self.inbox.get(chain.start..).unwrap_or_default();
            // At most the size of the ring.
            self.ring.consume(chain.parsed.slots() as u32);
            for reply in chain.parsed.replies(slots, chain.status) {
                self.ring.respond(netif::TxReply(reply));
            }
            end = chain.start.saturating_add(chain.parsed.slots());
        }
        self.inbox.drop_front(end);
        self.shared.tx_position.set(self.ring.position());
        if self.ring.publish() {
            self.port.notify();
            self.shared.stats.tx_notifications.add(1);
        }
    }

    /// Passes the packets to the stack; returns how many bytes they have.
    fn deliver(&mut self, cx: &mut napi::Context<'_>) -> u64 {
        let stats = &self.shared.stats;
        let mut packets: u64 = 0;
        let mut bytes: u64 = 0;
        // Who sends it on takes the number for the flow's: the only queue would make one flow of all.
        let several = self.netdev.real_queues() > 1;
        let alone = self.arrived.len() == 1;
        for (skb, packet) in self.arrived.drain() {
            match offload::describe(cx, skb, &packet, stats) {
                Ok(mut frame) => {
                    if several {
                        frame.record_rx_queue(self.shared.index);
                    }
                    packets = packets.wrapping_add(1);
                    bytes = bytes.wrapping_add(packet.len.into());
                    // What nothing can be merged with has its receiver at work before the next packet is asked for.
                    if alone || packet.gso.is_some() {
                        cx.receive(frame);
                    } else {
                        cx.gro_receive(frame);
                    }
                }
                Err(Undescribable::NoMemory) => stats.tx_no_memory.add(1),
                Err(_) => stats.tx_bad_offload.add(1),
            }
        }
        stats.tx_packets.add(packets);
        stats.tx_bytes.add(bytes);
        bytes
    }
}
