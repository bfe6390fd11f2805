// SPDX-License-Identifier: GPL-2.0

//! Claims about packets which are built field by field.

use proptest::prelude::*;

use super::gso::*;
use crate::frame::{self, Frame};
use crate::wire::{Gso, GsoKind};

/// A large packet, and what is to be known about it.
#[derive(Clone, Debug)]
struct Packet {
    frame: Frame,
    /// 32-bit words of the TCP header.
    data_offset: u8,
}

impl Packet {
    fn plain(kind: GsoKind) -> Self {
        Self {
            frame: Frame::plain(kind == GsoKind::TcpV6),
            data_offset: 5,
        }
    }

    fn kind(&self) -> GsoKind {
        match self.frame.v6 {
            false => GsoKind::TcpV4,
            true => GsoKind::TcpV6,
        }
    }

    fn headers(&self) -> Vec<u8> {
        let mut bytes = self.frame.headers();
        let mut tcp = vec![0xaa; 20.max(usize::from(self.data_offset) * 4)];
        tcp[12] = self.data_offset << 4 | 0xf;
        bytes.extend(tcp);
        bytes
    }

    /// Checks a packet of these headers and 3000 bytes.
    fn verify(&self, kind: GsoKind) -> Option<Verified> {
        let headers = self.headers();
        verify(Gso { kind, size: 1000 }, &headers, headers.len() + 3000)
    }
}

fn other(kind: GsoKind) -> GsoKind {
    match kind {
        GsoKind::TcpV4 => GsoKind::TcpV6,
        GsoKind::TcpV6 => GsoKind::TcpV4,
    }
}

const KINDS: [GsoKind; 2] = [GsoKind::TcpV4, GsoKind::TcpV6];

#[test]
fn plain_packets() {
    for (kind, header_len) in KINDS.into_iter().zip([14 + 20 + 20, 14 + 40 + 20]) {
        let packet = Packet::plain(kind);
        let verified = Some(Verified {
            header_len,
            segments: 3,
        });
        assert_eq!(packet.verify(kind), verified);
        assert_eq!(
            packet.verify(other(kind)),
            None,
            "the other protocol is claimed"
        );
    }
}

#[test]
fn the_claimed_protocol() {
    for kind in KINDS {
        for protocol in 0..=255 {
            let mut packet = Packet::plain(kind);
            packet.frame.protocol = protocol;
            assert_eq!(packet.verify(kind).is_some(), protocol == 6, "{protocol}");
        }
        for at in [12, 13, 14] {
            for bit in 0..8 {
                let mut headers = Packet::plain(kind).headers();
                headers[at] ^= 1 << bit;
                let verified = verify(Gso { kind, size: 1000 }, &headers, 4000);
                // Only the high bits of the first byte of IP are the version, and only IPv4 has
                // its length in the low ones.
                let traffic_class = at == 14 && bit < 4 && kind == GsoKind::TcpV6;
                assert_eq!(verified.is_some(), traffic_class, "{at} {bit}");
            }
        }
    }
}

#[test]
fn fragments() {
    let mut packet = Packet::plain(GsoKind::TcpV4);
    for fragment in 0..=u16::MAX {
        packet.frame.fragment = fragment;
        let whole = matches!(fragment, 0 | 0x4000 | 0x8000 | 0xc000);
        assert_eq!(
            packet.verify(GsoKind::TcpV4).is_some(),
            whole,
            "{fragment:#x}"
        );
    }
    let mut packet = Packet::plain(GsoKind::TcpV6);
    packet.frame.extensions = vec![(44, 0)];
    assert_eq!(packet.verify(GsoKind::TcpV6), None);
}

#[test]
fn tags() {
    for kind in KINDS {
        let mut packet = Packet::plain(kind);
        for tags in 0..=3 {
            packet.frame.tags = vec![0x8100; tags];
            let header_len = packet.headers().len();
            let segments = 3;
            let verified = Some(Verified {
                header_len,
                segments,
            })
            .filter(|_| tags <= 2);
            assert_eq!(packet.verify(kind), verified, "{tags}");
            assert_eq!(
                packet.verify(other(kind)),
                None,
                "the other protocol is claimed"
            );
        }
    }
}

#[test]
fn lengths_of_headers() {
    for data_offset in 0..=15 {
        let mut packet = Packet::plain(GsoKind::TcpV4);
        packet.data_offset = data_offset;
        let header_len = packet
            .verify(GsoKind::TcpV4)
            .map(|verified| verified.header_len);
        let expected = (data_offset >= 5).then_some(34 + 4 * usize::from(data_offset));
        assert_eq!(header_len, expected);
    }
    for ihl in 0..5 {
        let mut headers = Packet::plain(GsoKind::TcpV4).headers();
        headers[14] = 0x40 | ihl;
        // Where such a header would end, there is a TCP header which looks right.
        headers[14 + 4 * usize::from(ihl) + 12] = 0x50;
        let kind = GsoKind::TcpV4;
        assert_eq!(
            verify(Gso { kind, size: 1000 }, &headers, 4000),
            None,
            "{ihl}"
        );
    }
}

#[test]
fn what_cannot_be_cut() {
    let headers = Packet::plain(GsoKind::TcpV4).headers();
    let segments = |payload, size| {
        let kind = GsoKind::TcpV4;
        let len = headers.len() + payload;
        verify(Gso { kind, size }, &headers, len).map(|verified| verified.segments)
    };
    assert_eq!(segments(1, 1448), Some(1));
    assert_eq!(segments(1448, 1448), Some(1));
    assert_eq!(segments(1449, 1448), Some(2));
    assert_eq!(segments(2896, 1448), Some(2));
    assert_eq!(segments(65000, 65535), Some(1));
    assert_eq!(segments(65000, 8), Some(8125));
    assert_eq!(
        segments(65000, 7),
        None,
        "as much work as a packet can make"
    );
    assert_eq!(segments(65000, 0), None);
    assert_eq!(segments(0, 1448), None);
    assert_eq!(segments(65535 * 8, 8), Some(65535));
    assert_eq!(segments(65535 * 8 + 1, 8), None);

    let claim = |len| {
        verify(
            Gso {
                kind: GsoKind::TcpV4,
                size: 1448,
            },
            &headers,
            len,
        )
    };
    for len in 0..=headers.len() {
        assert_eq!(claim(len), None, "no payload");
    }
}

#[test]
fn headers_have_to_be_there() {
    for kind in KINDS {
        let headers = Packet::plain(kind).headers();
        let claim = |len: usize| verify(Gso { kind, size: 1000 }, &headers[..len], 4000);
        // The rest of TCP's header says nothing that matters here.
        let needed = headers.len() - 20 + 13;
        for len in 0..=headers.len() {
            assert_eq!(claim(len).is_some(), len >= needed, "{len}");
        }
    }
}

fn any_packet() -> impl Strategy<Value = Packet> {
    (frame::any(), 5..=15u8).prop_map(|(frame, data_offset)| Packet { frame, data_offset })
}

proptest! {
    #[test]
    fn right_claims(packet in any_packet(), payload in 1..=60000usize, size in 8..=u16::MAX) {
        let headers = packet.headers();
        let claim = Gso { kind: packet.kind(), size };
        let verified = verify(claim, &headers, headers.len() + payload);
        let segments = vec![0u8; payload].chunks(size.into()).count() as u16;
        prop_assert_eq!(verified, Some(Verified { header_len: headers.len(), segments }));
    }

    /// Whatever the bytes are, what is said about them can be relied on.
    #[test]
    fn any_bytes(
        packet in any_packet(),
        noise in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..=8),
        keep in any::<usize>(),
        len in 0..=70000usize,
        size in any::<u16>(),
    ) {
        let mut bytes = packet.headers();
        let count = bytes.len();
        for (at, value) in noise {
            bytes[at % count] = value;
        }
        let claim = Gso { kind: packet.kind(), size };
        let kept = &bytes[..keep % (count + 1)];
        if let Some(Verified { header_len, segments }) = verify(claim, kept, len) {
            prop_assert!((54..len).contains(&header_len));
            let (payload, size) = (len - header_len, usize::from(size));
            prop_assert!(payload <= size * usize::from(segments));
            prop_assert!(payload > size * usize::from(segments - 1));
        }
    }
}
