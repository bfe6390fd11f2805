// SPDX-License-Identifier: GPL-2.0

//! The rings of the network protocol.
//!
//! Directions are named from the guest: Tx is guest to host. Entries are bytes here; what they mean
//! is the driver's matter.
//!
//! C header: [`include/xen/interface/io/netif.h`](srctree/include/xen/interface/io/netif.h)

use crate::prelude::*;
use zerocopy_derive::{
    Immutable,
    KnownLayout, //
};

use super::ring;

/// The ring for packets from the guest.
pub struct Tx;

impl ring::Protocol for Tx {
    type Slot = [u32; 3];
    type Request = TxEntry;
    type Response = TxReply;
}

/// A slot of the Tx ring as the guest wrote it: `struct xen_netif_tx_request`, or
/// `struct xen_netif_extra_info`.
///
/// In words, which are read from the ring one by one, as bytes would be.
#[repr(transparent)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct TxEntry([u32; 3]);

impl TxEntry {
    /// The bytes of the slot.
    #[inline]
    pub fn bytes(self) -> [u8; 12] {
        let [[a0, a1, a2, a3], [b0, b1, b2, b3], [c0, c1, c2, c3]] = self.0.map(u32::to_ne_bytes);
        [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3]
    }
}

/// The answer to a slot of the Tx ring: `struct xen_netif_tx_response`.
#[repr(C, align(4))]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct TxReply(pub [u8; 4]);

/// The ring for packets to the guest.
pub struct Rx;

impl ring::Protocol for Rx {
    type Slot = [u32; 2];
    type Request = RxEntry;
    type Response = RxEntry;
}

/// A slot of the Rx ring: `struct xen_netif_rx_request`, `struct xen_netif_rx_response`, or
/// `struct xen_netif_extra_info`.
#[repr(C, align(4))]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RxEntry(pub [u8; 8]);

/// The ring by which the guest configures the interface.
pub struct Control;

impl ring::Protocol for Control {
    type Slot = [u32; 4];
    type Request = ControlRequest;
    type Response = ControlResponse;
}

/// A slot of the control ring as the guest wrote it: `struct xen_netif_ctrl_request`.
#[repr(C, align(4))]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ControlRequest(pub [u8; 16]);

/// The answer to a slot of the control ring: `struct xen_netif_ctrl_response`.
#[repr(C, align(4))]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ControlResponse(pub [u8; 12]);
