// SPDX-License-Identifier: GPL-2.0

//! The start of an Ethernet frame, built field by field.

use proptest::prelude::*;

pub(crate) const TAGS: [u16; 2] = [0x8100, 0x88a8];
pub(crate) const EXTENSIONS: [u8; 3] = [0, 43, 60];

/// A frame with IP, and what is to be known about it. Other fields have arbitrary values.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) v6: bool,
    /// Ethertypes of VLAN tags, outermost first.
    pub(crate) tags: Vec<u16>,
    /// 32-bit words of the IPv4 header.
    pub(crate) ihl: u8,
    /// Flags and offset of IPv4.
    pub(crate) fragment: u16,
    /// Extension headers of IPv6: their protocols, and the units of eight bytes beyond the first.
    pub(crate) extensions: Vec<(u8, u8)>,
    /// What follows.
    pub(crate) protocol: u8,
}

impl Frame {
    pub(crate) fn plain(v6: bool) -> Self {
        Self {
            v6,
            tags: Vec::new(),
            ihl: 5,
            fragment: 0x4000,
            extensions: Vec::new(),
            protocol: 6,
        }
    }

    /// Source and destination: every byte has another value.
    pub(crate) fn addresses(&self) -> Vec<u8> {
        (1..=if self.v6 { 32 } else { 8 }).collect()
    }

    /// Bytes up to the header of IP.
    pub(crate) fn network(&self) -> usize {
        14 + 4 * self.tags.len()
    }

    /// The bytes of all headers up to what IP carries.
    pub(crate) fn headers(&self) -> Vec<u8> {
        let mut bytes = vec![0xaa; 12];
        for tag in &self.tags {
            bytes.extend(tag.to_be_bytes());
            // The number of the VLAN looks like IPv4.
            bytes.extend([0x08, 0x00]);
        }
        if self.v6 {
            bytes.extend([0x86, 0xdd]);
            let protocols = self.extensions.iter().map(|(protocol, _)| *protocol);
            let mut next = protocols.chain([self.protocol]);
            let mut ip = vec![0xaa; 8];
            ip[0] = 0x6a;
            ip[6] = next.next().expect("at least the last");
            ip.extend(self.addresses());
            bytes.extend(ip);
            for (_, units) in &self.extensions {
                let mut extension = vec![0xaa; (usize::from(*units) + 1) * 8];
                extension[0] = next.next().expect("one for each");
                extension[1] = *units;
                bytes.extend(extension);
            }
        } else {
            bytes.extend([0x08, 0x00]);
            let mut ip = vec![0xaa; usize::from(self.ihl) * 4];
            ip[0] = 0x40 | self.ihl;
            ip[6..8].copy_from_slice(&self.fragment.to_be_bytes());
            ip[9] = self.protocol;
            ip[12..20].copy_from_slice(&self.addresses());
            bytes.extend(ip);
        }
        bytes
    }
}

/// Frames with up to two tags and any number of headers of any length.
pub(crate) fn any() -> impl Strategy<Value = Frame> {
    let tags = proptest::collection::vec(proptest::sample::select(&TAGS[..]), 0..=2);
    let extension = (proptest::sample::select(&EXTENSIONS[..]), 0..=255u8);
    let extensions = proptest::collection::vec(extension, 0..=5);
    (proptest::bool::ANY, tags, 5..=15u8, extensions).prop_map(|(v6, tags, ihl, extensions)| {
        Frame {
            tags,
            ihl,
            extensions: if v6 { extensions } else { Vec::new() },
            ..Frame::plain(v6)
        }
    })
}
