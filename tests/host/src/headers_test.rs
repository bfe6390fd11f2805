// SPDX-License-Identifier: GPL-2.0

//! Headers which are built, and bytes which are none.

use proptest::prelude::*;

use super::frame::{self, Frame, EXTENSIONS, TAGS};
use super::headers::*;

fn addresses(frame: &Frame) -> Addresses {
    let bytes = frame.addresses();
    match frame.v6 {
        false => Addresses::V4(bytes.try_into().expect("eight")),
        true => Addresses::V6(bytes.try_into().expect("thirty-two")),
    }
}

/// What is to be found in a whole frame.
fn expected(frame: &Frame) -> Headers {
    Headers {
        tags: frame.tags.len() as u8,
        addresses: addresses(frame),
        payload: Some(Payload {
            protocol: frame.protocol,
            at: frame.headers().len(),
        }),
    }
}

#[test]
fn plain_frames() {
    for (v6, at) in [(false, 14 + 20), (true, 14 + 40)] {
        let frame = Frame::plain(v6);
        let payload = Some(Payload { protocol: 6, at });
        assert_eq!(
            find(&frame.headers()),
            Some(Headers {
                tags: 0,
                addresses: addresses(&frame),
                payload
            })
        );
    }
}

#[test]
fn tags() {
    for v6 in [false, true] {
        for outer in TAGS {
            let mut frame = Frame::plain(v6);
            frame.tags = vec![outer];
            assert_eq!(find(&frame.headers()), Some(expected(&frame)));
            for inner in TAGS {
                frame.tags = vec![outer, inner];
                assert_eq!(find(&frame.headers()), Some(expected(&frame)));
                frame.tags = vec![outer, inner, outer];
                assert_eq!(find(&frame.headers()), None, "one too many");
            }
        }
    }
}

#[test]
fn only_ip() {
    for ethertype in 0..=u16::MAX {
        for v6 in [false, true] {
            let mut bytes = Frame::plain(v6).headers();
            bytes[12..14].copy_from_slice(&ethertype.to_be_bytes());
            // Behind what looks like a tag there is no ethertype here.
            let right = ethertype == if v6 { 0x86dd } else { 0x0800 };
            assert_eq!(find(&bytes).is_some(), right, "{ethertype:#x}");
        }
    }
    for v6 in [false, true] {
        for version in 0..16 {
            let mut bytes = Frame::plain(v6).headers();
            bytes[14] = version << 4 | 5;
            let right = version == if v6 { 6 } else { 4 };
            assert_eq!(find(&bytes).is_some(), right, "{version}");
        }
    }
    for ihl in 0..5 {
        let mut bytes = Frame::plain(false).headers();
        bytes[14] = 0x40 | ihl;
        assert_eq!(find(&bytes), None, "{ihl}");
    }
}

#[test]
fn fragments() {
    let mut frame = Frame::plain(false);
    for fragment in 0..=u16::MAX {
        frame.fragment = fragment;
        let headers = find(&frame.headers()).expect("it is IP");
        let whole = matches!(fragment, 0 | 0x4000 | 0x8000 | 0xc000);
        assert_eq!(headers.payload.is_some(), whole, "{fragment:#x}");
        assert_eq!(headers.addresses, addresses(&frame));
    }
    // Of IPv6 the header that says so is what IP carries.
    let mut frame = Frame::plain(true);
    frame.extensions = vec![(44, 0)];
    let payload = find(&frame.headers()).and_then(|headers| headers.payload);
    assert_eq!(
        payload,
        Some(Payload {
            protocol: 44,
            at: 54
        })
    );
}

#[test]
fn every_protocol() {
    for v6 in [false, true] {
        for protocol in 0..=255 {
            let mut frame = Frame::plain(v6);
            frame.protocol = protocol;
            let payload = find(&frame.headers()).expect("it is IP").payload;
            if v6 && EXTENSIONS.contains(&protocol) {
                assert_eq!(
                    payload, None,
                    "the header that {protocol} announces is missing"
                );
            } else {
                let at = frame.headers().len();
                assert_eq!(payload, Some(Payload { protocol, at }));
            }
        }
    }
}

proptest! {
    #[test]
    fn whole_headers(frame in frame::any(), rest in 0..100usize) {
        let mut bytes = frame.headers();
        let headers = expected(&frame);
        bytes.resize(bytes.len() + rest, 0xaa);
        prop_assert_eq!(find(&bytes), Some(headers));
    }

    /// From a part of a frame nothing else is concluded than from all of it.
    #[test]
    fn cut_headers(frame in frame::any(), keep in any::<usize>()) {
        let bytes = frame.headers();
        let keep = keep % (bytes.len() + 1);
        let fixed = frame.network() + if frame.v6 { 40 } else { 20 };
        let Headers { tags, addresses, payload } = expected(&frame);
        match find(&bytes[..keep]) {
            None => prop_assert!(keep < fixed),
            Some(found) => {
                prop_assert!(keep >= fixed);
                prop_assert_eq!((found.tags, found.addresses), (tags, addresses));
                prop_assert!(found.payload == payload || frame.v6 && found.payload.is_none());
            }
        }
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), ethertype in 0..5usize) {
        let mut bytes = bytes;
        // Mostly something that is looked at.
        if let (Some(place), Some(ethertype)) = (bytes.get_mut(12..14), [0x0800, 0x86dd, 0x8100, 0x88a8u16].get(ethertype)) {
            place.copy_from_slice(&ethertype.to_be_bytes());
        }
        if let Some(Headers { tags, payload, .. }) = find(&bytes) {
            prop_assert!(tags <= 2);
            prop_assert!(payload.is_none_or(|payload| payload.at >= 34));
        }
    }
}
