// SPDX-License-Identifier: GPL-2.0

//! A packet for the guest, of any length and kind, with any headroom.

use crate::{
    guest_rx::{
        plan::{
            Headroom,
            Packet,
            Plan,
            Step, //
        },
        plan_reference::check_arrival, //
    },
    wire::{
        Checksum,
        Gso,
        GsoKind,
        Hash,
        HashKind, //
    },
};

pub(crate) fn run(data: &[u8]) {
    let Some(&[l0, l1, h0, h1, kinds, s0, s1, v0, v1, v2, v3]) = data.first_chunk() else {
        return;
    };
    let headroom = u16::from_ne_bytes([h0, h1]).into();
    let gso = match kinds >> 2 & 3 {
        0 | 3 => None,
        kind => GsoKind::from_wire(kind).map(|kind| Gso {
            kind,
            size: u16::from_ne_bytes([s0, s1]),
        }),
    };
    let packet = Packet {
        len: u16::from_ne_bytes([l0, l1]).into(),
        checksum: match kinds & 3 {
            0 => Checksum::Unverified,
            1 => Checksum::Valid,
            _ => Checksum::Blank,
        },
        gso,
        hash: HashKind::from_wire(kinds >> 4).map(|kind| Hash {
            kind,
            value: u32::from_ne_bytes([v0, v1, v2, v3]),
        }),
    };
    let granted = Headroom::new(headroom);
    match Plan::new(packet, granted) {
        Ok(plan) => {
            for step in plan.steps() {
                if let Step::Data(slot) = step {
                    assert_eq!(
                        slot.offset,
                        granted.bytes(),
                        "the headroom is in every slot"
                    );
                }
            }
            check_arrival(packet, headroom);
        }
        Err(_) => assert_eq!(packet.len, 0),
    }
}
