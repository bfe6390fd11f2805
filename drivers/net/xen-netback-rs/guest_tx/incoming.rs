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
        Fatal,
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
        self,
        TxReply,
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

/// What becomes of a request that was taken.
struct Response {
    /// What is put into the ring, if the copy succeeds.
    entry: TxReply,
    /// The number in the batch of the packet whose chain the request belongs to, if one is copied.
    packet: Option<u16>,
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
/// # Invariants
///
/// - `responses` has one entry for every request taken and not answered, in ring order. They are the first ones
///   in `inbox`.
/// - Between two rounds every request that was taken is answered.
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
    batch: CopyBatch<Unshared, Packet>,
    responses: FixedVec<Response>,
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
        Ok(Self {
            ring,
            port,
            shared,
            netdev: netdev.device(),
            pools: Pools::new(netdev)?,
            inbox: FixedVec::new(slots)?,
            segments: FixedVec::new(parse::MAX_SEGMENTS)?,
            batch: CopyBatch::new(domid, BATCH, OPS, BYTES)?,
            responses: FixedVec::new(slots)?,
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
        let taken = self.take_chains(cx, limit);
        self.copy();
        self.answer();
        let bytes = self.deliver(cx);
        taken.map(|round| Round { bytes, ..round })
    }

    /// Takes what the inbox has and a batch can hold. Nothing of it is passed on yet.
    fn take_chains(&mut self, cx: &mut napi::Context<'_>, limit: usize) -> Result<Round, Fault> {
        let mut round = Round {
            chains: 0,
            bytes: 0,
            limited: None,
        };
        while self.responses.len() < self.inbox.len()
            && round.chains < limit
            && !self.batch.is_full()
        {
            round.limited = self.take_chain(cx)?;
            if round.limited.is_some() {
                break;
            }
            round.chains = round.chains.saturating_add(1);
        }
        Ok(round)
    }

    /// Does what the next chain asks for, and takes its requests, unless it is a packet that has to wait: returns
    /// how long.
    fn take_chain(&mut self, cx: &mut napi::Context<'_>) -> Result<Option<Jiffies>, Fatal> {
        let start = self.responses.len();
        let slots = self.inbox.get(start..).unwrap_or_default();
        let parsed = parse::parse(slots, self.fatal_slots)?;
        let (status, packet) = match &parsed.content {
            Content::Packet(packet) => {
                if let Err(wait) = self.netdev.data().rate.take(packet.len) {
                    return Ok(Some(wait));
                }
                match self.prepare(cx, &parsed, packet) {
                    Some(number) => (TxStatus::Okay, Some(number)),
                    None => (TxStatus::Error, None),
                }
            }
            Content::Multicast(change) => match self.netdev.data().filter.change(*change) {
                Ok(()) => (TxStatus::Okay, None),
                Err(_) => {
                    self.shared.stats.tx_multicast_full.add(1);
                    (TxStatus::Error, None)
                }
            },
            Content::Rejected(rejected) => {
                let stats = &self.shared.stats;
                match rejected {
                    Rejected::TooManySlots => stats.tx_too_many_slots.add(1),
                    Rejected::SizeOverflow => stats.tx_size_overflow.add(1),
                    Rejected::Runt => stats.tx_runt.add(1),
                }
                (TxStatus::Error, None)
            }
        };
        let slots = self.inbox.get(start..).unwrap_or_default();
        for entry in parsed.replies(slots, status) {
            // There is room for as many responses as the ring has requests.
            let _ = self.responses.push(Response { entry, packet });
        }
        // At most the size of the ring.
        self.ring.consume(parsed.slots() as u32);
        Ok(None)
    }

    /// Prepares the copy of the next chain's packet, if there is memory for it. Returns its number in the batch.
    fn prepare(
        &mut self,
        cx: &mut napi::Context<'_>,
        parsed: &Parsed,
        packet: &Packet,
    ) -> Option<u16> {
        let slots = self.inbox.get(self.responses.len()..).unwrap_or_default();
        self.segments.clear();
        parsed.segments(slots).for_each(|segment| {
            // Has room for all of a packet.
            let _ = self.segments.push(Segment {
                gref: Ref(segment.gref),
                offset: segment.offset,
                len: segment.len,
            });
        });
        // CAST: At most `BATCH`.
        let number = self.batch.len() as u16;
        let skb = self.pools.allocate(cx, packet.len.into(), &self.segments);
        let pushed = skb.map(|skb| {
            let segments = self.segments.iter().copied();
            self.batch.push(skb, *packet, segments)
        });
        match pushed {
            Ok(Ok(())) => Some(number),
            _ => {
                self.shared.stats.tx_no_memory.add(1);
                None
            }
        }
    }

    /// Copies the packets over.
    fn copy(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        trace::copy(
            &self.netdev,
            self.shared.index,
            false,
            self.batch.len(),
            self.batch.operations(),
        );
        self.batch.copy();
        self.shared
            .stats
            .tx_copy_calls
            .add(self.batch.take_hypercalls());
    }

    /// Answers all that was taken. Nothing of the guest's memory is referred to any more.
    fn answer(&mut self) {
        self.inbox.drop_front(self.responses.len());
        for Response { mut entry, packet } in self.responses.drain() {
            if packet.is_some_and(|packet| self.batch.has_failed(packet.into())) {
                entry = wire::tx_failed(entry);
            }
            self.ring.respond(netif::TxReply(entry));
        }
        self.shared.tx_position.set(self.ring.position());
        if self.ring.publish() {
            self.port.notify();
            self.shared.stats.tx_notifications.add(1);
        }
    }

    /// Passes the packets that came over to the stack; returns how many bytes they have.
    fn deliver(&mut self, cx: &mut napi::Context<'_>) -> u64 {
        let stats = &self.shared.stats;
        let mut packets: u64 = 0;
        let mut bytes: u64 = 0;
        // Who sends it on takes the number for the flow's: the only queue would make one flow of all.
        let several = self.netdev.real_queues() > 1;
        let alone = self.batch.len() == 1;
        for copied in self.batch.submit() {
            let packet = copied.meta;
            if copied.failed {
                stats.tx_copy_failed.add(1);
                copied.buffer.drop_any(DropReason::CopyFault);
                continue;
            }
            match offload::describe(cx, copied.buffer, &packet, stats) {
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
