// SPDX-License-Identifier: GPL-2.0

//! How a packet is laid out over the slots of the ring to the guest.
//!
//! A [`Plan`] is the only source of this: the queue waits for [`Plan::slots`] requests and then
//! executes [`Plan::steps`], one step for each request, in ring order.

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
        Self(u16::try_from(wanted).map_or(Self::MAX, |wanted| wanted.min(Self::MAX)))
    }

    /// Bytes of a page which are left for data.
    fn room(self) -> u16 {
        PAGE_SIZE.saturating_sub(self.0)
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
/// `data_slots` is the least number of pages, each with `headroom`, which hold the packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    packet: Packet,
    headroom: Headroom,
    data_slots: u32,
}

impl Plan {
    pub(crate) fn new(packet: Packet, headroom: Headroom) -> Result<Self, Unsendable> {
        let room = u32::from(headroom.room());
        let data_slots = (0..=MAX_DATA_SLOTS)
            .find(|slots| slots.saturating_mul(room) >= packet.len)
            .filter(|slots| *slots > 0)
            .ok_or(Unsendable)?;
        // INVARIANT: `find` returns the first, that is the least number.
        Ok(Self {
            packet,
            headroom,
            data_slots,
        })
    }

    /// Requests which the packet consumes: the number of [`steps`](Self::steps), at most
    /// [`MAX_SLOTS`].
    pub(crate) fn slots(&self) -> u32 {
        self.extras()
            .fold(self.data_slots, |slots, _| slots.saturating_add(1))
    }

    /// What becomes of each request, in ring order: the first data slot, the extras, the other
    /// data slots.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step> + '_ {
        let mut extras = self.extras().peekable();
        let extras = core::iter::from_fn(move || {
            let extra = extras.next()?;
            Some(Step::Extra(extra.encode(extras.peek().is_some())))
        });
        let mut data = (0..self.data_slots).map(|slot| Step::Data(self.data_slot(slot)));
        data.next().into_iter().chain(extras).chain(data)
    }

    fn extras(&self) -> impl Iterator<Item = RxExtra> {
        let Headroom(headroom) = self.headroom;
        [
            self.packet.gso.map(RxExtra::Gso),
            self.packet.hash.map(RxExtra::Hash),
            (headroom != 0).then_some(RxExtra::Xdp(headroom)),
        ]
        .into_iter()
        .flatten()
    }

    fn data_slot(&self, slot: u32) -> DataSlot {
        let room = self.headroom.room();
        let start = slot.saturating_mul(u32::from(room));
        let left = self.packet.len.saturating_sub(start);
        let first = slot == 0;
        let checksum = if first {
            self.packet.checksum
        } else {
            Checksum::Unverified
        };
        DataSlot {
            offset: self.headroom.0,
            len: u16::try_from(left).map_or(room, |left| left.min(room)),
            flags: RxFlags::new(
                checksum,
                left > u32::from(room),
                first && self.extras().next().is_some(),
            ),
        }
    }
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
    /// The response to the request `id`; `copied` says whether the guest has got the whole packet.
    pub(crate) fn response(&self, id: u16, copied: bool) -> RxSlot {
        RxResponse {
            id,
            offset: self.offset,
            flags: self.flags,
            len: copied.then_some(self.len),
        }
        .encode()
    }
}
