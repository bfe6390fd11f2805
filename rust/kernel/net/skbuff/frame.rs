// SPDX-License-Identifier: GPL-2.0

//! Ethernet frames which a device has received.

use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};

use super::{
    headroom,
    DropReason,
    Gso,
    GsoKind,
    Hash,
    SkBuff,
    Unshared,
    SKB_GSO_DODGY,
    SKB_GSO_TCPV4,
    SKB_GSO_TCPV6, //
};
use crate::{
    bindings,
    error::to_result,
    prelude::*, //
};

/// The length of an Ethernet header in bytes.
const ETH_HLEN: usize = bindings::ETH_HLEN as usize;

/// The length of a VLAN tag in bytes, which is that of its value and of the protocol behind it.
const VLAN_HLEN: i16 = 4;

/// The protocols of VLAN tags, in network byte order.
const VLAN_PROTOCOLS: [u16; 2] = [
    (bindings::ETH_P_8021Q as u16).to_be(),
    (bindings::ETH_P_8021AD as u16).to_be(),
];

/// An Ethernet frame which a device has received in the poll of the lifetime `'a`, to be described and
/// delivered.
///
/// It is made by [`napi::Context::frame`], which has removed the Ethernet header from its front, and
/// delivered by [`napi::Context::gro_receive`], or ended by [`Frame::drop_any`]. Dropping the value frees it
/// for no reason that could be told.
///
/// # Invariants
///
/// - No other buffer shares the linear part or a fragment, and there is no list of fragments.
/// - `skb->dev` points to a network device which is valid for the lifetime `'a`.
/// - The checksum is marked as partial only if the position of the checksum is inside of the packet.
///
/// [`napi::Context::frame`]: crate::net::napi::Context::frame
/// [`napi::Context::gro_receive`]: crate::net::napi::Context::gro_receive
#[must_use = "a frame is freed when it is dropped"]
pub struct Frame<'a> {
    skb: SkBuff,
    poll: PhantomData<&'a mut ()>,
}

impl Frame<'_> {
    /// Interprets a packet as an Ethernet frame of a device.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if the packet is shorter than an Ethernet header, `ENOMEM`; the packet is dropped.
    ///
    /// # Safety
    ///
    /// `dev` must point to a network device that outlives the returned value.
    #[inline]
    pub(crate) unsafe fn new(skb: Unshared, dev: NonNull<bindings::net_device>) -> Result<Self> {
        let mut skb = skb.into_skb();
        if let Err(error) = skb.make_linear(ETH_HLEN) {
            skb.drop_any(if error == ENOMEM {
                DropReason::NoMemory
            } else {
                DropReason::BadHeader
            });
            return Err(error);
        }

        // CAST: The kernel's `bindings` crate knows the type by name only.
        //
        // SAFETY: The buffer is valid, its linear part has the header, and the caller promises that
        // the device is valid.
        let protocol = unsafe { bindings::eth_type_trans(skb.as_raw(), dev.as_ptr().cast()) };

        // INVARIANT: `Unshared` has no other owners; `eth_type_trans()` has set the device.
        let mut frame = Self {
            skb,
            poll: PhantomData,
        };
        frame.start_with(protocol);

        Ok(frame)
    }

    /// Frees a frame which will not be delivered, in any context but NMI.
    #[inline]
    pub fn drop_any(self, reason: DropReason) {
        self.skb.drop_any(reason);
    }

    /// Ends the description.
    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<bindings::sk_buff> {
        self.skb.into_raw()
    }

    /// Moves bytes from the fragments until the first `len` bytes of the packet are linear.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if the packet is shorter than `len` bytes, `ENOMEM`.
    #[inline]
    pub fn make_linear(&mut self, len: usize) -> Result {
        self.skb.make_linear(len)
    }

    /// Declares the packet to be larger than one segment.
    ///
    /// Its checksum has to be partial: only [`Frame::setup_partial_checksum`] finds the header of TCP, which the
    /// stack needs to count the bytes of the segments. The stack does not trust the claim, and checks it before
    /// it cuts the packet. `segments` is the number of segments, or 0 if it is to be counted by the stack.
    ///
    /// # Errors
    ///
    /// `EINVAL` for segments without payload, or of another protocol than TCP.
    pub fn set_gso(&mut self, gso: Gso, segments: u16) -> Result {
        let kind = match gso.kind {
            GsoKind::TcpV4 => SKB_GSO_TCPV4,
            GsoKind::TcpV6 => SKB_GSO_TCPV6,
            GsoKind::Other => return Err(EINVAL),
        };
        if gso.size == 0 {
            return Err(EINVAL);
        }
        let info = self.skb.shared_info();

        // SAFETY: The shared description lives as long as the buffer, and nobody shares it.
        let info = unsafe { &mut *info };
        info.gso_type = kind | SKB_GSO_DODGY;
        info.gso_size = gso.size;
        info.gso_segs = segments;

        Ok(())
    }

    /// Declares the transport checksum to be right.
    #[inline]
    pub fn set_checksum_valid(&mut self) {
        self.set_ip_summed(bindings::CHECKSUM_UNNECESSARY);
    }

    /// Declares the transport checksum to be one over the pseudo header, to be completed.
    ///
    /// The header of IP may lie behind up to two VLAN tags. If `recalculate`, the checksum over the
    /// pseudo header is computed and stored in the packet first.
    ///
    /// # Errors
    ///
    /// `EPROTO` if the packet is none of TCP or UDP over IP, or a fragment, `ENOMEM`. Nothing is
    /// declared then.
    pub fn setup_partial_checksum(&mut self, recalculate: bool) -> Result {
        let (tags, protocol) = self.vlan_tags().ok_or(EPROTO)?;
        let outer = self.skb.headers().protocol;

        self.move_start(tags);
        self.start_with(protocol);
        self.set_ip_summed(bindings::CHECKSUM_PARTIAL);
        // INVARIANT: On success, the position was set to that in a header which the function has
        // seen; on failure, the mark is removed.
        //
        // SAFETY: The buffer is valid and nobody shares its linear part, which may be written to. It
        // looks at nothing beyond the packet.
        let error = unsafe { bindings::skb_checksum_setup(self.skb.as_raw(), recalculate) };
        self.move_start(tags.wrapping_neg());
        self.start_with(outer);

        to_result(error).inspect_err(|_| self.set_ip_summed(bindings::CHECKSUM_NONE))
    }

    /// Looks for VLAN tags that the packet starts with, as far as it is linear.
    ///
    /// Returns their length in bytes, and the protocol behind them in network byte order.
    fn vlan_tags(&self) -> Option<(i16, u16)> {
        let mut protocol = self.skb.headers().protocol;
        let mut rest = self.skb.linear();

        for len in [0, VLAN_HLEN, 2 * VLAN_HLEN] {
            if !VLAN_PROTOCOLS.contains(&protocol) {
                return Some((len, protocol));
            }
            let (&[_, _, first, second], behind) = rest.split_first_chunk()?;
            protocol = u16::from_ne_bytes([first, second]);
            rest = behind;
        }

        None
    }

    /// Moves the start of the packet by `len` bytes, which must stay within the linear part or go
    /// back to where it was.
    #[inline]
    fn move_start(&mut self, len: i16) {
        let fields = self.skb.fields_mut();

        fields.data = fields.data.wrapping_offset(len.into());
        fields.len = fields
            .len
            .wrapping_add_signed(i32::from(len).wrapping_neg());
    }

    /// Sets the protocol, in network byte order, of the header that the packet starts with.
    #[inline]
    fn start_with(&mut self, protocol: u16) {
        // CAST: Positions in the linear part's memory fit into 16 bits, which is what C stores.
        let network = headroom(self.skb.fields()) as u16;
        let headers = self.skb.headers_mut();

        headers.protocol = protocol;
        headers.network_header = network;
    }

    /// Sets the state of the checksum.
    #[inline]
    fn set_ip_summed(&mut self, value: u32) {
        self.skb.headers_mut().set_ip_summed(value as u8);
    }

    /// Tells which receive queue of the device the frame came by.
    #[inline]
    pub fn record_rx_queue(&mut self, index: u16) {
        // SAFETY: The buffer is valid.
        unsafe { bindings::skb_record_rx_queue(self.skb.as_raw(), index) };
    }

    /// Sets the hash which software has computed over the packet.
    #[inline]
    pub fn set_hash(&mut self, hash: Hash) {
        self.skb.set_hash(hash);
    }
}

/// A frame can be looked at as any other packet.
impl Deref for Frame<'_> {
    type Target = SkBuff;

    #[inline]
    fn deref(&self) -> &SkBuff {
        &self.skb
    }
}
