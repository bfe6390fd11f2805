// SPDX-License-Identifier: GPL-2.0

//! The parser against the reference, on chosen, exhaustive and random rings.

use proptest::prelude::*;

use super::{
    parse::*,
    parse_reference::{
        check,
        drain, //
    },
};
use crate::wire::*;

const BLANK: u16 = 1;
const VALID: u16 = 2;
const MORE: u16 = 4;
const EXTRA: u16 = 8;

/// The limit which administrators get by default.
const FATAL_SLOTS: u32 = 20;

fn data(flags: u16, offset: u16, size: u16) -> TxSlot {
    named(0x11223344, 0, flags, offset, size)
}

fn named(gref: u32, id: u16, flags: u16, offset: u16, size: u16) -> TxSlot {
    let mut slot = [0; 12];
    slot[0..4].copy_from_slice(&gref.to_ne_bytes());
    slot[4..6].copy_from_slice(&offset.to_ne_bytes());
    slot[6..8].copy_from_slice(&flags.to_ne_bytes());
    slot[8..10].copy_from_slice(&id.to_ne_bytes());
    slot[10..12].copy_from_slice(&size.to_ne_bytes());
    slot
}

fn extra(kind: u8, more: bool, payload: [u8; 6]) -> TxSlot {
    let mut slot = [0xee; 12];
    slot[0] = kind;
    slot[1] = more.into();
    slot[2..8].copy_from_slice(&payload);
    slot
}

fn gso(kind: u8, size: u16) -> [u8; 6] {
    let [s0, s1] = size.to_ne_bytes();
    [s0, s1, kind, 0, 0, 0]
}

/// A packet whose first slot is followed by `more` slots of 100 bytes.
fn chain_of(more: u16) -> Vec<TxSlot> {
    let flag = |last: bool| if last { 0 } else { MORE };
    let first = data(flag(more == 0), 0, 60 + 100 * more);
    let rest = (1..=more).map(|at| data(flag(at == more), 0, 100));
    [first].into_iter().chain(rest).collect()
}

fn content(slots: &[TxSlot]) -> Result<Content, Fatal> {
    check(slots, FATAL_SLOTS);
    parse(slots, FATAL_SLOTS).map(|parsed| parsed.content)
}

fn packet(slots: &[TxSlot]) -> Packet {
    match content(slots) {
        Ok(Content::Packet(packet)) => packet,
        other => panic!("{other:?} instead of a packet"),
    }
}

#[test]
fn one_slot() {
    let slots = [named(7, 9, VALID, 100, 60), data(0, 0, 60)];
    let parsed = check(&slots, FATAL_SLOTS).expect("a packet");
    assert_eq!(parsed.slots(), 1);
    let segment = Segment {
        gref: 7,
        offset: 100,
        len: 60,
    };
    assert_eq!(parsed.segments(&slots).collect::<Vec<_>>(), [segment]);
    let reply = tx_reply(9, TxStatus::Error);
    assert_eq!(
        parsed.replies(&slots, TxStatus::Error).collect::<Vec<_>>(),
        [reply]
    );
    let packet = packet(&slots);
    assert_eq!((packet.len, packet.checksum), (60, Checksum::Valid));
    assert_eq!((packet.gso, packet.hash), (None, None));
}

#[test]
fn size_of_the_first_slot_is_the_rest() {
    let slots = [
        named(1, 10, BLANK | MORE | EXTRA, 4, 1500),
        extra(EXTRA_GSO, false, gso(1, 1448)),
        named(2, 11, MORE, 8, 1000),
        named(3, 12, 0, 0, 300),
    ];
    let parsed = check(&slots, FATAL_SLOTS).expect("a packet");
    let pieces: Vec<_> = parsed
        .segments(&slots)
        .map(|segment| (segment.gref, segment.offset, segment.len))
        .collect();
    assert_eq!(pieces, [(1, 4, 200), (2, 8, 1000), (3, 0, 300)]);
    let replies: Vec<_> = parsed.replies(&slots, TxStatus::Okay).collect();
    let okay = |id| tx_reply(id, TxStatus::Okay);
    assert_eq!(replies, [okay(10), tx_null_reply(), okay(11), okay(12)]);
}

#[test]
fn number_of_slots() {
    let class = |more| content(&chain_of(more));
    for more in 0..=18 {
        assert_eq!(packet(&chain_of(more)).len, 60 + 100 * more);
    }
    assert_eq!(class(19), Ok(Content::Rejected(Rejected::TooManySlots)));
    assert_eq!(class(20), Ok(Content::Rejected(Rejected::TooManySlots)));
    assert_eq!(class(21), Err(Fatal::TooManySlots));
    assert_eq!(class(22), Err(Fatal::TooManySlots));

    for fatal_slots in [18, 19, 25, u32::MAX] {
        for more in 0..=40 {
            check(&chain_of(more), fatal_slots);
        }
    }
    assert_eq!(parse(&chain_of(19), 18).err(), Some(Fatal::TooManySlots));
    assert!(parse(&chain_of(18), 18).is_ok());
    assert!(parse(&chain_of(40), u32::MAX).is_ok());
}

#[test]
fn a_packet_is_on_the_ring_as_a_whole() {
    for more in 1..=18 {
        let mut slots = chain_of(more);
        slots.pop();
        assert_eq!(content(&slots), Err(Fatal::MissingData));
    }
    assert_eq!(parse(&[], FATAL_SLOTS), Err(Fatal::MissingData));
}

#[test]
fn sizes_beyond_16_bits_are_a_mistake() {
    // 65536 + 10 bytes.
    let mut slots = vec![data(MORE, 0, 10)];
    slots.extend([data(MORE, 0, 4096); 16]);
    slots.push(data(0, 0, 8));
    assert_eq!(
        content(&slots),
        Ok(Content::Rejected(Rejected::SizeOverflow))
    );
    assert_eq!(
        parse(&slots, FATAL_SLOTS).map(|parsed| parsed.slots()),
        Ok(18)
    );

    let fits = [data(MORE, 0, 114), data(0, 0, 100)];
    assert_eq!(packet(&fits).len, 114);
    let exceeds = [data(MORE, 0, 114), data(0, 0, 115)];
    assert_eq!(
        content(&exceeds),
        Ok(Content::Rejected(Rejected::SizeOverflow))
    );
}

#[test]
fn slots_end_with_their_page() {
    let crosses = Err(Fatal::CrossesPage);
    assert_eq!(packet(&[data(0, 0, 4096)]).len, 4096);
    assert_eq!(packet(&[data(0, 4036, 60)]).len, 60);
    assert_eq!(content(&[data(0, 4037, 60)]), crosses);
    assert_eq!(content(&[data(0, 0, 4097)]), crosses);
    assert_eq!(content(&[data(0, 65535, 65535)]), crosses);
    assert_eq!(packet(&[data(MORE, 0, 160), data(0, 3996, 100)]).len, 160);
    assert_eq!(content(&[data(MORE, 0, 160), data(0, 3997, 100)]), crosses);
    assert_eq!(content(&[data(MORE, 0, 160), data(0, 65535, 100)]), crosses);
    // Nothing is too little to be checked, and a mistake does not excuse it.
    assert_eq!(content(&[data(MORE, 0, 60), data(0, 4097, 0)]), crosses);
    assert_eq!(
        content(&[data(MORE, 0, 60), data(MORE, 0, 61), data(0, 4000, 100)]),
        crosses
    );
    // The first slot is only looked at if the packet is sent.
    let runt = Ok(Content::Rejected(Rejected::Runt));
    assert_eq!(content(&[data(0, 65535, 13)]), runt);
}

#[test]
fn empty_slots_are_answered_and_not_copied() {
    let slots = [data(MORE, 0, 60), data(MORE, 0, 0), data(0, 4096, 0)];
    let parsed = check(&slots, FATAL_SLOTS).expect("a packet");
    assert_eq!(parsed.slots(), 3);
    assert_eq!(parsed.segments(&slots).count(), 1);
    assert_eq!(parsed.replies(&slots, TxStatus::Okay).count(), 3);
}

#[test]
fn the_first_slot_holds_the_ethernet_header() {
    let runt = Ok(Content::Rejected(Rejected::Runt));
    assert_eq!(content(&[data(0, 0, 0)]), runt);
    assert_eq!(content(&[data(0, 0, 13)]), runt);
    assert_eq!(packet(&[data(0, 0, 14)]).len, 14);
    assert_eq!(content(&[data(MORE, 0, 113), data(0, 0, 100)]), runt);
    assert_eq!(packet(&[data(MORE, 0, 114), data(0, 0, 100)]).len, 114);
}

#[test]
fn checksums() {
    let checksum = |flags| packet(&[data(flags, 0, 60)]).checksum;
    assert_eq!(checksum(0), Checksum::Unverified);
    assert_eq!(checksum(VALID), Checksum::Valid);
    assert_eq!(checksum(BLANK), Checksum::Blank);
    assert_eq!(checksum(BLANK | VALID), Checksum::Blank);
    assert_eq!(checksum(0xfff0), Checksum::Unverified);
}

#[test]
fn segmentation() {
    let with = |payload| content(&[data(EXTRA, 0, 60), extra(EXTRA_GSO, false, payload)]);
    let good = |kind, size| match with(gso(kind, size)) {
        Ok(Content::Packet(packet)) => packet.gso,
        other => panic!("{other:?} instead of a packet"),
    };
    let v4 = GsoKind::TcpV4;
    assert_eq!(
        good(1, 1448),
        Some(Gso {
            kind: v4,
            size: 1448
        })
    );
    let v6 = GsoKind::TcpV6;
    assert_eq!(good(2, 1), Some(Gso { kind: v6, size: 1 }));
    assert_eq!(with(gso(1, 0)), Err(Fatal::ZeroGsoSize));
    assert_eq!(with(gso(0, 0)), Err(Fatal::ZeroGsoSize));
    assert_eq!(with(gso(0, 1448)), Err(Fatal::UnknownGsoType));
    assert_eq!(with(gso(3, 1448)), Err(Fatal::UnknownGsoType));
    // A packet which is rejected anyway is not looked into.
    let runt = content(&[data(EXTRA, 0, 13), extra(EXTRA_GSO, false, gso(0, 0))]);
    assert_eq!(runt, Ok(Content::Rejected(Rejected::Runt)));
}

#[test]
fn extras_follow_the_first_slot() {
    let hash = |kind: u8, value: u32| {
        let [a, b, c, d] = value.to_ne_bytes();
        [kind, 0xee, a, b, c, d]
    };
    let slots = [
        data(EXTRA, 0, 60),
        extra(EXTRA_HASH, true, hash(0, 5)),
        extra(EXTRA_XDP, true, [0xff; 6]),
        extra(EXTRA_GSO, true, gso(2, 1000)),
        extra(EXTRA_HASH, false, hash(3, 0x01020304)),
        data(0, 0, 60),
    ];
    let packet = packet(&slots);
    let kind = HashKind::Ipv6Tcp;
    let value = 0x01020304;
    assert_eq!(
        packet.hash,
        Some(Hash { kind, value }),
        "the last one counts"
    );
    assert_eq!(packet.gso.map(|gso| gso.size), Some(1000));
    assert_eq!(
        parse(&slots, FATAL_SLOTS).map(|parsed| parsed.slots()),
        Ok(5)
    );

    let missing = Err(Fatal::MissingExtra);
    assert_eq!(content(&slots[..1]), missing);
    assert_eq!(content(&slots[..3]), missing);
    for kind in [0, 6, 255] {
        let slots = [data(EXTRA, 0, 60), extra(kind, false, [0; 6])];
        assert_eq!(content(&slots), Err(Fatal::UnknownExtra));
    }
    let unknown = [data(EXTRA, 0, 60), extra(EXTRA_HASH, false, hash(4, 5))];
    assert_eq!(self::packet(&unknown).hash, None);
}

#[test]
fn multicast() {
    let address = [1, 2, 3, 4, 5, 6];
    let add = |more| extra(EXTRA_MULTICAST_ADD, more, address);
    let delete = |more| extra(EXTRA_MULTICAST_DELETE, more, [9; 6]);
    let added = Ok(Content::Multicast(Multicast::Add(address)));
    // Neither size nor page nor the announced slot exist.
    let first = named(0, 0, EXTRA | MORE, 65535, 0);
    assert_eq!(content(&[first, add(false)]), added);
    assert_eq!(content(&[first, add(true), delete(false)]), added);
    assert_eq!(content(&[first, delete(true), add(false)]), added);
    let deleted = Ok(Content::Multicast(Multicast::Delete([9; 6])));
    assert_eq!(content(&[first, delete(false)]), deleted);
    let slots = [first, delete(true), add(false), data(0, 0, 60)];
    assert_eq!(
        parse(&slots, FATAL_SLOTS).map(|parsed| parsed.slots()),
        Ok(3)
    );
}

#[test]
fn fatal_errors_are_told_apart() {
    let all = [
        Fatal::MissingExtra,
        Fatal::UnknownExtra,
        Fatal::MissingData,
        Fatal::TooManySlots,
        Fatal::CrossesPage,
        Fatal::ZeroGsoSize,
        Fatal::UnknownGsoType,
    ];
    let texts: std::collections::HashSet<_> = all.iter().map(|fatal| fatal.describe()).collect();
    assert_eq!(texts.len(), all.len());
}

/// Every ring of up to four slots over an alphabet which holds each rule's edge.
#[test]
fn every_small_ring() {
    let mut alphabet = Vec::new();
    for flags in [0, MORE, EXTRA, MORE | EXTRA] {
        for size in [0, 13, 14, 28] {
            alphabet.push(data(flags, 4080, size));
        }
    }
    for kind in 0..=6 {
        for more in [false, true] {
            alphabet.push(extra(kind, more, gso(1, 1448)));
        }
    }
    alphabet.push(extra(EXTRA_GSO, false, gso(3, 1448)));
    alphabet.push(extra(EXTRA_GSO, false, gso(1, 0)));

    let mut rings: Vec<Vec<TxSlot>> = vec![Vec::new()];
    for _ in 0..4 {
        rings = rings
            .iter()
            .flat_map(|ring| {
                alphabet
                    .iter()
                    .map(|slot| ring.iter().copied().chain([*slot]).collect())
            })
            .collect();
        for ring in &rings {
            check(ring, FATAL_SLOTS);
        }
    }
    assert_eq!(rings.len(), alphabet.len().pow(4));
}

/// A chain which is nearly right.
fn near_chain() -> impl Strategy<Value = Vec<TxSlot>> {
    let pieces = proptest::collection::vec((0..=4096u16, 0..=4096u16), 1..=24);
    let kinds = proptest::collection::vec(prop_oneof![9 => 1..=5u8, 1 => any::<u8>()], 0..=4);
    let off_by = prop_oneof![6 => Just(0), 1 => -5000..=5000i32];
    (
        pieces,
        kinds,
        any::<[u8; 6]>(),
        any::<u32>(),
        off_by,
        0..=3u16,
    )
        .prop_map(|(pieces, kinds, payload, gref, off_by, checksum)| {
            let count = pieces.len();
            // Most pieces lie within their page.
            let place = |(offset, size): (u16, u16)| (offset.min(4096 - size), size);
            let total: i32 = pieces.iter().map(|piece| i32::from(piece.1)).sum();
            let mut data = pieces
                .into_iter()
                .map(place)
                .enumerate()
                .map(|(at, piece)| {
                    let (offset, size) = piece;
                    let more = if at + 1 < count { MORE } else { 0 };
                    if at > 0 {
                        return named(gref.wrapping_add(at as u32), at as u16, more, offset, size);
                    }
                    let extra = if kinds.is_empty() { 0 } else { EXTRA };
                    let size = (total + off_by) as u16;
                    named(gref, 0, more | extra | checksum, offset, size)
                });
            let last = kinds.len().saturating_sub(1);
            let extras = kinds
                .iter()
                .enumerate()
                .map(|(at, kind)| extra(*kind, at != last, payload));
            data.next().into_iter().chain(extras).chain(data).collect()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn near_rings(
        chains in proptest::collection::vec(near_chain(), 1..=4),
        noise in proptest::collection::vec((any::<usize>(), 0..12usize, any::<u8>()), 0..=2),
        fatal_slots in 18..=24u32,
    ) {
        let mut slots = chains.concat();
        let count = slots.len();
        for (slot, byte, value) in noise {
            slots[slot % count][byte] = value;
        }
        prop_assert!(drain(&slots, fatal_slots) <= slots.len());
    }

    #[test]
    fn any_ring(
        slots in proptest::collection::vec(any::<TxSlot>(), 1..=256),
        fatal_slots in any::<u32>(),
    ) {
        prop_assert!(drain(&slots, fatal_slots) <= slots.len());
    }

    /// What is right is sent, and the ring is answered to its end.
    #[test]
    fn right_packets_are_accepted(
        pieces in proptest::collection::vec(0..=3400u16, 0..=18),
        first in 14..=3400u16,
        count in 1..=10usize,
    ) {
        let total = pieces.iter().sum::<u16>() + first;
        let more = |last: bool| if last { 0 } else { MORE };
        let mut chain = vec![data(more(pieces.is_empty()), 600, total)];
        for (at, size) in pieces.iter().enumerate() {
            chain.push(data(more(at + 1 == pieces.len()), 0, *size));
        }
        prop_assert_eq!(packet(&chain).len, total);
        let ring = chain.repeat(count);
        prop_assert_eq!(drain(&ring, FATAL_SLOTS), ring.len());
    }
}
