// SPDX-License-Identifier: GPL-2.0

//! From the slots which a guest filled to the packets it means.
//!
//! The input is a private copy of the ring: every value in it is the guest's, and none changes
//! while it is looked at. What breaks the rules is either [`Rejected`], when a frontend is known to
//! do it by mistake, or [`Fatal`], after which nothing on the ring can be trusted.

use crate::wire::{
    self,
    Checksum,
    Gso,
    GsoKind,
    Hash,
    HashKind,
    TxReply,
    TxRequest,
    TxSlot,
    TxStatus,
    PAGE_SIZE, //
};

/// Data slots which may follow the first one of a packet.
///
/// A packet with more is rejected, one beyond the administrator's limit is fatal.
pub(crate) const MAX_MORE_SLOTS: u32 = 18;

/// The most pieces of a packet.
pub(crate) const MAX_SEGMENTS: usize = MAX_MORE_SLOTS as usize + 1;

/// Bytes of an Ethernet header, which the first slot of a packet has to hold.
const ETHERNET_HEADER: u16 = 14;

/// What the guest asks for with one chain of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    extras: usize,
    more: usize,
    pub(crate) content: Content,
}

/// The kinds of chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Packet(Packet),
    Multicast(Multicast),
    Rejected(Rejected),
}

/// A packet to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// Bytes of the packet: the sum over its [`segments`](Parsed::segments), at least an Ethernet
    /// header.
    pub(crate) len: u16,
    first_len: u16,
    pub(crate) checksum: Checksum,
    pub(crate) gso: Option<Gso>,
    pub(crate) hash: Option<Hash>,
}

/// A change to the multicast addresses which the guest wants to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Multicast {
    Add([u8; 6]),
    Delete([u8; 6]),
}

/// Why a packet is answered with an error, and the next one is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// More slots than a packet may have, yet within the administrator's limit.
    TooManySlots,
    /// The slots hold more than the packet: its size did not fit into 16 bits.
    SizeOverflow,
    /// The first slot does not hold an Ethernet header.
    Runt,
}

/// Why the ring cannot be served any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fatal {
    /// An extra info is announced which is not on the ring.
    MissingExtra,
    /// An extra info is of a type which does not exist.
    UnknownExtra,
    /// A packet is not on the ring as a whole.
    MissingData,
    /// More slots than the administrator allows.
    TooManySlots,
    /// A slot reaches beyond its page.
    CrossesPage,
    /// A packet is to be cut into segments of no size.
    ZeroGsoSize,
    /// A packet is to be cut by rules which do not exist.
    UnknownGsoType,
}

impl Fatal {
    /// What the guest did, for the administrator.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::MissingExtra => "missing extra info",
            Self::UnknownExtra => "unknown type of extra info",
            Self::MissingData => "missing data slot",
            Self::TooManySlots => "too many slots for one packet",
            Self::CrossesPage => "slot crosses page boundary",
            Self::ZeroGsoSize => "GSO size is zero",
            Self::UnknownGsoType => "unknown GSO type",
        }
    }
}

/// A piece of a packet, in one granted page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) gref: u32,
    /// Where the piece starts in the page; it ends within the page.
    pub(crate) offset: u16,
    /// Bytes of the piece, never zero.
    pub(crate) len: u16,
}

/// Parses the first chain of `slots`, which hold what the ring had from there on.
///
/// A packet with more than `fatal_slots` data slots behind the first one is fatal. After an error,
/// nothing of the chain counts as consumed.
pub(crate) fn parse(slots: &[TxSlot], fatal_slots: u32) -> Result<Parsed, Fatal> {
    let (first, rest) = slots.split_first().ok_or(Fatal::MissingData)?;
    let first = TxRequest::decode(first);

    let mut extras = Extras::default();
    if first.flags.extra_info() {
        extras.read(rest)?;
    }
    if let Some(multicast) = extras.multicast {
        // Carries no data, whatever the first slot says.
        return Ok(Parsed {
            extras: extras.count,
            more: 0,
            content: Content::Multicast(multicast),
        });
    }

    let mut chain = Chain::new(first.size);
    if first.flags.more_data() {
        chain.read(rest.get(extras.count..).unwrap_or_default(), fatal_slots)?;
    }
    Ok(Parsed {
        extras: extras.count,
        more: chain.more,
        content: content(&first, &extras, &chain)?,
    })
}

/// Decides about a chain whose end is known.
fn content(first: &TxRequest, extras: &Extras, chain: &Chain) -> Result<Content, Fatal> {
    if let Some(rejected) = chain.rejected {
        return Ok(Content::Rejected(rejected));
    }
    if chain.left < ETHERNET_HEADER {
        return Ok(Content::Rejected(Rejected::Runt));
    }
    check_page(first.offset, chain.left)?;
    Ok(Content::Packet(Packet {
        len: first.size,
        first_len: chain.left,
        checksum: first.flags.checksum(),
        gso: extras.gso.map(check_gso).transpose()?,
        hash: extras.hash,
    }))
}

fn check_page(offset: u16, len: u16) -> Result<(), Fatal> {
    match offset.checked_add(len) {
        Some(end) if end <= PAGE_SIZE => Ok(()),
        _ => Err(Fatal::CrossesPage),
    }
}

fn check_gso((kind, size): (u8, u16)) -> Result<Gso, Fatal> {
    if size == 0 {
        return Err(Fatal::ZeroGsoSize);
    }
    let kind = GsoKind::from_wire(kind).ok_or(Fatal::UnknownGsoType)?;
    Ok(Gso { kind, size })
}

impl Parsed {
    /// Slots which the chain takes on the ring, at least one.
    pub(crate) fn slots(&self) -> usize {
        self.more.saturating_add(self.extras).saturating_add(1)
    }

    /// The pieces of a packet in order, without the empty ones; nothing if this is no packet.
    ///
    /// `slots` are those which were parsed.
    pub(crate) fn segments<'a>(&self, slots: &'a [TxSlot]) -> impl Iterator<Item = Segment> + 'a {
        let (first_len, count) = match self.content {
            Content::Packet(packet) => (packet.first_len, self.slots()),
            _ => (0, 0),
        };
        let parsed = *self;
        (0..count)
            .zip(slots)
            .filter(move |(slot, _)| parsed.is_data(*slot))
            .map(move |(slot, raw)| {
                let request = TxRequest::decode(raw);
                Segment {
                    gref: request.gref,
                    offset: request.offset,
                    len: if slot == 0 { first_len } else { request.size },
                }
            })
            .filter(|segment| segment.len != 0)
    }

    /// The answers to all slots of the chain, in ring order.
    ///
    /// `slots` are those which were parsed. What they refer to must not be used any more when the
    /// answers are published.
    pub(crate) fn replies<'a>(
        &self,
        slots: &'a [TxSlot],
        status: TxStatus,
    ) -> impl Iterator<Item = TxReply> + 'a {
        let parsed = *self;
        (0..self.slots()).zip(slots).map(move |(slot, raw)| {
            if parsed.is_data(slot) {
                wire::tx_reply(TxRequest::decode(raw).id, status)
            } else {
                wire::tx_null_reply()
            }
        })
    }

    /// The extra infos lie directly behind the first slot.
    fn is_data(&self, slot: usize) -> bool {
        slot == 0 || slot > self.extras
    }
}

/// The extra infos of a chain; of each type, the last one counts.
#[derive(Default)]
struct Extras {
    count: usize,
    gso: Option<(u8, u16)>,
    hash: Option<Hash>,
    multicast: Option<Multicast>,
}

impl Extras {
    fn read(&mut self, slots: &[TxSlot]) -> Result<(), Fatal> {
        for slot in slots {
            self.count = self.count.saturating_add(1);
            if !self.read_one(slot)? {
                return Ok(());
            }
        }
        Err(Fatal::MissingExtra)
    }

    /// Returns whether another one follows.
    fn read_one(&mut self, slot: &TxSlot) -> Result<bool, Fatal> {
        let [kind, flags, a, b, c, d, e, f, ..] = *slot;
        match kind {
            wire::EXTRA_GSO => self.gso = Some((c, u16::from_ne_bytes([a, b]))),
            wire::EXTRA_MULTICAST_ADD => {
                self.multicast = Some(Multicast::Add([a, b, c, d, e, f]));
            }
            wire::EXTRA_MULTICAST_DELETE => {
                // With both in one chain, the addition is what counts.
                if !matches!(self.multicast, Some(Multicast::Add(_))) {
                    self.multicast = Some(Multicast::Delete([a, b, c, d, e, f]));
                }
            }
            wire::EXTRA_HASH => {
                self.hash = HashKind::from_wire(a).map(|kind| Hash {
                    kind,
                    value: u32::from_ne_bytes([c, d, e, f]),
                });
            }
            // Says nothing about a packet in this direction.
            wire::EXTRA_XDP => {}
            _ => return Err(Fatal::UnknownExtra),
        }
        Ok(flags & wire::EXTRA_MORE != 0)
    }
}

/// The data slots behind the first one.
struct Chain {
    more: usize,
    /// Bytes of the packet which are in none of the slots so far, hence in the first one.
    left: u16,
    rejected: Option<Rejected>,
}

impl Chain {
    fn new(packet_len: u16) -> Self {
        Self {
            more: 0,
            left: packet_len,
            rejected: None,
        }
    }

    fn read(&mut self, slots: &[TxSlot], fatal_slots: u32) -> Result<(), Fatal> {
        for slot in slots {
            if self.more >= fatal_slots as usize {
                return Err(Fatal::TooManySlots);
            }
            let request = TxRequest::decode(slot);
            if let Err(rejected) = self.add(request.size) {
                self.rejected.get_or_insert(rejected);
            }
            self.more = self.more.saturating_add(1);
            check_page(request.offset, request.size)?;
            if !request.flags.more_data() {
                return Ok(());
            }
        }
        Err(Fatal::MissingData)
    }

    fn add(&mut self, len: u16) -> Result<(), Rejected> {
        if self.more >= MAX_MORE_SLOTS as usize {
            return Err(Rejected::TooManySlots);
        }
        self.left = self.left.checked_sub(len).ok_or(Rejected::SizeOverflow)?;
        Ok(())
    }
}
