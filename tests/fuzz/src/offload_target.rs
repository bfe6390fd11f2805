// SPDX-License-Identifier: GPL-2.0

//! The start of a frame, and what a guest claims about how to cut it.

use crate::{
    guest_tx::gso,
    headers::{
        self,
        PROTOCOL_TCP, //
    },
    wire::{
        Gso,
        GsoKind, //
    },
};

pub(crate) fn run(data: &[u8]) {
    let Some((&[kind, s0, s1, l0, l1], frame)) = data.split_first_chunk() else {
        return;
    };
    let size = u16::from_ne_bytes([s0, s1]);
    let len = usize::from(u16::from_ne_bytes([l0, l1])).max(frame.len());
    let found = headers::find(frame);
    if let Some(headers) = found {
        let network = 14 + 4 * usize::from(headers.tags);
        assert!(headers.tags <= 2 && network + 20 <= frame.len());
        if let Some(payload) = headers.payload {
            assert!(payload.at >= network + 20, "behind the header of IP");
        }
    }
    let Some(kind) = GsoKind::from_wire(kind & 3) else {
        return;
    };
    // The parser refuses that before.
    if size == 0 {
        return;
    }
    if let Some(verified) = gso::verify(Gso { kind, size }, frame, len) {
        let payload = found.and_then(|found| found.payload).expect("has headers");
        assert_eq!(payload.protocol, PROTOCOL_TCP);
        assert!(verified.header_len >= payload.at + 20);
        assert!(verified.header_len < len, "there is something to cut");
        let bytes = len - verified.header_len;
        assert_eq!(usize::from(verified.segments), bytes.div_ceil(size.into()));
    }
}
