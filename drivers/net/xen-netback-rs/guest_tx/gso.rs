// SPDX-License-Identifier: GPL-2.0

//! Whether a packet is what its guest claims when it asks for segmentation.

use crate::{
    headers::{
        self,
        Addresses, //
    },
    wire::{
        Gso,
        GsoKind, //
    }, //
};

/// The least payload of a segment which a sane TCP produces, in bytes; less multiplies the work.
const MIN_SIZE: usize = 8;

/// What follows from a claim which holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    /// Bytes from the start of the Ethernet header to the payload of TCP, less than the packet's.
    pub(crate) header_len: usize,
    /// Segments which the packet is cut into, at least one.
    pub(crate) segments: u16,
}

/// Checks `claim` against a packet of `len` bytes which starts with `linear`.
///
/// The headers up to the fixed part of TCP's have to lie in `linear`; there may be VLAN tags among
/// them. Returns [`None`] when the packet is not of the claimed protocol, is a fragment, or cannot be
/// cut as claimed.
pub(crate) fn verify(claim: Gso, linear: &[u8], len: usize) -> Option<Verified> {
    let headers = headers::find(linear)?;
    match (claim.kind, headers.addresses) {
        (GsoKind::TcpV4, Addresses::V4(_)) | (GsoKind::TcpV6, Addresses::V6(_)) => {}
        _ => return None,
    }
    let header_len = headers.behind_tcp(linear)?;
    Some(Verified {
        header_len,
        segments: segments(len, header_len, claim.size)?,
    })
}

/// Segments of at most `size` bytes of payload which a packet of `len` bytes is cut into.
fn segments(len: usize, header_len: usize, size: u16) -> Option<u16> {
    let size = usize::from(size);
    let payload = len.saturating_sub(header_len);
    if payload == 0 || size < MIN_SIZE {
        return None;
    }
    let whole = payload.checked_div(size)?;
    let last = usize::from(payload.checked_rem(size)? != 0);
    u16::try_from(whole.checked_add(last)?).ok()
}
