// SPDX-License-Identifier: GPL-2.0

//! The rules for packets from the guest, written down one after the other in the plainest way, and the
//! comparison with what the driver makes of them.
//!
//! The rules share no code with the driver, except the names of the results.

use super::parse::{
    Content,
    Fatal,
    Multicast,
    Parsed,
    Rejected,
    Segment, //
};
use crate::wire::{
    Checksum,
    Gso,
    GsoKind,
    Hash,
    HashKind,
    TxSlot,
    TxStatus, //
};

/// What is to be sent.
#[derive(Debug, PartialEq)]
pub(crate) enum Meaning {
    Packet {
        len: u16,
        checksum: Checksum,
        gso: Option<Gso>,
        hash: Option<Hash>,
        segments: Vec<Segment>,
    },
    Multicast(Multicast),
    Rejected(Rejected),
}

/// A chain: its slots, of which `extras` behind the first are extra infos.
#[derive(Debug, PartialEq)]
pub(crate) struct Chain {
    pub(crate) slots: usize,
    pub(crate) extras: usize,
    pub(crate) meaning: Meaning,
}

fn u16_at(slot: &TxSlot, at: usize) -> i64 {
    i64::from(u16::from_ne_bytes([slot[at], slot[at + 1]]))
}

fn u32_at(slot: &TxSlot, at: usize) -> u32 {
    u32::from_ne_bytes([slot[at], slot[at + 1], slot[at + 2], slot[at + 3]])
}

fn offset(slot: &TxSlot) -> i64 {
    u16_at(slot, 4)
}

fn has_flag(slot: &TxSlot, flag: i64) -> bool {
    u16_at(slot, 6) & flag != 0
}

fn size(slot: &TxSlot) -> i64 {
    u16_at(slot, 10)
}

pub(crate) fn parse(slots: &[TxSlot], fatal_slots: u32) -> Result<Chain, Fatal> {
    let first = slots[0];

    // Extra infos lie directly behind the first slot.
    let mut extras: [Option<TxSlot>; 6] = [None; 6];
    let mut count = 0;
    let mut announced = has_flag(&first, 8);
    while announced {
        if 1 + count == slots.len() {
            return Err(Fatal::MissingExtra);
        }
        let extra = slots[1 + count];
        count += 1;
        if extra[0] == 0 || extra[0] >= 6 {
            return Err(Fatal::UnknownExtra);
        }
        extras[usize::from(extra[0])] = Some(extra);
        announced = extra[1] & 1 != 0;
    }

    let [_, gso, add, delete, hash, _] = extras;
    let address = |extra: TxSlot| [extra[2], extra[3], extra[4], extra[5], extra[6], extra[7]];
    if let Some(extra) = add {
        return Ok(Chain {
            slots: 1 + count,
            extras: count,
            meaning: Meaning::Multicast(Multicast::Add(address(extra))),
        });
    }
    if let Some(extra) = delete {
        return Ok(Chain {
            slots: 1 + count,
            extras: count,
            meaning: Meaning::Multicast(Multicast::Delete(address(extra))),
        });
    }

    // The other data slots.
    let mut more = Vec::new();
    let mut left = size(&first);
    let mut rejected = None;
    let mut announced = has_flag(&first, 4);
    while announced {
        let at = 1 + count + more.len();
        if at == slots.len() {
            return Err(Fatal::MissingData);
        }
        if more.len() as u64 >= u64::from(fatal_slots) {
            return Err(Fatal::TooManySlots);
        }
        if rejected.is_none() && more.len() >= 18 {
            rejected = Some(Rejected::TooManySlots);
        }
        if rejected.is_none() && size(&slots[at]) > left {
            rejected = Some(Rejected::SizeOverflow);
        }
        left -= size(&slots[at]);
        if offset(&slots[at]) + size(&slots[at]) > 4096 {
            return Err(Fatal::CrossesPage);
        }
        more.push(slots[at]);
        announced = has_flag(&slots[at], 4);
    }

    let chain = |meaning| Chain {
        slots: 1 + count + more.len(),
        extras: count,
        meaning,
    };
    if let Some(rejected) = rejected {
        return Ok(chain(Meaning::Rejected(rejected)));
    }
    if left < 14 {
        return Ok(chain(Meaning::Rejected(Rejected::Runt)));
    }
    if offset(&first) + left > 4096 {
        return Err(Fatal::CrossesPage);
    }

    let mut segments = vec![Segment {
        gref: u32_at(&first, 0),
        offset: offset(&first) as u16,
        len: left as u16,
    }];
    for slot in &more {
        if size(slot) != 0 {
            segments.push(Segment {
                gref: u32_at(slot, 0),
                offset: offset(slot) as u16,
                len: size(slot) as u16,
            });
        }
    }
    let checksum = if has_flag(&first, 1) {
        Checksum::Blank
    } else if has_flag(&first, 2) {
        Checksum::Valid
    } else {
        Checksum::Unverified
    };
    let gso = match gso {
        None => None,
        Some(extra) if u16_at(&extra, 2) == 0 => return Err(Fatal::ZeroGsoSize),
        Some(extra) => Some(Gso {
            kind: match extra[4] {
                1 => GsoKind::TcpV4,
                2 => GsoKind::TcpV6,
                _ => return Err(Fatal::UnknownGsoType),
            },
            size: u16_at(&extra, 2) as u16,
        }),
    };
    let hash = match hash {
        None => None,
        Some(extra) => match extra[2] {
            0 => Some(HashKind::Ipv4),
            1 => Some(HashKind::Ipv4Tcp),
            2 => Some(HashKind::Ipv6),
            3 => Some(HashKind::Ipv6Tcp),
            _ => None,
        }
        .map(|kind| Hash {
            kind,
            value: u32_at(&extra, 4),
        }),
    };
    Ok(chain(Meaning::Packet {
        len: size(&first) as u16,
        checksum,
        gso,
        hash,
        segments,
    }))
}

/// Compares one chain with the reference, and what it leads to with the rules.
pub(crate) fn check(slots: &[TxSlot], fatal_slots: u32) -> Option<Parsed> {
    let parsed = super::parse::parse(slots, fatal_slots);
    let expected = self::parse(slots, fatal_slots);
    let (parsed, expected) = match (parsed, expected) {
        (Ok(parsed), Ok(expected)) => (parsed, expected),
        (parsed, expected) => {
            assert_eq!(parsed.err(), expected.err(), "{slots:?}");
            return None;
        }
    };
    assert_eq!(parsed.slots(), expected.slots, "{slots:?}");
    assert!((1..=slots.len()).contains(&parsed.slots()));

    let segments: Vec<_> = parsed.segments(slots).collect();
    let meaning = match parsed.content {
        Content::Packet(packet) => {
            let sum: u32 = segments.iter().map(|segment| u32::from(segment.len)).sum();
            assert_eq!(sum, u32::from(packet.len));
            assert!(segments.len() <= super::parse::MAX_SEGMENTS);
            for segment in &segments {
                assert!(segment.len > 0);
                assert!(u32::from(segment.offset) + u32::from(segment.len) <= 4096);
            }
            Meaning::Packet {
                len: packet.len,
                checksum: packet.checksum,
                gso: packet.gso,
                hash: packet.hash,
                segments,
            }
        }
        other => {
            assert!(segments.is_empty(), "nothing is copied but packets");
            match other {
                Content::Multicast(multicast) => Meaning::Multicast(multicast),
                Content::Rejected(rejected) => Meaning::Rejected(rejected),
                Content::Packet(_) => unreachable!(),
            }
        }
    };
    assert_eq!(meaning, expected.meaning, "{slots:?}");

    for (status, bytes) in [(TxStatus::Okay, [0, 0]), (TxStatus::Error, [0xff, 0xff])] {
        let replies: Vec<_> = parsed.replies(slots, status).collect();
        assert_eq!(replies.len(), parsed.slots());
        for (at, (slot, reply)) in slots.iter().zip(replies).enumerate() {
            if (1..=expected.extras).contains(&at) {
                assert_eq!(reply[2..], 1i16.to_ne_bytes(), "extras have no id");
            } else {
                assert_eq!(reply[..2], slot[8..10]);
                assert_eq!(reply[2..], bytes);
            }
        }
    }
    Some(parsed)
}

/// Parses a whole ring, and returns how many slots were answered.
pub(crate) fn drain(mut slots: &[TxSlot], fatal_slots: u32) -> usize {
    let mut answered = 0;
    while !slots.is_empty() {
        let Some(parsed) = check(slots, fatal_slots) else {
            break;
        };
        answered += parsed.replies(slots, TxStatus::Okay).count();
        slots = &slots[parsed.slots()..];
    }
    answered
}
