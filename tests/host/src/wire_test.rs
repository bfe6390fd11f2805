// SPDX-License-Identifier: GPL-2.0

//! The layouts against bytes written down from the protocol's tables.

use crate::wire::*;

/// The vectors are those of a little-endian machine.
fn le<const N: usize>(bytes: [u8; N]) -> [u8; N] {
    const { assert!(cfg!(target_endian = "little")) };
    bytes
}

#[test]
fn tx_request_fields() {
    let request = TxRequest::decode(&le([
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0c, 0x00, 0x09, 0x0a, 0x0b, 0x0d,
    ]));
    assert_eq!(request.gref, 0x04030201);
    assert_eq!(request.offset, 0x0605);
    assert!(request.flags.more_data() && request.flags.extra_info());
    assert_eq!(request.id, 0x0a09);
    assert_eq!(request.size, 0x0d0b);
}

#[test]
fn tx_flags() {
    let flags = |bits: u8| TxRequest::decode(&le([0, 0, 0, 0, 0, 0, bits, 0, 0, 0, 0, 0])).flags;
    assert_eq!(flags(0).checksum(), Checksum::Unverified);
    assert_eq!(flags(1).checksum(), Checksum::Blank);
    assert_eq!(flags(2).checksum(), Checksum::Valid);
    assert_eq!(flags(3).checksum(), Checksum::Blank);
    assert!(flags(4).more_data() && !flags(4).extra_info());
    assert!(flags(8).extra_info() && !flags(8).more_data());
    assert_eq!(flags(0xf0).checksum(), Checksum::Unverified);
    assert!(!flags(0xf0).more_data() && !flags(0xf0).extra_info());
}

#[test]
fn tx_replies() {
    assert_eq!(tx_reply(0x1234, TxStatus::Okay), le([0x34, 0x12, 0, 0]));
    assert_eq!(
        tx_reply(0x1234, TxStatus::Error),
        le([0x34, 0x12, 0xff, 0xff])
    );
    assert_eq!(tx_null_reply(), le([0, 0, 1, 0]));
    for id in [0, 0x1234] {
        assert_eq!(
            tx_failed(tx_reply(id, TxStatus::Okay)),
            tx_reply(id, TxStatus::Error)
        );
    }
    assert_eq!(tx_failed(tx_null_reply()), tx_null_reply());
}

#[test]
fn rx_request_fields() {
    let request = RxRequest::decode(&le([0x01, 0x02, 0xee, 0xee, 0x03, 0x04, 0x05, 0x06]));
    assert_eq!(request.id, 0x0201);
    assert_eq!(request.gref, 0x06050403);
}

#[test]
fn rx_response_fields() {
    let response = |checksum, more, extra| {
        RxResponse {
            id: 0x0201,
            offset: 0x0403,
            flags: RxFlags::new(checksum, more, extra),
            len: 0x0605,
        }
        .encode()
    };
    let expected = |flags| le([1, 2, 3, 4, flags, 0, 5, 6]);
    assert_eq!(response(Checksum::Unverified, false, false), expected(0));
    assert_eq!(response(Checksum::Valid, false, false), expected(1));
    assert_eq!(response(Checksum::Blank, false, false), expected(3));
    assert_eq!(response(Checksum::Unverified, true, false), expected(4));
    assert_eq!(response(Checksum::Unverified, false, true), expected(8));
    assert_eq!(
        rx_failed(response(Checksum::Blank, true, true)),
        le([1, 2, 3, 4, 15, 0, 0xff, 0xff])
    );
}

#[test]
fn rx_extras() {
    let gso = |kind| RxExtra::Gso(Gso { kind, size: 0x0201 });
    assert_eq!(
        gso(GsoKind::TcpV4).encode(false),
        le([1, 0, 1, 2, 1, 0, 0, 0])
    );
    assert_eq!(
        gso(GsoKind::TcpV6).encode(true),
        le([1, 1, 1, 2, 2, 0, 0, 0])
    );

    let value = 0x04030201;
    let hash = |kind| RxExtra::Hash(Hash { kind, value });
    assert_eq!(
        hash(HashKind::Ipv4).encode(false),
        le([4, 0, 0, 1, 1, 2, 3, 4])
    );
    assert_eq!(
        hash(HashKind::Ipv4Tcp).encode(false),
        le([4, 0, 1, 1, 1, 2, 3, 4])
    );
    assert_eq!(
        hash(HashKind::Ipv6).encode(false),
        le([4, 0, 2, 1, 1, 2, 3, 4])
    );
    assert_eq!(
        hash(HashKind::Ipv6Tcp).encode(true),
        le([4, 1, 3, 1, 1, 2, 3, 4])
    );

    assert_eq!(
        RxExtra::Xdp(0x0100).encode(true),
        le([5, 1, 0, 1, 0, 0, 0, 0])
    );
}

#[test]
fn numbers_of_kinds() {
    let gso = [None, Some(GsoKind::TcpV4), Some(GsoKind::TcpV6), None];
    let hash = [
        Some(HashKind::Ipv4),
        Some(HashKind::Ipv4Tcp),
        Some(HashKind::Ipv6),
        Some(HashKind::Ipv6Tcp),
    ];
    for number in 0..=255u8 {
        let index = usize::from(number);
        assert_eq!(
            GsoKind::from_wire(number),
            gso.get(index).copied().flatten()
        );
        assert_eq!(
            HashKind::from_wire(number),
            hash.get(index).copied().flatten()
        );
    }
    let ports = hash.map(|kind| kind.is_some_and(HashKind::covers_ports));
    assert_eq!(ports, [false, true, false, true]);
}

#[test]
fn control_requests_and_replies() {
    let mut slot = le([0x34, 0x12]).to_vec();
    slot.extend(le([0x06, 0x00]));
    slot.extend(le([4, 3, 2, 1]));
    slot.extend(le([8, 7, 6, 5]));
    slot.extend(le([12, 11, 10, 9]));
    let request = ControlRequest::decode(&slot.try_into().expect("16 bytes"));
    let expected = ControlRequest {
        id: 0x1234,
        kind: 6,
        data: [0x0102_0304, 0x0506_0708, 0x090a_0b0c],
    };
    assert_eq!(request, expected);

    for (result, status, data) in [
        (Ok(0x0102_0304), 0, [4, 3, 2, 1]),
        (Err(Refusal::NotSupported), 1, [0; 4]),
        (Err(Refusal::InvalidParameter), 2, [0; 4]),
    ] {
        let mut reply = le([0x34, 0x12]).to_vec();
        reply.extend(le([0x06, 0x00]));
        reply.extend(le([status, 0, 0, 0]));
        reply.extend(le(data));
        assert_eq!(request.reply(result).to_vec(), reply);
    }
}
