// SPDX-License-Identifier: GPL-2.0

//! The hash, against published values and against its definition.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use crate::toeplitz::*;

/// The key of the verification suite for receive side scaling.
pub(crate) const KEY: Key = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/// A flow of the verification suite.
pub(crate) struct Vector<A> {
    pub(crate) source: (A, u16),
    pub(crate) destination: (A, u16),
    /// The hash over the addresses.
    pub(crate) by_addresses: u32,
    /// The hash over addresses and ports.
    pub(crate) by_ports: u32,
}

fn vector<A: std::str::FromStr>(
    (source, source_port): (&str, u16),
    (destination, destination_port): (&str, u16),
    by_addresses: u32,
    by_ports: u32,
) -> Vector<A> {
    let address = |text: &str| text.parse().ok().expect("an address");
    Vector {
        source: (address(source), source_port),
        destination: (address(destination), destination_port),
        by_addresses,
        by_ports,
    }
}

pub(crate) fn ipv4() -> Vec<Vector<Ipv4Addr>> {
    vec![
        vector(
            ("66.9.149.187", 2794),
            ("161.142.100.80", 1766),
            0x323e8fc2,
            0x51ccc178,
        ),
        vector(
            ("199.92.111.2", 14230),
            ("65.69.140.83", 4739),
            0xd718262a,
            0xc626b0ea,
        ),
        vector(
            ("24.19.198.95", 12898),
            ("12.22.207.184", 38024),
            0xd2d0a5de,
            0x5c2b394a,
        ),
        vector(
            ("38.27.205.30", 48228),
            ("209.142.163.6", 2217),
            0x82989176,
            0xafc7327f,
        ),
        vector(
            ("153.39.163.191", 44251),
            ("202.188.127.2", 1303),
            0x5d1809c5,
            0x10e828a2,
        ),
    ]
}

pub(crate) fn ipv6() -> Vec<Vector<Ipv6Addr>> {
    vec![
        vector(
            ("3ffe:2501:200:1fff::7", 2794),
            ("3ffe:2501:200:3::1", 1766),
            0x2cc18cd5,
            0x40207d3d,
        ),
        vector(
            ("3ffe:501:8::260:97ff:fe40:efab", 14230),
            ("ff02::1", 4739),
            0x0f0c461c,
            0xdde51bbf,
        ),
        vector(
            ("3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251),
            ("fe80::200:f8ff:fe21:67cf", 38024),
            0x4b61e985,
            0x02d1feef,
        ),
    ]
}

fn hash(key: &Key, input: &[u8]) -> u32 {
    part(&table(key).collect::<Vec<_>>(), 0, input)
}

/// The hash bit by bit, as it is defined.
pub(crate) fn reference(key: &[u8], input: &[u8]) -> u32 {
    let bit = |bytes: &[u8], at: usize| {
        bytes
            .get(at / 8)
            .is_some_and(|byte| byte & (0x80 >> (at % 8)) != 0)
    };
    (0..input.len() * 8)
        .filter(|at| bit(input, *at))
        .map(|at| (0..32).fold(0, |window, i| window << 1 | u32::from(bit(key, at + i))))
        .fold(0, |hash, window| hash ^ window)
}

/// Checks a flow over `addresses` with its ports.
fn check(addresses: &[u8], ports: [u16; 2], by_addresses: u32, by_ports: u32) {
    let ports = ports.map(u16::to_be_bytes);
    let all = [addresses, ports.as_flattened()].concat();
    for (input, expected) in [(addresses, by_addresses), (&all, by_ports)] {
        assert_eq!(hash(&KEY, input), expected, "{input:?}");
        assert_eq!(reference(&KEY, input), expected, "{input:?}");
    }
}

#[test]
fn published_values() {
    for flow in ipv4() {
        let addresses = [flow.source.0.octets(), flow.destination.0.octets()].concat();
        let ports = [flow.source.1, flow.destination.1];
        check(&addresses, ports, flow.by_addresses, flow.by_ports);
    }
    for flow in ipv6() {
        let addresses = [flow.source.0.octets(), flow.destination.0.octets()].concat();
        let ports = [flow.source.1, flow.destination.1];
        check(&addresses, ports, flow.by_addresses, flow.by_ports);
    }
}

#[test]
fn table_is_as_long_as_the_input() {
    assert_eq!(table(&KEY).count(), MAX_INPUT);
    assert_eq!(hash(&KEY, &[]), 0);
    assert_eq!(hash(&[0; KEY_LEN], &[0xff; MAX_INPUT]), 0);
}

fn any_key() -> impl Strategy<Value = Key> {
    proptest::array::uniform(any::<u8>())
}

proptest! {
    #[test]
    fn as_defined(
        key in any_key(),
        input in proptest::collection::vec(any::<u8>(), 0..=MAX_INPUT),
    ) {
        prop_assert_eq!(hash(&key, &input), reference(&key, &input));
    }

    #[test]
    fn parts_make_the_whole(
        key in any_key(),
        input in proptest::collection::vec(any::<u8>(), 0..=MAX_INPUT),
        cut in any::<prop::sample::Index>(),
    ) {
        let table = table(&key).collect::<Vec<_>>();
        let at = cut.index(input.len() + 1);
        let parts = part(&table, 0, &input[..at]) ^ part(&table, at, &input[at..]);
        prop_assert_eq!(parts, part(&table, 0, &input));
    }

    /// Nothing goes wrong beyond the end.
    #[test]
    fn too_much_adds_nothing(
        at in 0..=2 * MAX_INPUT,
        input in proptest::collection::vec(any::<u8>(), 0..=2 * MAX_INPUT),
    ) {
        let table = table(&KEY).collect::<Vec<_>>();
        let fitting = &input[..input.len().min(MAX_INPUT.saturating_sub(at))];
        prop_assert_eq!(part(&table, at, &input), part(&table, at, fitting));
    }
}
