// SPDX-License-Identifier: GPL-2.0

//! Hashes and queues of frames which are built field by field.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::{
    frame::{self, Frame},
    steering::*,
    toeplitz::{table, Terms, KEY_LEN, MAX_INPUT},
    toeplitz_test::{ipv4, ipv6, reference, KEY},
    wire::{Hash, HashKind},
};

const TCP: u8 = 6;
const UDP: u8 = 17;

fn terms() -> Vec<Terms> {
    table(&KEY).collect()
}

/// Settings with the hash types of these bits.
fn settings(bits: u32) -> Settings {
    Settings {
        algorithm: Algorithm::Toeplitz,
        kinds: HashKinds::from_wire(bits).expect("bits with a meaning"),
        key: KEY,
        mapping: Mapping::EMPTY,
    }
}

fn mapping(queues: &[u16]) -> Mapping {
    let mut mapping = Mapping::new(queues.len() as u32).expect("not too many");
    let part = mapping.part_mut(0, queues.len() as u32).expect("all");
    part.copy_from_slice(queues);
    mapping
}

fn hash(bits: u32, frame: &[u8]) -> Option<(HashKind, u32)> {
    let hash = settings(bits).hash(&terms(), frame);
    hash.map(|hash| (hash.kind, hash.value))
}

fn with_ports(frame: &Frame, ports: [u8; 4]) -> Vec<u8> {
    let mut bytes = frame.headers();
    bytes.extend(ports);
    bytes.extend([0xaa; 40]);
    bytes
}

#[test]
fn published_values() {
    let place = |bytes: &mut Vec<u8>, at: usize, value: &[u8]| {
        bytes[at..at + value.len()].copy_from_slice(value);
    };
    let ports = |source: u16, destination: u16| {
        let [a, b] = source.to_be_bytes();
        let [c, d] = destination.to_be_bytes();
        [a, b, c, d]
    };
    for flow in ipv4() {
        let mut bytes = with_ports(
            &Frame::plain(false),
            ports(flow.source.1, flow.destination.1),
        );
        place(&mut bytes, 26, &flow.source.0.octets());
        place(&mut bytes, 30, &flow.destination.0.octets());
        assert_eq!(
            hash(0b0001, &bytes),
            Some((HashKind::Ipv4, flow.by_addresses))
        );
        assert_eq!(
            hash(0b0010, &bytes),
            Some((HashKind::Ipv4Tcp, flow.by_ports))
        );
        assert_eq!(
            hash(0b1111, &bytes),
            Some((HashKind::Ipv4Tcp, flow.by_ports))
        );
    }
    for flow in ipv6() {
        let mut bytes = with_ports(
            &Frame::plain(true),
            ports(flow.source.1, flow.destination.1),
        );
        place(&mut bytes, 22, &flow.source.0.octets());
        place(&mut bytes, 38, &flow.destination.0.octets());
        assert_eq!(
            hash(0b0100, &bytes),
            Some((HashKind::Ipv6, flow.by_addresses))
        );
        assert_eq!(
            hash(0b1000, &bytes),
            Some((HashKind::Ipv6Tcp, flow.by_ports))
        );
        assert_eq!(
            hash(0b1111, &bytes),
            Some((HashKind::Ipv6Tcp, flow.by_ports))
        );
    }
}

#[test]
fn only_what_is_enabled() {
    for bits in 0..16 {
        for (v6, protocol) in [(false, TCP), (false, UDP), (true, TCP), (true, UDP)] {
            let frame = Frame {
                protocol,
                ..Frame::plain(v6)
            };
            let kind = hash(bits, &with_ports(&frame, [1, 2, 3, 4])).map(|(kind, _)| kind);
            let shift = if v6 { 2 } else { 0 };
            let kinds = if v6 {
                [HashKind::Ipv6, HashKind::Ipv6Tcp]
            } else {
                [HashKind::Ipv4, HashKind::Ipv4Tcp]
            };
            let expected = match (bits >> shift & 1 != 0, bits >> shift & 2 != 0) {
                (_, true) if protocol == TCP => Some(kinds[1]),
                (true, _) => Some(kinds[0]),
                _ => None,
            };
            assert_eq!(kind, expected, "{bits:#06b} {v6} {protocol}");
        }
    }
}

#[test]
fn what_has_no_hash() {
    let bytes = with_ports(&Frame::plain(false), [1, 2, 3, 4]);
    let mut off = settings(0xf);
    off.algorithm = Algorithm::None;
    assert_eq!(off.hash(&terms(), &bytes), None);
    assert_eq!(Settings::NONE.hash(&terms(), &bytes), None);

    let mut arp = bytes.clone();
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    assert_eq!(hash(0xf, &arp), None);
    for tag in frame::TAGS {
        let tagged = Frame {
            tags: vec![tag],
            ..Frame::plain(false)
        };
        assert_eq!(hash(0xf, &with_ports(&tagged, [1, 2, 3, 4])), None);
    }
    for len in 0..14 + 20 {
        assert_eq!(hash(0xf, &bytes[..len]), None, "{len}");
    }
}

#[test]
fn fragments_have_no_ports() {
    let whole = Frame::plain(false);
    let by_addresses = hash(0b0001, &with_ports(&whole, [1, 2, 3, 4]));
    for fragment in [0x2000, 0x0001, 0x1fff, 0x3fff] {
        let frame = Frame {
            fragment,
            ..whole.clone()
        };
        let bytes = with_ports(&frame, [1, 2, 3, 4]);
        assert_eq!(hash(0b0011, &bytes), by_addresses);
        assert_eq!(hash(0b0010, &bytes), None);
    }
    let frame = Frame {
        extensions: vec![(44, 0)],
        ..Frame::plain(true)
    };
    let bytes = with_ports(&frame, [1, 2, 3, 4]);
    assert_eq!(
        hash(0b1100, &bytes).map(|(kind, _)| kind),
        Some(HashKind::Ipv6)
    );
}

#[test]
fn queue_of_a_packet() {
    let hash = |value| {
        Some(Hash {
            kind: HashKind::Ipv4,
            value,
        })
    };
    assert_eq!(Settings::NONE.queue(hash(5), 4), None);

    let mut settings = settings(0xf);
    for value in [0, 1, 3, 4, 7, u32::MAX] {
        let queue = (value % 4) as u16;
        assert_eq!(settings.queue(hash(value), 4), Some(queue));
        assert_eq!(settings.queue(hash(value), 1), Some(0));
    }
    assert_eq!(settings.queue(None, 4), Some(0));
    assert_eq!(settings.queue(hash(5), 0), None);

    settings.mapping = mapping(&[3, 1, 2]);
    for value in [0, 1, 2, 3, 4, u32::MAX] {
        let queue = [3, 1, 2][(value % 3) as usize];
        assert_eq!(settings.queue(hash(value), 4), Some(queue));
    }
    assert_eq!(settings.queue(None, 4), Some(3), "as the hash 0");
    settings.mapping = mapping(&[2; MAX_MAPPING]);
    assert_eq!(settings.queue(hash(u32::MAX), 4), Some(2));
}

#[test]
fn sizes_and_parts_of_a_mapping() {
    assert_eq!(Mapping::new(0), Ok(Mapping::EMPTY));
    assert_eq!(Mapping::new(128).map(|all| all.entries().len()), Ok(128));
    for size in [129, 0xffff, 0x1_0000, 0x1_0001, u32::MAX] {
        assert_eq!(Mapping::new(size), Err(OutOfRange));
    }
    for (size, first, len, fits) in [
        (128, 0, 128, true),
        (128, 127, 1, true),
        (128, 128, 0, true),
        (128, 127, 2, false),
        (128, 129, 0, false),
        (128, 0, 129, false),
        (128, u32::MAX, 2, false),
        (128, 2, u32::MAX, false),
        (4, 0, 5, false),
        (0, 0, 0, true),
        (0, 0, 1, false),
    ] {
        let mut mapping = Mapping::new(size).expect("not too large");
        let part = mapping.part_mut(first, len).map(|part| part.len());
        let expected = if fits {
            Ok(len as usize)
        } else {
            Err(OutOfRange)
        };
        assert_eq!(part, expected, "{size} {first} {len}");
    }
}

#[test]
fn bits_of_kinds() {
    for bits in (0..=16).chain([u32::MAX, 1 << 31, 0x1f]) {
        let kinds = HashKinds::from_wire(bits);
        assert_eq!(kinds.map(HashKinds::to_wire), (bits < 16).then_some(bits));
    }
    assert_eq!(HashKinds::ALL.to_wire(), 15);
    let algorithms = [0, 1, 2, u32::MAX].map(Algorithm::from_wire);
    let known = [Some(Algorithm::None), Some(Algorithm::Toeplitz), None, None];
    assert_eq!(algorithms, known);
}

#[test]
fn text_for_the_administrator() {
    assert_eq!(Settings::NONE.to_string(), "Hash Algorithm: NONE\n");

    let mut all = settings(0b1010);
    for byte in (0..).zip(&mut all.key) {
        *byte.1 = byte.0 * 3;
    }
    all.mapping = mapping(&[0, 1, 2, 3, 4, 5, 6, 7, 1000, 9, 10]);
    let expected = "\
Hash Algorithm: TOEPLITZ

Hash Flags:
- IPv4 + TCP
- IPv6 + TCP

Hash Key:
[ 0 -  7]: 00 03 06 09 0c 0f 12 15 \n\
[ 8 - 15]: 18 1b 1e 21 24 27 2a 2d \n\
[16 - 23]: 30 33 36 39 3c 3f 42 45 \n\
[24 - 31]: 48 4b 4e 51 54 57 5a 5d \n\
[32 - 39]: 60 63 66 69 6c 6f 72 75 \n
Hash Mapping:
[   0 -    7]:    0    1    2    3    4    5    6    7 \n\
[   8 -   10]: 1000    9   10 \n";
    assert_eq!(all.to_string(), expected);

    let mut none = settings(0);
    none.key = [0; KEY_LEN];
    let text = none.to_string();
    assert!(
        !text.contains("Flags") && !text.contains("Mapping"),
        "{text}"
    );
}

proptest! {
    /// The input of the hash is what the frame says, wherever it says it.
    #[test]
    fn hashes_the_right_bytes(
        frame in frame::any(),
        protocol in prop::sample::select(&[TCP, UDP, 1][..]),
        ports in any::<[u8; 4]>(),
        bits in 0..16u32,
        key in proptest::array::uniform::<_, KEY_LEN>(any::<u8>()),
    ) {
        let frame = Frame { protocol, ..frame };
        let bytes = with_ports(&frame, ports);
        let terms = table(&key).collect::<Vec<_>>();
        let mut settings = settings(bits);
        settings.key = key;

        let (by_addresses, by_ports) = match frame.v6 {
            false => (HashKind::Ipv4, HashKind::Ipv4Tcp),
            true => (HashKind::Ipv6, HashKind::Ipv6Tcp),
        };
        let enabled = |kind: HashKind| bits >> kind as u32 & 1 != 0;
        let mut input = frame.addresses();
        let kind = if !frame.tags.is_empty() {
            None
        } else if protocol == TCP && enabled(by_ports) {
            input.extend(ports);
            Some(by_ports)
        } else {
            enabled(by_addresses).then_some(by_addresses)
        };
        let expected = kind.map(|kind| Hash { kind, value: reference(&key, &input) });
        prop_assert_eq!(settings.hash(&terms, &bytes), expected);
    }

    /// Whatever the bytes are, nothing goes wrong, and the queue is one that was named.
    #[test]
    fn any_bytes(
        frame in frame::any(),
        noise in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..=8),
        keep in any::<prop::sample::Index>(),
        bits in 0..16u32,
        queues in proptest::collection::vec(0..8u16, 0..=MAX_MAPPING),
    ) {
        let mut bytes = with_ports(&frame, [1, 2, 3, 4]);
        for (at, value) in noise {
            let len = bytes.len();
            bytes[at.index(len)] = value;
        }
        let bytes = &bytes[..keep.index(bytes.len() + 1)];
        let mut settings = settings(bits);
        settings.mapping = mapping(&queues);
        let hash = settings.hash(&terms(), bytes);
        let queue = settings.queue(hash, 8).expect("an algorithm is chosen");
        if queues.is_empty() {
            prop_assert!(queue < 8);
        } else {
            prop_assert!(queues.into_iter().collect::<BTreeSet<_>>().contains(&queue));
        }
        if let Some(hash) = hash {
            prop_assert!(bits >> hash.kind as u32 & 1 != 0);
        }
    }
}

#[test]
fn the_longest_input_is_that_of_ipv6() {
    assert_eq!(MAX_INPUT, 16 + 16 + 2 + 2);
}
