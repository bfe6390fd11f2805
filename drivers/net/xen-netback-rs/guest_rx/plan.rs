// SPDX-License-Identifier: GPL-2.0

//! How a packet is laid out over the slots of the ring to the guest.
//!
//! A [`Plan`] is the only source of this: the queue waits for [`Plan::slots`] requests and then
//! executes [`Plan::steps`], one step for each request, in ring order.

use core::num::NonZero;

use crate::wire::{
    Checksum,
    Gso,
    Hash,
    RxExtra,
    RxFlags,
    RxResponse,
    RxSlot,
    PAGE_SIZE, //
};

/// Data slots of one packet: frontends provide at least this many, and may drop what needs more.
const MAX_DATA_SLOTS: u32 = 18;

/// The most slots a packet can need: its data and one extra of each kind.
pub(crate) const MAX_SLOTS: u32 = MAX_DATA_SLOTS + 3;

/// The longest packet which is sent whatever the headroom is, in bytes.
const MAX_PACKET: u32 = 65535;

/// Bytes which the guest wants to have free before the data in each of its pages.
///
/// # Invariants
///
/// A packet of [`MAX_PACKET`] bytes fits into [`MAX_DATA_SLOTS`] pages with this headroom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Headroom(u16);

impl Headroom {
    const MAX: u16 = PAGE_SIZE - MAX_PACKET.div_ceil(MAX_DATA_SLOTS) as u16;

    /// Grants what is asked for, or the largest possible headroom if that is less.
    pub(crate) fn new(wanted: u32) -> Self {
        // INVARIANT: Not larger than `MAX`, which is derived from the invariant.
        // CAST: Not larger than a `u16`.
        Self(wanted.min(Self::MAX.into()) as u16)
    }

    /// The number of bytes.
    pub(crate) fn bytes(self) -> u16 {
        self.0
    }

    /// Bytes of a page which are left for data.
    fn room(self) -> NonZero<u16> {
        NonZero::new(PAGE_SIZE.saturating_sub(self.0)).unwrap_or(NonZero::<u16>::MIN)
    }
}

/// What the plan depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// Bytes of the packet.
    pub(crate) len: u32,
    pub(crate) checksum: Checksum,
    pub(crate) gso: Option<Gso>,
    pub(crate) hash: Option<Hash>,
}

/// The packet is empty, or needs more slots than a frontend has to provide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsendable;

/// The slots of one packet.
///
/// # Invariants
///
/// - `data_slots` is the least number of pages, each with `headroom`, which hold the packet; not 0.
/// - `extras` is how many the packet needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    packet: Packet,
    headroom: Headroom,
    data_slots: u32,
    extras: u32,
}

impl Plan {
    pub(crate) fn new(packet: Packet, headroom: Headroom) -> Result<Self, Unsendable> {
        let room = NonZero::<u32>::from(headroom.room());
        let filled = packet.len / room;
        let data_slots = filled.saturating_add((packet.len % room).min(1));
        if !(1..=MAX_DATA_SLOTS).contains(&data_slots) {
            return Err(Unsendable);
        }
        let extras = extras(&packet, headroom).fold(0, |count: u32, _| count.wrapping_add(1));
        // INVARIANT: The quotient, rounded up.
        Ok(Self {
            packet,
            headroom,
            data_slots,
            extras,
        })
    }

    /// Requests which the packet consumes: the number of [`steps`](Self::steps), at most
    /// [`MAX_SLOTS`].
    pub(crate) fn slots(&self) -> u32 {
        self.data_slots.saturating_add(self.extras)
    }

    /// What becomes of each request, in ring order: the first data slot, the extras, the other
    /// data slots.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step> + '_ {
        let data = |slot| Step::Data(self.data_slot(slot));
        let mut place: u32 = 0;
        let extras = extras(&self.packet, self.headroom).map(move |extra| {
            place = place.wrapping_add(1);
            Step::Extra(extra.encode(place < self.extras))
        });
        // Most packets have one slot, which is no loop so.
        (0..1)
            .map(data)
            .chain(extras)
            .chain((1..self.data_slots).map(data))
    }

    fn data_slot(&self, slot: u32) -> DataSlot {
        let room = u32::from(self.headroom.room().get());
        // Nothing wraps: `slot` is less than the quotient by which the slots were counted.
        let left = self.packet.len.wrapping_sub(slot.wrapping_mul(room));
        let first = slot == 0;
        let checksum = if first {
            self.packet.checksum
        } else {
            Checksum::Unverified
        };
        DataSlot {
            offset: self.headroom.0,
            // CAST: At most a page.
            len: left.min(room) as u16,
            flags: RxFlags::new(checksum, left > room, first && self.extras > 0),
        }
    }
}

/// What a packet needs beside its data, in the order of the ring.
fn extras(packet: &Packet, headroom: Headroom) -> impl Iterator<Item = RxExtra> {
    let gso = packet.gso.map(RxExtra::Gso);
    let hash = packet.hash.map(RxExtra::Hash);
    let xdp = (headroom.0 != 0).then_some(RxExtra::Xdp(headroom.0));
    gso.into_iter().chain(hash).chain(xdp)
}

/// What becomes of one request of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next bytes of the packet are copied into the granted page.
    Data(DataSlot),
    /// The page stays unused; the entry takes the place of the response.
    Extra(RxSlot),
}

/// A piece of the packet, at most a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DataSlot {
    /// Where the piece starts in the granted page.
    pub(crate) offset: u16,
    /// Bytes of the piece, never zero.
    pub(crate) len: u16,
    flags: RxFlags,
}

impl DataSlot {
    /// The response to the request `id`, when the guest has got the whole packet.
    pub(crate) fn response(&self, id: u16) -> RxSlot {
        RxResponse {
            id,
            offset: self.offset,
            flags: self.flags,
            len: self.len,
        }
        .encode()
    }
}
