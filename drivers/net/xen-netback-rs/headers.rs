// SPDX-License-Identifier: GPL-2.0

//! Where the headers of an Ethernet frame are.

/// VLAN tags which are looked behind: one within another.
const MAX_TAGS: u8 = 2;

const TAG: usize = 4;
const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_SERVICE_VLAN: u16 = 0x88a8;

const PROTOCOL_HOP_BY_HOP: u8 = 0;
pub(crate) const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_ROUTING: u8 = 43;
const PROTOCOL_DESTINATION: u8 = 60;

/// The headers of a frame that carries IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Headers {
    /// VLAN tags between the Ethernet addresses and the header of IP.
    pub(crate) tags: u8,
    pub(crate) addresses: Addresses,
    /// What IP carries, if the frame holds the start of it and it was found.
    pub(crate) payload: Option<Payload>,
}

/// The source and behind it the destination of IP, as in its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addresses {
    V4([u8; 8]),
    V6([u8; 32]),
}

/// What IP carries, behind the extension headers that concern a packet as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) protocol: u8,
    /// Bytes from the start of the frame. There may be less of it than that.
    pub(crate) at: usize,
}

impl Headers {
    /// Where the payload of TCP begins, in bytes from the start of the frame, which begins with `start`. There may be
    /// less of the frame than that.
    ///
    /// Returns [`None`] for what is no TCP, when its header makes no sense, or does not lie in `start` as far as it is
    /// looked at.
    pub(crate) fn behind_tcp(&self, start: &[u8]) -> Option<usize> {
        let tcp = self
            .payload
            .filter(|payload| payload.protocol == PROTOCOL_TCP)?
            .at;
        let [data_offset] = array(start, tcp.checked_add(12)?)?;
        let len = usize::from(data_offset >> 4).checked_mul(4)?;
        if len < TCP_HEADER {
            return None;
        }
        tcp.checked_add(len)
    }
}

/// Finds the headers of a frame that starts with `start`.
///
/// Returns [`None`] for what is no IP, or when the fixed part of its header does not lie in `start`.
pub(crate) fn find(start: &[u8]) -> Option<Headers> {
    let mut tags: u8 = 0;
    let mut at = 12;
    loop {
        let ethertype = u16::from_be_bytes(array(start, at)?);
        match ethertype {
            ETHERTYPE_VLAN | ETHERTYPE_SERVICE_VLAN if tags < MAX_TAGS => {
                tags = tags.wrapping_add(1);
                at = at.checked_add(TAG)?;
            }
            ETHERTYPE_IPV4 => return ipv4(start, at.checked_add(2)?, tags),
            ETHERTYPE_IPV6 => return ipv6(start, at.checked_add(2)?, tags),
            _ => return None,
        }
    }
}

/// The `N` bytes of `data` from `at` on.
pub(crate) fn array<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..)?.first_chunk().copied()
}

fn ipv4(start: &[u8], at: usize, tags: u8) -> Option<Headers> {
    let header: [u8; 20] = array(start, at)?;
    let [version_and_len] = array(&header, 0)?;
    let fragment = u16::from_be_bytes(array(&header, 6)?);
    let [protocol] = array(&header, 9)?;
    let words = usize::from(version_and_len & 0xf);
    if version_and_len >> 4 != 4 || words < 5 {
        return None;
    }
    let payload = Payload {
        protocol,
        at: words.checked_mul(4)?.checked_add(at)?,
    };
    Some(Headers {
        tags,
        addresses: Addresses::V4(array(&header, 12)?),
        // Neither more fragments nor an offset; "don't fragment" and the reserved bit may be set.
        payload: (fragment & 0x3fff == 0).then_some(payload),
    })
}

fn ipv6(start: &[u8], at: usize, tags: u8) -> Option<Headers> {
    let header: [u8; IPV6_HEADER] = array(start, at)?;
    let [version] = array(&header, 0)?;
    let [protocol] = array(&header, 6)?;
    if version >> 4 != 6 {
        return None;
    }
    Some(Headers {
        tags,
        addresses: Addresses::V6(array(&header, 8)?),
        payload: behind_extensions(start, at.checked_add(IPV6_HEADER)?, protocol),
    })
}

/// Finds what lies behind the extension headers of IPv6 that start with one of `protocol`.
fn behind_extensions(start: &[u8], mut at: usize, mut protocol: u8) -> Option<Payload> {
    // Each turn moves on by at least eight bytes, and ends at the end of `start`.
    while let PROTOCOL_HOP_BY_HOP | PROTOCOL_ROUTING | PROTOCOL_DESTINATION = protocol {
        let [next, units] = array(start, at)?;
        let len = usize::from(units).checked_add(1)?.checked_mul(8)?;
        protocol = next;
        at = at.checked_add(len)?;
    }
    Some(Payload { protocol, at })
}
