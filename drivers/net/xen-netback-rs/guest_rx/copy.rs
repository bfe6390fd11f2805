// SPDX-License-Identifier: GPL-2.0

//! The producer of the ring to the guest.

use kernel::{
    fixed_vec::FixedVec,
    net::skbuff::SkBuff,
    prelude::*,
    xen::{
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

use super::plan::{
    self,
    DataSlot,
    Plan,
    Step, //
};
use crate::wire::{
    RxRequest,
    RxSlot, //
};

/// Packets per flush.
const BATCH: u16 = 64;
/// Copy operations after which a batch is flushed: about two packets of 64 KiB.
const OPS: u16 = 48;

/// What becomes of a request that was taken.
enum Response {
    /// Data of the packet with this number in the batch.
    Data {
        id: u16,
        slot: DataSlot,
        packet: usize,
    },
    /// An entry that takes the place of a response.
    Extra(RxSlot),
}

/// A packet that has left for the guest.
pub(crate) struct Sent {
    pub(crate) skb: SkBuff,
    /// What the packet counts for in the backlog, in bytes.
    pub(crate) charge: usize,
    /// The guest has got all of it.
    pub(crate) copied: bool,
}

/// The ring to the guest, and the packets on their way into it.
///
/// # Invariants
///
/// `responses` has one entry for every request taken and not answered, in ring order. A packet's
/// requests are taken all or none.
pub(crate) struct Outgoing {
    pub(crate) ring: BackRing<netif::Rx>,
    batch: CopyBatch<SkBuff, usize>,
    responses: FixedVec<Response>,
    segments: FixedVec<Segment>,
    sent: FixedVec<Sent>,
}

impl Outgoing {
    pub(crate) fn new(ring: BackRing<netif::Rx>, domid: DomId) -> Result<Self> {
        Ok(Self {
            ring,
            batch: CopyBatch::new(domid, OPS, BATCH)?,
            responses: FixedVec::new(ring::SLOTS as usize)?,
            segments: FixedVec::new(plan::MAX_SLOTS as usize)?,
            sent: FixedVec::new(BATCH.into())?,
        })
    }

    /// Whether nothing can be added before [`Outgoing::flush`].
    pub(crate) fn is_full(&self) -> bool {
        self.batch.is_full()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    pub(crate) fn hypercalls(&self) -> u64 {
        self.batch.hypercalls()
    }

    /// Executes `plan` for `skb`, which counts for `charge`. The ring must have `plan.slots()`
    /// requests, and the batch must not be full.
    pub(crate) fn add(&mut self, skb: SkBuff, charge: usize, plan: &Plan) {
        let packet = self.batch.len();
        self.segments.clear();
        for step in plan.steps() {
            let request = RxRequest::decode(&self.ring.take().0);
            let response = match step {
                Step::Data(slot) => {
                    // The capacities of both lists are those of a plan and of the ring.
                    let _ = self.segments.push(Segment {
                        gref: Ref(request.gref),
                        offset: slot.offset,
                        len: slot.len,
                    });
                    Response::Data {
                        id: request.id,
                        slot,
                        packet,
                    }
                }
                Step::Extra(entry) => Response::Extra(entry),
            };
            let _ = self.responses.push(response);
        }
        let _ = self.batch.push(skb, charge, self.segments.iter().copied());
    }

    /// Copies and answers everything; returns the packets, and whether the guest wants to be notified.
    pub(crate) fn flush(&mut self) -> (impl Iterator<Item = Sent> + '_, bool) {
        for copied in self.batch.submit() {
            let _ = self.sent.push(Sent {
                skb: copied.buffer,
                charge: copied.meta,
                copied: !copied.failed,
            });
        }
        for response in self.responses.drain() {
            let entry = match response {
                Response::Data { id, slot, packet } => {
                    let copied = self.sent.get(packet).is_some_and(|sent| sent.copied);
                    slot.response(id, copied)
                }
                Response::Extra(entry) => entry,
            };
            self.ring.respond(netif::RxEntry(entry));
        }
        let notify = self.ring.publish();
        (self.sent.drain(), notify)
    }
}
