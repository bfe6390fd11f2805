// SPDX-License-Identifier: GPL-2.0

//! The plan against a copy byte by byte, and against a frontend that reads what arrives.

use proptest::prelude::*;

use super::{
    plan::*,
    plan_reference::*, //
};
use crate::wire::*;

const CHECKSUMS: [Checksum; 3] = [Checksum::Unverified, Checksum::Valid, Checksum::Blank];

fn plain(len: u32) -> Packet {
    Packet {
        len,
        checksum: Checksum::Unverified,
        gso: None,
        hash: None,
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

/// A frontend with an XDP program takes frames of one slot only, and reads the length without the
/// headroom.
#[test]
fn longest_frame_of_one_slot() {
    for (len, data_slots) in [(60, 1), (3840, 1), (3841, 2)] {
        let plan = Plan::new(plain(len), Headroom::new(256)).expect("fits");
        // The XDP extra takes a slot too.
        assert_eq!(plan.slots(), data_slots + 1);
        let Some(Step::Data(first)) = plan.steps().next() else {
            panic!("data comes first");
        };
        let response = first.response(0);
        assert_eq!(u16_at(&response, 2), 256);
        assert_eq!(u32::from(u16_at(&response, 6)), len.min(3840));
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
