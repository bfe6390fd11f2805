// SPDX-License-Identifier: GPL-2.0

//! A plan, executed byte by byte, and read by a frontend that shares no code with it.

use super::plan::*;
use crate::wire::*;

const PAGE: usize = 4096;

/// What the guest has got: for each slot the response, and the page that was granted.
pub(crate) struct Slot {
    pub(crate) response: RxSlot,
    pub(crate) page: Vec<Option<u8>>,
}

/// Does what the driver does with a plan.
pub(crate) fn execute(plan: &Plan, mut bytes: impl Iterator<Item = u8>) -> Vec<Slot> {
    let slots = plan
        .steps()
        .enumerate()
        .map(|(id, step)| {
            let mut page = vec![None; PAGE];
            let response = match step {
                Step::Data(slot) => {
                    let start = usize::from(slot.offset);
                    for place in &mut page[start..start + usize::from(slot.len)] {
                        *place = Some(bytes.next().expect("no more than the packet is copied"));
                    }
                    slot.response(id as u16)
                }
                Step::Extra(entry) => entry,
            };
            Slot { response, page }
        })
        .collect();
    assert_eq!(bytes.next(), None, "the whole packet is copied");
    slots
}

/// A packet as a frontend understands it.
#[derive(Debug, PartialEq)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    checksum_flags: u16,
    pub(crate) extras: Vec<(u8, [u8; 6])>,
}

pub(crate) fn u16_at(entry: &RxSlot, at: usize) -> u16 {
    u16::from_ne_bytes([entry[at], entry[at + 1]])
}

/// Reads one packet; panics where a real frontend would drop it.
pub(crate) fn receive(slots: &[Slot]) -> Received {
    let mut slots = slots.iter().enumerate();
    let mut received = Received {
        bytes: Vec::new(),
        checksum_flags: 0,
        extras: Vec::new(),
    };
    let mut first = true;
    loop {
        let (id, slot) = slots.next().expect("another data slot");
        assert_eq!(usize::from(u16_at(&slot.response, 0)), id);
        let offset = usize::from(u16_at(&slot.response, 2));
        let flags = u16_at(&slot.response, 4);
        let len = usize::from(u16_at(&slot.response, 6));
        assert!(len > 0 && offset + len <= PAGE);
        for (at, byte) in slot.page.iter().enumerate() {
            assert_eq!(byte.is_some(), (offset..offset + len).contains(&at));
            received.bytes.extend(byte);
        }
        if first {
            received.checksum_flags = flags & 3;
        } else {
            assert_eq!(flags & !4, 0, "only the first slot speaks for the packet");
        }
        if first && flags & 8 != 0 {
            loop {
                let (_, slot) = slots.next().expect("another extra");
                assert!(slot.page.iter().all(Option::is_none));
                let [kind, more, payload @ ..] = slot.response;
                assert_eq!(more & !1, 0);
                received.extras.push((kind, payload));
                if more == 0 {
                    break;
                }
            }
        }
        if flags & 4 == 0 {
            break;
        }
        first = false;
    }
    assert!(slots.next().is_none(), "nothing behind the last data slot");
    received
}

/// How many pages it takes to copy `len` bytes one after the other.
pub(crate) fn pages(len: u32, headroom: usize) -> u32 {
    let mut pages = 0;
    let mut at = PAGE;
    for _ in 0..len {
        if at == PAGE {
            pages += 1;
            at = headroom;
        }
        at += 1;
    }
    pages
}

pub(crate) fn headroom_of(plan: &Plan) -> usize {
    match plan.steps().next() {
        Some(Step::Data(slot)) => usize::from(slot.offset),
        other => panic!("{other:?} instead of data"),
    }
}

/// The frontend gets the packet, its flags and its extras, in exactly the slots announced.
pub(crate) fn check_arrival(packet: Packet, headroom: u32) {
    let plan = Plan::new(packet, Headroom::new(headroom)).expect("fits");
    let bytes: Vec<u8> = (0..packet.len)
        .map(|at| (at.wrapping_mul(2654435761) >> 24) as u8)
        .collect();
    let slots = execute(&plan, bytes.iter().copied());
    assert_eq!(slots.len() as u32, plan.slots());
    assert!(plan.slots() <= MAX_SLOTS);

    let mut extras = Vec::new();
    if let Some(Gso { kind, size }) = packet.gso {
        let [s0, s1] = size.to_ne_bytes();
        extras.push((1, [s0, s1, kind as u8, 0, 0, 0]));
    }
    if let Some(Hash { kind, value }) = packet.hash {
        let [v0, v1, v2, v3] = value.to_ne_bytes();
        extras.push((4, [kind as u8, 1, v0, v1, v2, v3]));
    }
    if headroom != 0 {
        let [h0, h1] = (headroom.min(455) as u16).to_ne_bytes();
        extras.push((5, [h0, h1, 0, 0, 0, 0]));
    }
    let data_slots = pages(packet.len, headroom_of(&plan));
    assert_eq!(slots.len(), data_slots as usize + extras.len());
    let expected = Received {
        bytes,
        checksum_flags: match packet.checksum {
            Checksum::Unverified => 0,
            Checksum::Valid => 1,
            Checksum::Blank => 3,
        },
        extras,
    };
    assert_eq!(receive(&slots), expected);
}
