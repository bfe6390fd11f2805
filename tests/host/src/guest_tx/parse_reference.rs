// SPDX-License-Identifier: GPL-2.0

//! The rules for packets from the guest, written down one after the other in the plainest way.
//!
//! Shares no code with the driver, except the names of the results.

use super::parse::{
    Fatal,
    Multicast,
    Rejected,
    Segment, //
};
use crate::wire::{
    Checksum,
    Gso,
    GsoKind,
    Hash,
    HashKind,
    TxSlot, //
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
