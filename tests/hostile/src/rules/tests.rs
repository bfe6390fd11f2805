// SPDX-License-Identifier: GPL-2.0

//! Every rule, broken by a backend which keeps all others; and a backend which keeps all.

use super::{
    check_notified,
    must_notify,
    Findings,
    Rule, //
};
use crate::{
    control_rules::ControlRules,
    rx_rules::{
        check_frame,
        check_untouched,
        Asked,
        Packet,
        RxRules,
        UNTOUCHED, //
    },
    tx_rules::TxRules,
    wire::{
        ControlResponse,
        Extra,
        TxResponse,
        DROPPED,
        ERROR,
        EXTRA_GSO,
        EXTRA_HASH,
        EXTRA_INFO,
        EXTRA_MORE,
        EXTRA_XDP,
        MORE_DATA,
        NULL,
        OKAY,
        PAGE,
        RX_BLANK,
        RX_VALIDATED, //
    },
};

/// The rules that were broken, each once.
fn rules(mut findings: Findings) -> Vec<Rule> {
    let mut rules: Vec<Rule> = findings.take().into_iter().map(|one| one.rule).collect();
    rules.sort();
    rules.dedup();
    rules
}

/// Packets from the guest as (ids, extras), and the responses (id, status) in publications: the rules
/// that were broken, and how many packets were answered.
fn tx(packets: &[(&[u16], usize)], publications: &[&[(u16, i16)]]) -> (Vec<Rule>, usize) {
    let mut rules_of_ring = TxRules::new(true);
    let mut findings = Findings::default();
    for (ids, extras) in packets {
        rules_of_ring.sent(ids, *extras);
    }
    let all: Vec<(u16, i16)> = publications.concat();
    let (mut prod, mut answered) = (0, 0);
    for publication in publications {
        prod += publication.len() as u32;
        let response = |index: u32| {
            let (id, status) = all[index as usize];
            TxResponse { id, status }
        };
        answered += rules_of_ring.published(prod, response, &mut findings).len();
    }
    (rules(findings), answered)
}

/// An entry of the ring to the guest with data.
fn data(id: u16, offset: u16, flags: u16, status: i16) -> [u8; 8] {
    let mut entry = [0; 8];
    entry[0..2].copy_from_slice(&id.to_ne_bytes());
    entry[2..4].copy_from_slice(&offset.to_ne_bytes());
    entry[4..6].copy_from_slice(&flags.to_ne_bytes());
    entry[6..8].copy_from_slice(&status.to_ne_bytes());
    entry
}

fn gso(size: u16, kind: u8, flags: u8) -> [u8; 8] {
    let [s0, s1] = size.to_ne_bytes();
    [EXTRA_GSO, flags, s0, s1, kind, 0, 0, 0]
}

fn hash(kind: u8, algorithm: u8, flags: u8) -> [u8; 8] {
    [EXTRA_HASH, flags, kind, algorithm, 1, 2, 3, 4]
}

fn xdp(headroom: u16, flags: u8) -> [u8; 8] {
    let [h0, h1] = headroom.to_ne_bytes();
    [EXTRA_XDP, flags, h0, h1, 0, 0, 0, 0]
}

/// Asks for everything.
fn everything() -> Asked {
    Asked {
        sg: true,
        gso_v4: true,
        gso_v6: true,
        blank_v4: true,
        blank_v6: true,
        hashes: 0xf,
        headrooms: Vec::new(),
        strict: true,
    }
}

/// Buffers with the ids 100, 101 and so on, and what is published in their places.
fn rx_asking(asked: Asked, buffers: u16, entries: &[[u8; 8]]) -> (Vec<Rule>, Vec<Packet>) {
    let mut rules_of_ring = RxRules::new(asked);
    let mut findings = Findings::default();
    for number in 0..buffers {
        rules_of_ring.posted(100 + number);
    }
    let response = |index: u32| entries[index as usize];
    let packets = rules_of_ring.published(entries.len() as u32, response, &mut findings);
    (rules(findings), packets)
}

fn rx(entries: &[[u8; 8]]) -> Vec<Rule> {
    rx_asking(everything(), 30, entries).0
}

/// A frame of a protocol with a VLAN tag, of which the checksum is blank.
fn frame(asked: &Asked, protocol: u16, len: usize) -> Vec<Rule> {
    let flags = RX_BLANK | RX_VALIDATED;
    let (rules_of_ring, packets) = rx_asking(everything(), 1, &[data(100, 0, flags, len as i16)]);
    assert_eq!(rules_of_ring, []);
    let mut bytes = vec![0; 60];
    bytes[12..14].copy_from_slice(&0x8100u16.to_be_bytes());
    bytes[16..18].copy_from_slice(&protocol.to_be_bytes());
    let mut findings = Findings::default();
    check_frame(asked, &packets[0], &bytes, &mut findings);
    rules(findings)
}

fn control(answer: ControlResponse) -> Vec<Rule> {
    let mut findings = Findings::default();
    let mut rules_of_ring = ControlRules::default();
    rules_of_ring.asked(7, 2);
    let answers = rules_of_ring.published(1, |_| answer, &mut findings);
    assert_eq!(answers, [answer]);
    rules(findings)
}

const ANSWER: ControlResponse = ControlResponse {
    id: 7,
    kind: 2,
    status: 3,
    data: 0,
};

/// A backend that breaks the rule, in several ways: what is found in each.
fn broken(rule: Rule) -> Vec<Vec<Rule>> {
    let whole = RX_BLANK | RX_VALIDATED;
    match rule {
        Rule::ResponseWithoutRequest => vec![
            tx(&[(&[1], 0)], &[&[(1, OKAY), (2, OKAY)]]).0,
            rx_asking(
                everything(),
                1,
                &[data(100, 0, MORE_DATA, 4096), data(101, 0, 0, 1)],
            )
            .0,
            backwards(),
        ],
        Rule::UnknownId => vec![
            tx(&[(&[1], 0)], &[&[(2, OKAY)]]).0,
            tx(&[(&[1], 0), (&[2], 0)], &[&[(1, OKAY), (1, OKAY)]]).0,
        ],
        Rule::TxStatus => vec![
            tx(&[(&[1], 0)], &[&[(1, 2)]]).0,
            tx(&[(&[1], 0)], &[&[(1, -3)]]).0,
        ],
        Rule::NullWithoutExtra => vec![
            tx(&[(&[1], 0), (&[2], 0)], &[&[(1, OKAY), (0, NULL)]]).0,
            tx(
                &[(&[1], 1), (&[2], 0)],
                &[&[(1, OKAY), (0, NULL), (0, NULL)]],
            )
            .0,
        ],
        Rule::ExtrasApart => vec![
            tx(&[(&[1], 1)], &[&[(1, OKAY)], &[]]).0,
            tx(&[(&[1], 2)], &[&[(1, OKAY), (0, NULL)]]).0,
        ],
        Rule::PacketCut => vec![
            tx(&[(&[1, 2], 0)], &[&[(1, OKAY)], &[(2, OKAY)]]).0,
            rx(&[data(100, 0, MORE_DATA, 4096)]),
            rx(&[data(100, 0, EXTRA_INFO | whole, 4096)]),
            rx(&[
                data(100, 0, EXTRA_INFO | whole, 4096),
                gso(1448, 1, EXTRA_MORE),
            ]),
        ],
        Rule::RxId => vec![rx(&[data(99, 0, 0, 60)])],
        Rule::RxStatus => vec![rx(&[data(100, 0, 0, -2)]), rx(&[data(100, 0, 0, i16::MIN)])],
        Rule::RxLength => vec![
            rx(&[data(100, 0, 0, 0)]),
            rx(&[data(100, 4000, 0, 97)]),
            rx(&[data(100, 5000, 0, 1)]),
        ],
        Rule::RxFlags => vec![rx(&[data(100, 0, 16, 60)])],
        Rule::BlankNotValidated => vec![
            rx(&[data(100, 0, RX_BLANK, 60)]),
            rx(&[data(100, 0, EXTRA_INFO | RX_VALIDATED, 60), gso(1448, 1, 0)]),
        ],
        Rule::BlankNotAllowed => vec![
            frame(
                &Asked {
                    blank_v4: false,
                    ..everything()
                },
                0x0800,
                60,
            ),
            frame(
                &Asked {
                    blank_v6: false,
                    ..everything()
                },
                0x86dd,
                60,
            ),
            frame(&everything(), 0x0806, 60),
        ],
        Rule::ExtraNotFirst => vec![rx(&[
            data(100, 0, MORE_DATA, 4096),
            data(101, 0, EXTRA_INFO, 60),
        ])],
        Rule::ExtraNotAsked => vec![
            asking(|asked| asked.gso_v4 = false, gso(1448, 1, 0)),
            asking(|asked| asked.gso_v6 = false, gso(1448, 2, 0)),
            asking(|_| (), gso(1448, 3, 0)),
            asking(|_| (), gso(0, 1, 0)),
            asking(|asked| asked.hashes = 0b1101, hash(1, 1, 0)),
            asking(|_| (), hash(4, 1, 0)),
            asking(|_| (), hash(1, 0, 0)),
            asking(|_| (), xdp(256, 0)),
            asking(|asked| asked.headrooms = vec![0, 256], xdp(0, 0)),
        ],
        Rule::ExtraMalformed => vec![
            asking(|_| (), [6, 0, 0, 0, 0, 0, 0, 0]),
            asking(|_| (), [0, 0, 0, 0, 0, 0, 0, 0]),
            asking(|_| (), [EXTRA_GSO, 2, 1, 0, 1, 0, 0, 0]),
            asking(|_| (), [EXTRA_GSO, 0, 1, 0, 1, 1, 0, 0]),
            asking(|_| (), [EXTRA_XDP, 0, 1, 0, 0, 0, 0, 1]),
            rx(&[
                data(100, 0, EXTRA_INFO | whole, 60),
                gso(1448, 1, EXTRA_MORE),
                gso(1448, 1, 0),
            ]),
        ],
        Rule::TooManySlots => vec![
            rx(&pieces(19, 4096)),
            rx_asking(
                Asked {
                    sg: false,
                    ..everything()
                },
                2,
                &pieces(2, 4096),
            )
            .0,
        ],
        Rule::SlotsWasted => vec![rx(&pieces(2, 2048)), rx(&pieces(17, 3855))],
        Rule::ShortFrame => vec![frame(&everything(), 0x0800, 13)],
        Rule::WroteOutside => vec![
            untouched(10, 20, 9),
            untouched(10, 20, 20),
            untouched(0, 0, 0),
        ],
        Rule::ControlMismatch => vec![
            control(ControlResponse { id: 8, ..ANSWER }),
            control(ControlResponse { kind: 3, ..ANSWER }),
        ],
        Rule::ControlStatus => vec![control(ControlResponse {
            status: 4,
            ..ANSWER
        })],
        Rule::NotNotified => vec![notified(6, false), notified(10, false)],
    }
}

/// An extra, alone, for a frontend that asks for everything but what `but` takes away.
fn asking(but: impl FnOnce(&mut Asked), extra: [u8; 8]) -> Vec<Rule> {
    let mut asked = everything();
    but(&mut asked);
    let first = data(100, 0, EXTRA_INFO | RX_BLANK | RX_VALIDATED, 60);
    rx_asking(asked, 2, &[first, extra]).0
}

/// A packet of `count` slots with `size` bytes each.
fn pieces(count: u16, size: i16) -> Vec<[u8; 8]> {
    let more = |number| if number + 1 < count { MORE_DATA } else { 0 };
    (0..count)
        .map(|number| data(100 + number, 0, more(number), size))
        .collect()
}

/// A page that is said to be filled from `start` to `end`, and has been written at `at`.
fn untouched(start: usize, end: usize, at: usize) -> Vec<Rule> {
    let mut page = [UNTOUCHED; PAGE];
    page[start..end].fill(0);
    page[at] = 1;
    let mut findings = Findings::default();
    check_untouched(&page, start..end, &mut findings);
    rules(findings)
}

/// Responses from 5 to 10, with an event due at `event`.
fn notified(event: u32, woken: bool) -> Vec<Rule> {
    let mut findings = Findings::default();
    check_notified("rx", event, 5, 10, woken, &mut findings);
    rules(findings)
}

/// The index of the responses goes back by one.
fn backwards() -> Vec<Rule> {
    let mut findings = Findings::default();
    let mut rules_of_ring = TxRules::new(true);
    rules_of_ring.sent(&[1], 0);
    rules_of_ring.sent(&[2], 0);
    let response = |_| TxResponse {
        id: 1,
        status: OKAY,
    };
    rules_of_ring.published(1, response, &mut findings);
    assert_eq!(rules_of_ring.published(0, response, &mut findings), []);
    assert_eq!(rules_of_ring.outstanding(), 1);
    rules(findings)
}

#[test]
fn every_rule_is_found_broken_and_no_other() {
    for rule in Rule::ALL {
        for (number, found) in broken(rule).into_iter().enumerate() {
            assert_eq!(found, [rule], "{rule:?}, case {number}");
        }
    }
}

#[test]
fn all_rules_are_listed() {
    // `broken` names every rule there is: the compiler sees to that. `ALL` has them in their order.
    assert_eq!(Rule::ALL.len(), Rule::NotNotified as usize + 1);
    assert!(Rule::ALL
        .iter()
        .enumerate()
        .all(|(number, rule)| *rule as usize == number));
}

#[test]
fn a_good_backend_breaks_none_from_the_guest() {
    let packets: &[(&[u16], usize)] = &[(&[1], 0), (&[2, 3, 4], 2), (&[5], 1), (&[1], 0)];
    let (broken, answered) = tx(
        packets,
        &[
            &[(1, OKAY)],
            &[
                (2, OKAY),
                (0, NULL),
                (9, NULL),
                (3, OKAY),
                (4, OKAY),
                (5, ERROR),
                (0, NULL),
            ],
            &[],
            &[(1, DROPPED)],
        ],
    );
    assert_eq!((broken, answered), (vec![], 4));
}

#[test]
fn a_backend_may_answer_in_another_order() {
    let packets: &[(&[u16], usize)] = &[(&[1, 2], 1), (&[3], 0)];
    let (broken, answered) = tx(packets, &[&[(3, OKAY), (2, OKAY), (1, OKAY), (0, NULL)]]);
    assert_eq!((broken, answered), (vec![], 2));
}

#[test]
fn packets_may_be_cut_where_that_is_allowed() {
    let mut rules_of_ring = TxRules::new(false);
    let mut findings = Findings::default();
    rules_of_ring.sent(&[1, 2], 0);
    let response = |index| TxResponse {
        id: index as u16 + 1,
        status: OKAY,
    };
    assert_eq!(rules_of_ring.published(1, response, &mut findings), []);
    assert_eq!(rules_of_ring.published(2, response, &mut findings).len(), 1);
    assert_eq!(rules(findings), []);
}

#[test]
fn a_good_backend_breaks_none_to_the_guest() {
    let asked = Asked {
        headrooms: vec![256],
        ..everything()
    };
    let first = RX_BLANK | RX_VALIDATED | EXTRA_INFO | MORE_DATA;
    let entries = [
        data(100, 256, first, 3840),
        gso(1448, 2, EXTRA_MORE),
        hash(3, 1, EXTRA_MORE),
        xdp(256, 0),
        data(104, 256, 0, 1),
        data(105, 0, RX_VALIDATED, 60),
        data(106, 0, 0, ERROR),
    ];
    let (broken, packets) = rx_asking(asked, 30, &entries);
    assert_eq!(broken, []);
    let lengths: Vec<_> = packets
        .iter()
        .map(|packet| (packet.len(), packet.slots()))
        .collect();
    assert_eq!(lengths, [(Some(3841), 5), (Some(60), 1), (None, 1)]);
    let extras: Vec<_> = packets[0].extras.iter().map(|extra| extra.1).collect();
    let value = u32::from_ne_bytes([1, 2, 3, 4]);
    assert_eq!(
        extras,
        [
            Extra::Gso {
                size: 1448,
                kind: 2
            },
            Extra::Hash {
                kind: 3,
                algorithm: 1,
                value
            },
            Extra::Xdp { headroom: 256 },
        ]
    );
    assert_eq!(untouched(10, 20, 15), []);
    assert_eq!(control(ANSWER), []);
    assert_eq!(frame(&everything(), 0x86dd, 60), []);
    assert_eq!(rx(&pieces(18, 4096)), []);
}

#[test]
fn a_headroom_that_counts_as_data_is_left_out() {
    let asked = Asked {
        headrooms: vec![256],
        ..everything()
    };
    let (broken, packets) = rx_asking(asked, 2, &[data(100, 0, EXTRA_INFO, 256 + 60), xdp(256, 0)]);
    assert_eq!(broken, []);
    assert_eq!(packets[0].pieces[0].range(), 256..316);
}

#[test]
fn rings_go_on_where_indices_wrap() {
    let mut rules_of_ring = RxRules::new(everything());
    rules_of_ring.cons = u32::MAX;
    let mut findings = Findings::default();
    rules_of_ring.posted(1);
    rules_of_ring.posted(2);
    let response = |index: u32| data(if index == 0 { 2 } else { 1 }, 0, 0, 60);
    assert_eq!(rules_of_ring.published(1, response, &mut findings).len(), 2);
    assert_eq!((rules_of_ring.cons, rules_of_ring.outstanding()), (1, 0));
    assert_eq!(rules(findings), []);
}

#[test]
fn an_event_is_due_where_it_was_asked_for() {
    // (asked for, before, after, due)
    for (event, before, after, due) in [
        (6, 5, 6, true),
        (6, 5, 5, false),
        (6, 6, 9, false),
        (9, 5, 9, true),
        (10, 5, 9, false),
        (1, u32::MAX, 1, true),
        (2, u32::MAX, 1, false),
    ] {
        assert_eq!(
            must_notify(event, before, after),
            due,
            "{event} {before} {after}"
        );
    }
    assert_eq!(notified(11, false), []);
    assert_eq!(notified(6, true), []);
}
