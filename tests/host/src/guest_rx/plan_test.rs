// SPDX-License-Identifier: GPL-2.0

//! The plan against a copy byte by byte, and against a frontend that reads what arrives.

use proptest::prelude::*;

use super::plan::*;
use crate::wire::*;

const PAGE: usize = 4096;

const CHECKSUMS: [Checksum; 3] = [Checksum::Unverified, Checksum::Valid, Checksum::Blank];

fn plain(len: u32) -> Packet {
    Packet {
        len,
        checksum: Checksum::Unverified,
        gso: None,
        hash: None,
    }
}

/// What the guest has got: for each slot the response, and the page that was granted.
struct Slot {
    response: RxSlot,
    page: Vec<Option<u8>>,
}

/// Does what the driver does with a plan.
fn execute(plan: &Plan, mut bytes: impl Iterator<Item = u8>) -> Vec<Slot> {
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
                    slot.response(id as u16, true)
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
struct Received {
    bytes: Vec<u8>,
    checksum_flags: u16,
    extras: Vec<(u8, [u8; 6])>,
}

fn u16_at(entry: &RxSlot, at: usize) -> u16 {
    u16::from_ne_bytes([entry[at], entry[at + 1]])
}

/// Reads one packet; panics where a real frontend would drop it.
fn receive(slots: &[Slot]) -> Received {
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
fn pages(len: u32, headroom: usize) -> u32 {
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

fn headroom_of(plan: &Plan) -> usize {
    match plan.steps().next() {
        Some(Step::Data(slot)) => usize::from(slot.offset),
        other => panic!("{other:?} instead of data"),
    }
}

fn any_packet() -> impl Strategy<Value = Packet> {
    let kinds = [
        HashKind::Ipv4,
        HashKind::Ipv4Tcp,
        HashKind::Ipv6,
        HashKind::Ipv6Tcp,
    ];
    (
        prop_oneof![1..=5000u32, 1..=65535u32],
        proptest::sample::select(&CHECKSUMS[..]),
        proptest::option::of((any::<bool>(), 1..=u16::MAX)),
        proptest::option::of((proptest::sample::select(kinds.to_vec()), any::<u32>())),
    )
        .prop_map(|(len, checksum, gso, hash)| Packet {
            len,
            checksum,
            gso: gso.map(|(v6, size)| Gso {
                kind: if v6 { GsoKind::TcpV6 } else { GsoKind::TcpV4 },
                size,
            }),
            hash: hash.map(|(kind, value)| Hash { kind, value }),
        })
}

/// The frontend gets the packet, its flags and its extras, in exactly the slots announced.
fn check_arrival(packet: Packet, headroom: u32) {
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

#[test]
fn arrives_at_the_edges_of_pages() {
    for headroom in [0, 1, 256, 455, 456] {
        let room = 4096 - headroom.min(455);
        for pages in 1..=18 {
            for len in [pages * room - 1, pages * room, pages * room + 1] {
                if len <= 65535 {
                    check_arrival(plain(len), headroom);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn arrives(packet in any_packet(), headroom in prop_oneof![Just(0), Just(256), 0..600u32]) {
        check_arrival(packet, headroom);
    }

    #[test]
    fn headroom_is_in_every_slot(packet in any_packet(), headroom in 0..=455u16) {
        let plan = Plan::new(packet, Headroom::new(headroom.into())).expect("fits");
        for step in plan.steps() {
            if let Step::Data(slot) = step {
                prop_assert_eq!(slot.offset, headroom);
            }
        }
    }

    /// A longer packet or more headroom never takes fewer slots, so the largest bounds them all.
    #[test]
    fn slots_are_monotonic(packet in any_packet(), less in any_packet(), headroom in any::<u32>()) {
        let less = Packet { len: less.len.min(packet.len), ..packet };
        let slots = |packet, headroom| Plan::new(packet, headroom).expect("fits").slots();
        let headroom = Headroom::new(headroom);
        prop_assert!(slots(less, headroom) <= slots(packet, headroom));
        prop_assert!(slots(packet, Headroom::default()) <= slots(packet, headroom));
    }

    #[test]
    fn any_headroom_is_granted_as_far_as_possible(wanted in any::<u32>()) {
        let plan = Plan::new(plain(65535), Headroom::new(wanted)).expect("the largest packet fits");
        prop_assert_eq!(headroom_of(&plan) as u32, wanted.min(455));
    }
}

#[test]
fn every_length() {
    for headroom in [0, 256, 455] {
        let room = 4096 - headroom;
        for len in 1..=65535 {
            let plan = Plan::new(plain(len), Headroom::new(headroom)).expect("fits");
            let extras = u32::from(headroom != 0);
            assert_eq!(plan.slots(), (len - 1) / room + 1 + extras);
            assert_eq!(plan.steps().count() as u32, plan.slots());
            assert!(plan.slots() <= 18 + extras);
        }
    }
}

#[test]
fn unsendable() {
    let new =
        |len, headroom| Plan::new(plain(len), Headroom::new(headroom)).map(|plan| plan.slots());
    assert_eq!(new(0, 0), Err(Unsendable));
    assert_eq!(new(0, 256), Err(Unsendable));
    assert_eq!(new(18 * 4096, 0), Ok(18));
    assert_eq!(new(18 * 4096 + 1, 0), Err(Unsendable));
    assert_eq!(new(18 * 3840, 256), Ok(19));
    assert_eq!(new(18 * 3840 + 1, 256), Err(Unsendable));
    assert_eq!(new(u32::MAX, 0), Err(Unsendable));
}

#[test]
fn largest_packet_takes_max_slots() {
    let largest = Packet {
        gso: Some(Gso {
            kind: GsoKind::TcpV4,
            size: 1448,
        }),
        hash: Some(Hash {
            kind: HashKind::Ipv4Tcp,
            value: 1,
        }),
        ..plain(65535)
    };
    let plan = Plan::new(largest, Headroom::new(u32::MAX)).expect("fits");
    assert_eq!(plan.slots(), MAX_SLOTS);
    assert_eq!(MAX_SLOTS, 21);
}

/// A failed copy is told in place of the length; the frontend still finds the end of the packet.
#[test]
fn failed_copy() {
    let plan = Plan::new(plain(5000), Headroom::new(16)).expect("fits");
    for step in plan.steps() {
        if let Step::Data(slot) = step {
            let good = slot.response(7, true);
            let bad = slot.response(7, false);
            assert_eq!(good[..6], bad[..6]);
            assert_eq!(bad[6..], (-1i16).to_ne_bytes());
        }
    }
}
