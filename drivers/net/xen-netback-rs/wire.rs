// SPDX-License-Identifier: GPL-2.0

//! The entries of the network rings, byte for byte.
//!
//! An entry is decoded from, or encoded into, a private copy; nothing here sees a shared page. All
//! fields are in native byte order, since both ends run on the same machine.
//!
//! The checksum bits of the two directions are swapped, so each direction has its own flags type
//! and both are expressed by the one [`Checksum`].
//!
//! C header: [`include/xen/interface/io/netif.h`](srctree/include/xen/interface/io/netif.h)

/// Bytes of a granted page, whatever the page size of the kernel is.
pub(crate) const PAGE_SIZE: u16 = 4096;

/// An entry of the ring from the guest: a request, or the extra info of the request before it.
pub(crate) type TxSlot = [u8; 12];

/// The answer to a [`TxSlot`]; only the first bytes of the entry are written.
pub(crate) type TxReply = [u8; 4];

/// An entry of the ring to the guest: a request, its response, or the extra info of the response
/// before it.
pub(crate) type RxSlot = [u8; 8];

/// A request of the control ring.
pub(crate) type ControlSlot = [u8; 16];

/// The answer to a [`ControlSlot`]; only the first bytes of the entry are written.
pub(crate) type ControlReply = [u8; 12];

const MORE_DATA: u16 = 1 << 2;
const EXTRA_INFO: u16 = 1 << 3;

pub(crate) const EXTRA_GSO: u8 = 1;
pub(crate) const EXTRA_MULTICAST_ADD: u8 = 2;
pub(crate) const EXTRA_MULTICAST_DELETE: u8 = 3;
pub(crate) const EXTRA_HASH: u8 = 4;
pub(crate) const EXTRA_XDP: u8 = 5;

/// Another extra info follows this one.
pub(crate) const EXTRA_MORE: u8 = 1 << 0;

const HASH_ALGORITHM_TOEPLITZ: u8 = 1;

/// What is known about the checksum of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksum {
    /// Nothing: the receiver has to verify it.
    Unverified,
    /// It is right.
    Valid,
    /// It holds the sum of the pseudo header only, and the packet never left this machine.
    Blank,
}

/// How a packet larger than the MTU has to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gso {
    pub(crate) kind: GsoKind,
    /// Payload bytes of each segment.
    pub(crate) size: u16,
}

/// The protocols whose packets may exceed the MTU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GsoKind {
    TcpV4 = 1,
    TcpV6 = 2,
}

impl GsoKind {
    pub(crate) fn from_wire(kind: u8) -> Option<Self> {
        [Self::TcpV4, Self::TcpV6]
            .into_iter()
            .find(|known| *known as u8 == kind)
    }
}

/// A flow hash, and the fields it was computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hash {
    pub(crate) kind: HashKind,
    pub(crate) value: u32,
}

/// The fields a flow hash covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HashKind {
    Ipv4 = 0,
    Ipv4Tcp = 1,
    Ipv6 = 2,
    Ipv6Tcp = 3,
}

impl HashKind {
    pub(crate) fn from_wire(kind: u8) -> Option<Self> {
        [Self::Ipv4, Self::Ipv4Tcp, Self::Ipv6, Self::Ipv6Tcp]
            .into_iter()
            .find(|known| *known as u8 == kind)
    }

    /// Whether the ports are part of the hash.
    pub(crate) fn covers_ports(self) -> bool {
        matches!(self, Self::Ipv4Tcp | Self::Ipv6Tcp)
    }
}

/// Flags of a request from the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TxFlags(u16);

impl TxFlags {
    const BLANK: u16 = 1 << 0;
    const VALID: u16 = 1 << 1;

    pub(crate) fn checksum(self) -> Checksum {
        if self.has(Self::BLANK) {
            Checksum::Blank
        } else if self.has(Self::VALID) {
            Checksum::Valid
        } else {
            Checksum::Unverified
        }
    }

    /// The packet goes on in the next data slot.
    pub(crate) fn more_data(self) -> bool {
        self.has(MORE_DATA)
    }

    /// The next slot holds extra info about this packet.
    pub(crate) fn extra_info(self) -> bool {
        self.has(EXTRA_INFO)
    }

    fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }
}

/// A request from the guest: a piece of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TxRequest {
    pub(crate) gref: u32,
    /// Where the piece starts in the granted page.
    pub(crate) offset: u16,
    pub(crate) flags: TxFlags,
    pub(crate) id: u16,
    /// Bytes of the piece; in the first slot of a packet, bytes of the whole packet.
    pub(crate) size: u16,
}

impl TxRequest {
    pub(crate) fn decode(slot: &TxSlot) -> Self {
        let [g0, g1, g2, g3, o0, o1, f0, f1, i0, i1, s0, s1] = *slot;
        Self {
            gref: u32::from_ne_bytes([g0, g1, g2, g3]),
            offset: u16::from_ne_bytes([o0, o1]),
            flags: TxFlags(u16::from_ne_bytes([f0, f1])),
            id: u16::from_ne_bytes([i0, i1]),
            size: u16::from_ne_bytes([s0, s1]),
        }
    }
}

/// How a slot from the guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TxStatus {
    Okay,
    Error,
}

/// Encodes the answer to a data slot.
pub(crate) fn tx_reply(id: u16, status: TxStatus) -> TxReply {
    let status: i16 = match status {
        TxStatus::Okay => 0,
        TxStatus::Error => -1,
    };
    join(id, status)
}

/// The answer to a slot with extra info; such a slot has no id.
pub(crate) fn tx_null_reply() -> TxReply {
    join(0, 1)
}

/// What an answer becomes when the copy has failed; that to a slot with extra info stays.
pub(crate) fn tx_failed(reply: TxReply) -> TxReply {
    let [i0, i1, ..] = reply;
    if reply == tx_null_reply() {
        return reply;
    }
    tx_reply(u16::from_ne_bytes([i0, i1]), TxStatus::Error)
}

fn join(id: u16, status: i16) -> TxReply {
    let [i0, i1] = id.to_ne_bytes();
    let [s0, s1] = status.to_ne_bytes();
    [i0, i1, s0, s1]
}

/// Flags of a response to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RxFlags(u16);

impl RxFlags {
    const VALID: u16 = 1 << 0;
    const BLANK: u16 = 1 << 1;

    pub(crate) fn new(checksum: Checksum, more_data: bool, extra_info: bool) -> Self {
        let checksum = match checksum {
            Checksum::Unverified => 0,
            Checksum::Valid => Self::VALID,
            // Frontends expect a blank checksum to be announced as valid, too: it cannot be wrong.
            Checksum::Blank => Self::BLANK | Self::VALID,
        };
        let more_data = if more_data { MORE_DATA } else { 0 };
        let extra_info = if extra_info { EXTRA_INFO } else { 0 };
        Self(checksum | more_data | extra_info)
    }
}

/// A request to be sent a piece of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RxRequest {
    pub(crate) id: u16,
    pub(crate) gref: u32,
}

impl RxRequest {
    pub(crate) fn decode(slot: &RxSlot) -> Self {
        let [i0, i1, _, _, g0, g1, g2, g3] = *slot;
        Self {
            id: u16::from_ne_bytes([i0, i1]),
            gref: u32::from_ne_bytes([g0, g1, g2, g3]),
        }
    }
}

/// The response to an [`RxRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RxResponse {
    pub(crate) id: u16,
    /// Where the piece starts in the granted page.
    pub(crate) offset: u16,
    pub(crate) flags: RxFlags,
    /// Bytes of the piece, at most a page.
    pub(crate) len: u16,
}

impl RxResponse {
    pub(crate) fn encode(&self) -> RxSlot {
        let [i0, i1] = self.id.to_ne_bytes();
        let [o0, o1] = self.offset.to_ne_bytes();
        let [f0, f1] = self.flags.0.to_ne_bytes();
        // The sign stays clear.
        let [s0, s1] = self.len.to_ne_bytes();
        [i0, i1, o0, o1, f0, f1, s0, s1]
    }
}

/// What an encoded [`RxResponse`] becomes when its piece could not be written.
pub(crate) fn rx_failed(response: RxSlot) -> RxSlot {
    let [i0, i1, o0, o1, f0, f1, ..] = response;
    let [s0, s1] = (-1i16).to_ne_bytes();
    [i0, i1, o0, o1, f0, f1, s0, s1]
}

/// What a packet to the guest may carry beside its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RxExtra {
    Gso(Gso),
    Hash(Hash),
    /// Bytes left free before the data.
    Xdp(u16),
}

impl RxExtra {
    /// Encodes the entry; `more` says that another one follows it.
    pub(crate) fn encode(&self, more: bool) -> RxSlot {
        let flags = if more { EXTRA_MORE } else { 0 };
        let (extra, [a, b, c, d, e, f]) = match *self {
            Self::Gso(Gso { kind, size }) => {
                let [s0, s1] = size.to_ne_bytes();
                (EXTRA_GSO, [s0, s1, kind as u8, 0, 0, 0])
            }
            Self::Hash(Hash { kind, value }) => {
                let [v0, v1, v2, v3] = value.to_ne_bytes();
                let algorithm = HASH_ALGORITHM_TOEPLITZ;
                (EXTRA_HASH, [kind as u8, algorithm, v0, v1, v2, v3])
            }
            Self::Xdp(headroom) => {
                let [h0, h1] = headroom.to_ne_bytes();
                (EXTRA_XDP, [h0, h1, 0, 0, 0, 0])
            }
        };
        [extra, flags, a, b, c, d, e, f]
    }
}

/// A request of the control ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ControlRequest {
    pub(crate) id: u16,
    /// What is asked for; see `control::request`.
    pub(crate) kind: u16,
    pub(crate) data: [u32; 3],
}

/// Why a request of the control ring was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotSupported = 1,
    InvalidParameter = 2,
}

impl ControlRequest {
    pub(crate) fn decode(slot: &ControlSlot) -> Self {
        let [i0, i1, k0, k1, a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3] = *slot;
        Self {
            id: u16::from_ne_bytes([i0, i1]),
            kind: u16::from_ne_bytes([k0, k1]),
            data: [[a0, a1, a2, a3], [b0, b1, b2, b3], [c0, c1, c2, c3]].map(u32::from_ne_bytes),
        }
    }

    /// Encodes the answer.
    pub(crate) fn reply(&self, result: Result<u32, Refusal>) -> ControlReply {
        let (status, data) = match result {
            Ok(data) => (0, data),
            Err(refusal) => (refusal as u32, 0),
        };
        let [i0, i1] = self.id.to_ne_bytes();
        let [k0, k1] = self.kind.to_ne_bytes();
        let [s0, s1, s2, s3] = status.to_ne_bytes();
        let [d0, d1, d2, d3] = data.to_ne_bytes();
        [i0, i1, k0, k1, s0, s1, s2, s3, d0, d1, d2, d3]
    }
}
