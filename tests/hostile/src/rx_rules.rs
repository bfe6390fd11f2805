// SPDX-License-Identifier: GPL-2.0

//! The rules for packets to the guest.

use std::{
    collections::VecDeque,
    ops::Range, //
};

use crate::{
    rules::{
        published,
        Findings,
        Rule, //
    },
    wire::{
        Extra,
        RxResponse,
        ERROR,
        ETHERNET_HEADER,
        EXTRA_INFO,
        MAX_DATA_SLOTS,
        MORE_DATA,
        PAGE,
        RX,
        RX_BLANK,
        RX_VALIDATED,
        TOEPLITZ, //
    },
};

/// What a buffer is filled with when it is posted.
pub const UNTOUCHED: u8 = 0xa5;

/// What the frontend has asked for, and so what it may get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Packets of several slots.
    pub sg: bool,
    /// Packets to be segmented, TCP over IPv4.
    pub gso_v4: bool,
    /// Packets to be segmented, TCP over IPv6.
    pub gso_v6: bool,
    /// Blank checksums, IPv4.
    pub blank_v4: bool,
    /// Blank checksums, IPv6.
    pub blank_v6: bool,
    /// Kinds of hashes, a bit for each.
    pub hashes: u32,
    /// Headrooms; none means no headroom. Two are possible while one replaces the other.
    pub headrooms: Vec<u16>,
    /// A backend of which more is asked than the least that frontends need: the least number of slots
    /// for each packet, and no status but a length and ERROR.
    pub strict: bool,
}

impl Asked {
    /// What a frontend gets that has said nothing.
    pub fn nothing(strict: bool) -> Self {
        Self {
            blank_v4: true,
            strict,
            ..Self::default()
        }
    }
}

/// A piece of a packet in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The buffer, as the index of its request.
    pub index: u32,
    /// Where the data starts in it.
    pub offset: usize,
    /// Bytes; none when the backend reports an error.
    pub len: Option<usize>,
}

impl Piece {
    /// Where the data lies.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len.unwrap_or(0)
    }
}

/// A packet as its responses describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// The flags of its first slot.
    pub flags: u16,
    /// Its data.
    pub pieces: Vec<Piece>,
    /// Its extras, each with the index of the request that it took.
    pub extras: Vec<(u32, Extra)>,
}

impl Packet {
    /// Bytes of data; None when the backend reports an error.
    pub fn len(&self) -> Option<usize> {
        self.pieces.iter().map(|piece| piece.len).sum()
    }

    /// Whether there is no data.
    pub fn is_empty(&self) -> bool {
        self.len().is_none_or(|len| len == 0)
    }

    /// The slots that it took.
    pub fn slots(&self) -> usize {
        self.pieces.len() + self.extras.len()
    }

    fn headroom(&self) -> u16 {
        let headroom = |extra: &(u32, Extra)| match extra.1 {
            Extra::Xdp { headroom } => Some(headroom),
            _ => None,
        };
        self.extras.iter().find_map(headroom).unwrap_or(0)
    }
}

/// What is outstanding on a ring.
#[derive(Debug)]
pub struct RxRules {
    /// What may come.
    pub asked: Asked,
    /// Responses are read up to here.
    pub cons: u32,
    /// The ids of the requests which are not answered.
    ids: VecDeque<u16>,
}

impl RxRules {
    /// The rules of a fresh ring.
    pub fn new(asked: Asked) -> Self {
        Self {
            asked,
            cons: 0,
            ids: VecDeque::new(),
        }
    }

    /// A buffer is on the ring.
    pub fn posted(&mut self, id: u16) {
        self.ids.push_back(id);
    }

    /// Buffers that are not answered.
    pub fn outstanding(&self) -> usize {
        self.ids.len()
    }

    /// Reads what is published up to `rsp_prod`: the packets, oldest first.
    pub fn published(
        &mut self,
        rsp_prod: u32,
        mut response: impl FnMut(u32) -> [u8; 8],
        findings: &mut Findings,
    ) -> Vec<Packet> {
        let req_prod = self.cons.wrapping_add(self.ids.len() as u32);
        let mut left = published(RX.name, self.cons, rsp_prod, req_prod, findings).unwrap_or(0);
        let mut next = || {
            left = left.checked_sub(1)?;
            let index = self.cons;
            self.cons = self.cons.wrapping_add(1);
            Some((index, self.ids.pop_front()?, response(index)))
        };
        let mut packets = Vec::new();
        while let Some(first) = next() {
            let packet = Reader {
                asked: &self.asked,
                findings: &mut *findings,
                packet: Packet::default(),
            };
            packets.push(packet.read(first, &mut next));
        }
        packets
    }
}

/// One entry of the ring: its index, the id of the request that was there, and what is there now.
type Entry = (u32, u16, [u8; 8]);

struct Reader<'a> {
    asked: &'a Asked,
    findings: &'a mut Findings,
    packet: Packet,
}

impl Reader<'_> {
    /// Reads the packet that starts with `first`.
    fn read(mut self, first: Entry, next: &mut impl FnMut() -> Option<Entry>) -> Packet {
        let flags = self.data(first);
        self.packet.flags = flags;
        self.findings.check(
            flags & RX_BLANK == 0 || flags & RX_VALIDATED != 0,
            Rule::BlankNotValidated,
            || format!("flags {flags:#x}"),
        );
        let mut more_extras = flags & EXTRA_INFO != 0;
        let mut more = flags & MORE_DATA != 0;
        while more_extras || more {
            let Some(entry) = next() else {
                let read = self.packet.slots();
                self.findings
                    .add(Rule::PacketCut, format!("after {read} slots"));
                break;
            };
            if more_extras {
                more_extras = self.extra(entry);
            } else {
                let flags = self.data(entry);
                more = flags & MORE_DATA != 0;
                self.findings
                    .check(flags & EXTRA_INFO == 0, Rule::ExtraNotFirst, || {
                        format!("in slot {}", self.packet.slots())
                    });
            }
        }
        self.locate();
        self.whole();
        self.packet
    }

    /// Reads a slot with data; returns its flags.
    fn data(&mut self, (index, id, bytes): Entry) -> u16 {
        let response = RxResponse::decode(bytes);
        let RxResponse {
            offset,
            flags,
            status,
            ..
        } = response;
        self.findings.check(response.id == id, Rule::RxId, || {
            format!("{} at {index} instead of {id}", response.id)
        });
        let known = RX_VALIDATED | RX_BLANK | MORE_DATA | EXTRA_INFO;
        self.findings
            .check(flags & !known == 0, Rule::RxFlags, || format!("{flags:#x}"));
        self.findings.check(
            status >= 0 || status == ERROR || !self.asked.strict,
            Rule::RxStatus,
            || format!("{status}"),
        );
        let len = usize::try_from(status).ok();
        self.findings.check(
            len.is_none_or(|len| len > 0 && usize::from(offset) + len <= PAGE),
            Rule::RxLength,
            || format!("{status} bytes at {offset}"),
        );
        self.packet.pieces.push(Piece {
            index,
            offset: usize::from(offset).min(PAGE),
            len: len.map(|len| len.min(PAGE - usize::from(offset).min(PAGE))),
        });
        flags
    }

    /// Reads an extra; returns whether another one follows.
    fn extra(&mut self, (index, _, bytes): Entry) -> bool {
        let (extra, more) = match Extra::decode(bytes) {
            Ok(read) => read,
            Err(wrong) => {
                self.findings.add(Rule::ExtraMalformed, wrong);
                return false;
            }
        };
        let asked = match extra {
            Extra::Gso { kind, size } => {
                size > 0 && (self.asked.gso_v4 && kind == 1 || self.asked.gso_v6 && kind == 2)
            }
            Extra::Hash {
                kind, algorithm, ..
            } => algorithm == TOEPLITZ && kind < 4 && self.asked.hashes & (1 << kind) != 0,
            Extra::Xdp { headroom } => headroom > 0 && self.asked.headrooms.contains(&headroom),
        };
        self.findings
            .check(asked, Rule::ExtraNotAsked, || format!("{extra:?}"));
        let same = |other: &(u32, Extra)| {
            std::mem::discriminant(&other.1) == std::mem::discriminant(&extra)
        };
        let twice = self.packet.extras.iter().any(same);
        self.findings
            .check(!twice, Rule::ExtraMalformed, || format!("twice: {extra:?}"));
        if matches!(extra, Extra::Gso { .. }) {
            let complete = RX_BLANK | RX_VALIDATED;
            self.findings.check(
                self.packet.flags & complete == complete,
                Rule::BlankNotValidated,
                || format!("segmentation with flags {:#x}", self.packet.flags),
            );
        }
        self.packet.extras.push((index, extra));
        more
    }

    /// Some backends count the headroom as data which starts at 0.
    fn locate(&mut self) {
        let headroom = usize::from(self.packet.headroom());
        for piece in &mut self.packet.pieces {
            if piece.offset < headroom {
                let hidden = headroom - piece.offset;
                piece.offset = headroom;
                piece.len = piece.len.map(|len| len.saturating_sub(hidden));
            }
        }
    }

    /// What holds for the packet as a whole.
    fn whole(&mut self) {
        let slots = self.packet.pieces.len();
        let most = if self.asked.sg { MAX_DATA_SLOTS } else { 1 };
        self.findings.check(slots <= most, Rule::TooManySlots, || {
            format!("{slots} of at most {most}")
        });
        let Some(len) = self.packet.len() else {
            return;
        };
        let room = PAGE - usize::from(self.packet.headroom()).min(PAGE - 1);
        let needed = len.div_ceil(room).max(1);
        self.findings.check(
            slots <= needed || !self.asked.strict,
            Rule::SlotsWasted,
            || format!("{slots} slots for {len} bytes with {room} in each"),
        );
    }
}

/// Checks what `packet` says against its bytes.
pub fn check_frame(asked: &Asked, packet: &Packet, frame: &[u8], findings: &mut Findings) {
    let Some(len) = packet.len() else {
        return;
    };
    findings.check(len >= ETHERNET_HEADER, Rule::ShortFrame, || {
        format!("{len} bytes")
    });
    if packet.flags & RX_BLANK != 0 {
        let protocol = protocol(frame);
        let allowed = match protocol {
            Some(0x0800) => asked.blank_v4,
            Some(0x86dd) => asked.blank_v6,
            _ => false,
        };
        findings.check(allowed, Rule::BlankNotAllowed, || {
            format!("protocol {protocol:x?}")
        });
    }
}

/// The protocol that a frame carries, behind its VLAN tags.
fn protocol(frame: &[u8]) -> Option<u16> {
    let mut at = 12;
    loop {
        let bytes = frame.get(at..at + 2)?;
        match u16::from_be_bytes([bytes[0], bytes[1]]) {
            0x8100 | 0x88a8 => at += 4,
            protocol => return Some(protocol),
        }
    }
}

/// Checks that a buffer's `page` is as it was posted outside of what is `filled`.
pub fn check_untouched(page: &[u8], filled: Range<usize>, findings: &mut Findings) {
    let touched =
        |(at, byte): (usize, &u8)| (*byte != UNTOUCHED && !filled.contains(&at)).then_some(at);
    if let Some(at) = page.iter().enumerate().find_map(touched) {
        findings.add(
            Rule::WroteOutside,
            format!("byte {at} was written, {filled:?} is said to be filled"),
        );
    }
}
