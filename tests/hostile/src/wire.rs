// SPDX-License-Identifier: GPL-2.0

//! How requests and responses lie in memory (Xen's `io/netif.h` and `io/ring.h`), in the byte order of
//! this machine.

/// Bytes of a page, of the unit of grants.
pub const PAGE: usize = 4096;
/// Where the entries of a ring start in its page.
pub const RING_HEADER: usize = 64;

/// Data slots of a packet that every frontend takes.
pub const MAX_DATA_SLOTS: usize = 18;
/// Bytes of an Ethernet header.
pub const ETHERNET_HEADER: usize = 14;

/// Another slot of the same packet follows; the same bit in both directions.
pub const MORE_DATA: u16 = 4;
/// Extras follow this slot; the same bit in both directions.
pub const EXTRA_INFO: u16 = 8;
/// To the guest: the checksum is right.
pub const RX_VALIDATED: u16 = 1;
/// To the guest: the checksum is that of the pseudo header only.
pub const RX_BLANK: u16 = 2;
/// Another extra follows this one.
pub const EXTRA_MORE: u8 = 1;

/// The request was granted.
pub const OKAY: i16 = 0;
/// The answer to an extra, which asks for nothing.
pub const NULL: i16 = 1;
/// The request could not be granted.
pub const ERROR: i16 = -1;
/// The packet was dropped.
pub const DROPPED: i16 = -2;

/// A packet's segmentation.
pub const EXTRA_GSO: u8 = 1;
/// A packet's hash.
pub const EXTRA_HASH: u8 = 4;
/// Bytes before a packet's data.
pub const EXTRA_XDP: u8 = 5;

/// Toeplitz, the only hash there is.
pub const TOEPLITZ: u8 = 1;

/// A ring's kind: its entries' size and their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// What it is called in reports.
    pub name: &'static str,
    /// Bytes of an entry.
    pub entry: usize,
    /// Entries, a power of two.
    pub entries: u32,
}

/// From the guest.
pub const TX: Kind = Kind {
    name: "tx",
    entry: 12,
    entries: 256,
};
/// To the guest.
pub const RX: Kind = Kind {
    name: "rx",
    entry: 8,
    entries: 256,
};
/// Configuration.
pub const CONTROL: Kind = Kind {
    name: "control",
    entry: 16,
    entries: 128,
};

/// One slot of a packet from the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxRequest {
    /// The granted page.
    pub gref: u32,
    /// Where the data starts in it.
    pub offset: u16,
    /// Flags of the packet, and whether more follows.
    pub flags: u16,
    /// What the response names.
    pub id: u16,
    /// Bytes: of the whole packet in its first slot, of the slot in the others.
    pub size: u16,
}

impl TxRequest {
    /// The entry.
    pub fn encode(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[0..4].copy_from_slice(&self.gref.to_ne_bytes());
        bytes[4..6].copy_from_slice(&self.offset.to_ne_bytes());
        bytes[6..8].copy_from_slice(&self.flags.to_ne_bytes());
        bytes[8..10].copy_from_slice(&self.id.to_ne_bytes());
        bytes[10..12].copy_from_slice(&self.size.to_ne_bytes());
        bytes
    }
}

/// The answer to one slot of a packet from the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxResponse {
    /// The request's.
    pub id: u16,
    /// OKAY, ERROR, DROPPED or NULL.
    pub status: i16,
}

impl TxResponse {
    /// Reads the entry.
    pub fn decode(bytes: [u8; 4]) -> Self {
        let [i0, i1, s0, s1] = bytes;
        Self {
            id: u16::from_ne_bytes([i0, i1]),
            status: i16::from_ne_bytes([s0, s1]),
        }
    }
}

/// A buffer for packets to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxRequest {
    /// What the response names.
    pub id: u16,
    /// The granted page.
    pub gref: u32,
}

impl RxRequest {
    /// The entry.
    pub fn encode(&self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[0..2].copy_from_slice(&self.id.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.gref.to_ne_bytes());
        bytes
    }
}

/// What became of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxResponse {
    /// The request's.
    pub id: u16,
    /// Where the data starts in the page.
    pub offset: u16,
    /// Flags of the packet, and whether more follows.
    pub flags: u16,
    /// Bytes of data, or an error when negative.
    pub status: i16,
}

impl RxResponse {
    /// Reads the entry.
    pub fn decode(bytes: [u8; 8]) -> Self {
        let [i0, i1, o0, o1, f0, f1, s0, s1] = bytes;
        Self {
            id: u16::from_ne_bytes([i0, i1]),
            offset: u16::from_ne_bytes([o0, o1]),
            flags: u16::from_ne_bytes([f0, f1]),
            status: i16::from_ne_bytes([s0, s1]),
        }
    }
}

/// What a packet to the guest carries beside its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// It is to be cut into segments with `size` bytes of payload; `kind` 1 is TCP over IPv4, 2 over IPv6.
    Gso {
        /// Payload of a segment in bytes.
        size: u16,
        /// The protocol.
        kind: u8,
    },
    /// Its hash; `kind` 0 to 3 is over IPv4, IPv4 with TCP, IPv6, IPv6 with TCP.
    Hash {
        /// What was hashed.
        kind: u8,
        /// How.
        algorithm: u8,
        /// The hash.
        value: u32,
    },
    /// Bytes before its data.
    Xdp {
        /// In bytes.
        headroom: u16,
    },
}

impl Extra {
    /// Reads the entry: the extra, and whether another one follows. The error says what is wrong.
    pub fn decode(bytes: [u8; 8]) -> Result<(Self, bool), String> {
        let [kind, flags, a, b, c, d, e, f] = bytes;
        if flags & !EXTRA_MORE != 0 {
            return Err(format!("flags {flags:#x}"));
        }
        let extra = match kind {
            EXTRA_GSO if [d, e, f] != [0; 3] => {
                return Err(format!("GSO with padding {d} {e} {f}"))
            }
            EXTRA_GSO => Self::Gso {
                size: u16::from_ne_bytes([a, b]),
                kind: c,
            },
            EXTRA_HASH => Self::Hash {
                kind: a,
                algorithm: b,
                value: u32::from_ne_bytes([c, d, e, f]),
            },
            EXTRA_XDP if [c, d, e, f] != [0; 4] => {
                return Err(format!("XDP with padding {c} {d} {e} {f}"))
            }
            EXTRA_XDP => Self::Xdp {
                headroom: u16::from_ne_bytes([a, b]),
            },
            _ => return Err(format!("type {kind}")),
        };
        Ok((extra, flags & EXTRA_MORE != 0))
    }
}

/// A request on the control ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlRequest {
    /// What the response names.
    pub id: u16,
    /// What is asked for.
    pub kind: u16,
    /// Its parameters.
    pub data: [u32; 3],
}

impl ControlRequest {
    /// The entry.
    pub fn encode(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[0..2].copy_from_slice(&self.id.to_ne_bytes());
        bytes[2..4].copy_from_slice(&self.kind.to_ne_bytes());
        for (to, word) in bytes[4..].chunks_exact_mut(4).zip(self.data) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

/// The answer on the control ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlResponse {
    /// The request's.
    pub id: u16,
    /// The request's.
    pub kind: u16,
    /// 0 for success.
    pub status: u32,
    /// What was asked for.
    pub data: u32,
}

impl ControlResponse {
    /// Reads the entry.
    pub fn decode(bytes: [u8; 12]) -> Self {
        let [i0, i1, k0, k1, s0, s1, s2, s3, d0, d1, d2, d3] = bytes;
        Self {
            id: u16::from_ne_bytes([i0, i1]),
            kind: u16::from_ne_bytes([k0, k1]),
            status: u32::from_ne_bytes([s0, s1, s2, s3]),
            data: u32::from_ne_bytes([d0, d1, d2, d3]),
        }
    }
}
