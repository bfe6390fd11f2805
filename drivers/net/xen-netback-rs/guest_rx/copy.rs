// SPDX-License-Identifier: GPL-2.0

//! The producer of the ring to the guest.

use kernel::{
    fixed_vec::FixedVec,
    net::skbuff::SkBuff,
    prelude::*,
    xen::{
        grant::{
            Copied,
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
    backlog::Charge,
    plan::{
        self,
        Plan,
        Step, //
    }, //
};
use crate::wire::{
    self,
    RxRequest,
    RxSlot, //
};

/// Packets per flush.
const BATCH: u16 = 64;
/// Copy operations per hypercall: what a page holds, and enough for `BYTES` of large packets.
const OPS: u16 = 102;
/// Bytes after which a batch is flushed: about two of the largest packets.
const BYTES: usize = 112 << 10;

/// What becomes of a request that was taken.
struct Response {
    /// What is put into the ring, if the copy succeeds.
    entry: RxSlot,
    /// The number in the batch of the packet whose data it is about; extras have none.
    packet: Option<u16>,
}

/// The ring to the guest, and the packets on their way into it.
///
/// # Invariants
///
/// `responses` has one entry for every request taken and not answered, in ring order. A packet's
/// requests are taken all or none.
pub(crate) struct Outgoing {
    pub(crate) ring: BackRing<netif::Rx>,
    batch: CopyBatch<SkBuff, Charge>,
    responses: FixedVec<Response>,
}

impl Outgoing {
    pub(crate) fn new(ring: BackRing<netif::Rx>, domid: DomId) -> Result<Self> {
        // A guest that posts all it can receives every packet.
        const { assert!(plan::MAX_SLOTS <= ring::slots::<netif::Rx>()) };
        Ok(Self {
            ring,
            batch: CopyBatch::new(domid, BATCH, OPS, BYTES)?,
            responses: FixedVec::new(ring::slots::<netif::Rx>() as usize)?,
        })
    }

    /// Whether nothing can be added before [`Outgoing::flush`].
    pub(crate) fn is_full(&self) -> bool {
        self.batch.is_full()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Packets added.
    pub(crate) fn packets(&self) -> usize {
        self.batch.len()
    }

    /// Copy operations for them.
    pub(crate) fn operations(&self) -> usize {
        self.batch.operations()
    }

    /// Copy hypercalls made since the last call.
    pub(crate) fn take_hypercalls(&mut self) -> u64 {
        self.batch.take_hypercalls()
    }

    /// Executes `plan` for `skb`, which counts for `charge`. The ring must have `plan.slots()`
    /// requests, and the batch must not be full.
    pub(crate) fn add(&mut self, skb: SkBuff, charge: Charge, plan: &Plan) {
        // CAST: At most `BATCH`.
        let packet = self.batch.len() as u16;
        let Self {
            ring,
            batch,
            responses,
        } = self;
        // There is room for as many responses as the ring has requests.
        let segments = plan.steps().filter_map(|step| match step {
            Step::Data(slot) => {
                let request = RxRequest::decode(&ring.take().0);
                let _ = responses.push(Response {
                    entry: slot.response(request.id),
                    packet: Some(packet),
                });
                Some(Segment {
                    gref: Ref(request.gref),
                    offset: slot.offset,
                    len: slot.len,
                })
            }
            Step::Extra(entry) => {
                ring.consume(1);
                let _ = responses.push(Response {
                    entry,
                    packet: None,
                });
                None
            }
        });
        // The batch is not full.
        let _ = batch.push(skb, charge, segments);
    }

    /// Copies and answers everything; returns the packets, and whether the guest wants to be notified.
    pub(crate) fn flush(&mut self) -> (impl Iterator<Item = Copied<SkBuff, Charge>> + '_, bool) {
        self.batch.copy();
        for Response { mut entry, packet } in self.responses.drain() {
            if packet.is_some_and(|packet| self.batch.has_failed(packet.into())) {
                entry = wire::rx_failed(entry);
            }
            self.ring.respond(netif::RxEntry(entry));
        }
        let notify = self.ring.publish();
        (self.batch.submit(), notify)
    }
}
