// SPDX-License-Identifier: GPL-2.0

//! Whether a packet is what its guest claims when it asks for segmentation.

use crate::wire::{
    Gso,
    GsoKind, //
};

/// The least payload of a segment which a sane TCP produces, in bytes; less multiplies the work.
const MIN_SIZE: usize = 8;

const ETHERNET_HEADER: usize = 14;
const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

const PROTOCOL_HOP_BY_HOP: u8 = 0;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_ROUTING: u8 = 43;
const PROTOCOL_DESTINATION: u8 = 60;

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
/// The headers up to the fixed part of TCP's have to lie in `linear`. Returns [`None`] when the
/// packet is not of the claimed protocol, is a fragment, or cannot be cut as claimed.
pub(crate) fn verify(claim: Gso, linear: &[u8], len: usize) -> Option<Verified> {
    let ethertype = u16::from_be_bytes(array(linear, 12)?);
    let tcp = match (claim.kind, ethertype) {
        (GsoKind::TcpV4, ETHERTYPE_IPV4) => tcp_over_ipv4(linear)?,
        (GsoKind::TcpV6, ETHERTYPE_IPV6) => tcp_over_ipv6(linear)?,
        _ => return None,
    };
    let [data_offset] = array(linear, tcp.checked_add(12)?)?;
    let tcp_len = usize::from(data_offset >> 4).checked_mul(4)?;
    if tcp_len < TCP_HEADER {
        return None;
    }
    let header_len = tcp.checked_add(tcp_len)?;
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

/// Returns where TCP's header starts.
fn tcp_over_ipv4(linear: &[u8]) -> Option<usize> {
    let [version_and_len] = array(linear, ETHERNET_HEADER)?;
    let fragment = u16::from_be_bytes(array(linear, ETHERNET_HEADER + 6)?);
    let [protocol] = array(linear, ETHERNET_HEADER + 9)?;
    let words = usize::from(version_and_len & 0xf);
    // Neither more fragments nor an offset; "don't fragment" and the reserved bit may be set.
    let fragmented = fragment & 0x3fff != 0;
    if version_and_len >> 4 != 4 || words < 5 || fragmented || protocol != PROTOCOL_TCP {
        return None;
    }
    words.checked_mul(4)?.checked_add(ETHERNET_HEADER)
}

/// Returns where TCP's header starts, behind the extension headers.
fn tcp_over_ipv6(linear: &[u8]) -> Option<usize> {
    let [version] = array(linear, ETHERNET_HEADER)?;
    if version >> 4 != 6 {
        return None;
    }
    let [mut protocol] = array(linear, ETHERNET_HEADER + 6)?;
    let mut at = ETHERNET_HEADER + IPV6_HEADER;
    // Each turn moves on by at least eight bytes, and ends at the end of `linear`.
    loop {
        match protocol {
            PROTOCOL_TCP => return Some(at),
            PROTOCOL_HOP_BY_HOP | PROTOCOL_ROUTING | PROTOCOL_DESTINATION => {
                let [next, units] = array(linear, at)?;
                let len = usize::from(units).checked_add(1)?.checked_mul(8)?;
                protocol = next;
                at = at.checked_add(len)?;
            }
            _ => return None,
        }
    }
}

/// The `N` bytes of `data` from `at` on.
fn array<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..)?.first_chunk().copied()
}
