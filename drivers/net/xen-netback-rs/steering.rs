// SPDX-License-Identifier: GPL-2.0

//! How the guest wants its packets to be spread over its queues.
//!
//! C header: [`include/xen/interface/io/netif.h`](srctree/include/xen/interface/io/netif.h)

use core::fmt;

use crate::{
    headers::{
        self,
        Addresses, //
    },
    toeplitz::{
        self,
        Key,
        Terms,
        KEY_LEN, //
    },
    wire::{
        Hash,
        HashKind, //
    }, //
};

/// Entries of the largest mapping.
pub(crate) const MAX_MAPPING: usize = 128;

/// Values in a row of the text for the administrator.
const ROW: usize = 8;

/// How packets are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// Not at all: the host chooses the queues.
    None = 0,
    Toeplitz = 1,
}

impl Algorithm {
    pub(crate) fn from_wire(algorithm: u32) -> Option<Self> {
        [Self::None, Self::Toeplitz]
            .into_iter()
            .find(|known| *known as u32 == algorithm)
    }
}

/// Kinds of hashes, as a set of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HashKinds(u32);

impl HashKinds {
    pub(crate) const NONE: Self = Self(0);

    /// What [`Settings::hash`] knows.
    pub(crate) const ALL: Self = Self(0xf);

    /// Returns [`None`] if there is a bit without a meaning.
    pub(crate) fn from_wire(bits: u32) -> Option<Self> {
        (bits & !Self::ALL.0 == 0).then_some(Self(bits))
    }

    pub(crate) fn to_wire(self) -> u32 {
        self.0
    }

    fn has(self, kind: HashKind) -> bool {
        // The greatest number of a kind is 3.
        self.0 & 1u32.wrapping_shl(kind as u32) != 0
    }
}

/// The queue for each remainder of a hash.
///
/// # Invariants
///
/// `size` is at most [`MAX_MAPPING`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    size: u16,
    queues: [u16; MAX_MAPPING],
}

/// A mapping is too large, or a part of it lies outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfRange;

impl Mapping {
    /// A mapping without entries: the remainder is the queue.
    pub(crate) const EMPTY: Self = Self {
        size: 0,
        queues: [0; MAX_MAPPING],
    };

    /// Creates a mapping of `size` entries, which all lead to the first queue.
    pub(crate) fn new(size: u32) -> Result<Self, OutOfRange> {
        // INVARIANT: Checked.
        match u16::try_from(size) {
            Ok(size) if usize::from(size) <= MAX_MAPPING => Ok(Self {
                size,
                ..Self::EMPTY
            }),
            _ => Err(OutOfRange),
        }
    }

    /// The entries.
    pub(crate) fn entries(&self) -> &[u16] {
        // INVARIANT: There are as many.
        self.queues.get(..self.size.into()).unwrap_or_default()
    }

    /// The `len` entries from `first` on.
    pub(crate) fn part_mut(&mut self, first: u32, len: u32) -> Result<&mut [u16], OutOfRange> {
        let end = first.checked_add(len).ok_or(OutOfRange)?;
        if end > self.size.into() {
            return Err(OutOfRange);
        }
        // Both are at most `MAX_MAPPING`.
        self.queues
            .get_mut(first as usize..end as usize)
            .ok_or(OutOfRange)
    }
}

/// What the guest has configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) algorithm: Algorithm,
    pub(crate) kinds: HashKinds,
    pub(crate) key: Key,
    pub(crate) mapping: Mapping,
}

impl Settings {
    /// What holds while the guest has said nothing.
    pub(crate) const NONE: Self = Self {
        algorithm: Algorithm::None,
        kinds: HashKinds::NONE,
        key: [0; KEY_LEN],
        mapping: Mapping::EMPTY,
    };

    /// The hash of a frame that starts with `start`, over as much of it as the guest has enabled; `table`
    /// is that of the key.
    ///
    /// [`None`] if nothing is enabled that the frame has. A frame with a VLAN tag has nothing, a
    /// fragment has no ports.
    pub(crate) fn hash(&self, table: &[Terms], start: &[u8]) -> Option<Hash> {
        if self.algorithm == Algorithm::None || self.kinds == HashKinds::NONE {
            return None;
        }
        let headers = headers::find(start).filter(|headers| headers.tags == 0)?;
        let (by_addresses, by_ports, addresses) = match &headers.addresses {
            Addresses::V4(bytes) => (HashKind::Ipv4, HashKind::Ipv4Tcp, bytes.as_slice()),
            Addresses::V6(bytes) => (HashKind::Ipv6, HashKind::Ipv6Tcp, bytes.as_slice()),
        };
        let ports: Option<[u8; 4]> = headers
            .payload
            .filter(|payload| payload.protocol == headers::PROTOCOL_TCP && self.kinds.has(by_ports))
            .and_then(|tcp| headers::array(start, tcp.at));
        let kind = match ports {
            Some(_) => by_ports,
            None if self.kinds.has(by_addresses) => by_addresses,
            None => return None,
        };
        let ports = ports.as_ref().map_or(&[][..], <[u8; 4]>::as_slice);
        Some(Hash {
            kind,
            value: toeplitz::part(table, 0, addresses)
                ^ toeplitz::part(table, addresses.len(), ports),
        })
    }

    /// The queue for a packet with `hash`, of `queues` which the guest has.
    ///
    /// [`None`] if the host is to choose. A packet without a hash goes where the hash 0 leads.
    pub(crate) fn queue(&self, hash: Option<Hash>, queues: u16) -> Option<u16> {
        if self.algorithm == Algorithm::None {
            return None;
        }
        let hash = hash.map_or(0, |hash| hash.value);
        let entries = self.mapping.entries();
        // Neither number is more than 16 bits.
        let queue = match hash.checked_rem(entries.len() as u32) {
            Some(entry) => *entries.get(entry as usize)?,
            None => hash.checked_rem(queues.into())? as u16,
        };
        Some(queue)
    }
}

/// The text for the administrator, in the lines of the C driver.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.algorithm {
            Algorithm::None => return f.write_str("Hash Algorithm: NONE\n"),
            Algorithm::Toeplitz => f.write_str("Hash Algorithm: TOEPLITZ\n")?,
        }
        if self.kinds != HashKinds::NONE {
            f.write_str("\nHash Flags:\n")?;
        }
        for (kind, name) in [
            (HashKind::Ipv4, "IPv4"),
            (HashKind::Ipv4Tcp, "IPv4 + TCP"),
            (HashKind::Ipv6, "IPv6"),
            (HashKind::Ipv6Tcp, "IPv6 + TCP"),
        ] {
            if self.kinds.has(kind) {
                writeln!(f, "- {name}")?;
            }
        }

        f.write_str("\nHash Key:\n")?;
        let mut rest: usize = 0;
        for row in self.key.chunks(ROW) {
            let first = rest;
            rest = first.saturating_add(row.len());
            write!(f, "[{:2} - {:2}]: ", first, rest.saturating_sub(1))?;
            row.iter().try_for_each(|byte| write!(f, "{byte:02x} "))?;
            f.write_str("\n")?;
        }

        let entries = self.mapping.entries();
        if !entries.is_empty() {
            f.write_str("\nHash Mapping:\n")?;
        }
        let mut rest: usize = 0;
        for row in entries.chunks(ROW) {
            let first = rest;
            rest = first.saturating_add(row.len());
            write!(f, "[{:4} - {:4}]: ", first, rest.saturating_sub(1))?;
            row.iter().try_for_each(|queue| write!(f, "{queue:4} "))?;
            f.write_str("\n")?;
        }
        Ok(())
    }
}
