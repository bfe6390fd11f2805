// SPDX-License-Identifier: GPL-2.0

//! Ethernet frames which a device has received.

use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};

use super::{
    headroom,
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

/// An Ethernet frame which a device has received in the poll of the lifetime `'a`, to be described and
/// delivered.
///
/// It is made by [`napi::Context::frame`], which has removed the Ethernet header from its front, and
/// delivered by [`napi::Context::gro_receive`]. Dropping it frees it.
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
        skb.make_linear(ETH_HLEN)?;

        // CAST: The kernel's `bindings` crate knows the type by name only.
        //
        // SAFETY: The buffer is valid, its linear part has the header, and the caller promises that
        // the device is valid.
        let protocol = unsafe { bindings::eth_type_trans(skb.as_raw(), dev.as_ptr().cast()) };

        // CAST: Positions in the linear part's memory fit into 16 bits, which is what C stores.
        let network = headroom(skb.fields()) as u16;
        let headers = skb.headers_mut();
        headers.protocol = protocol;
        headers.network_header = network;

        // INVARIANT: `Unshared` has no other owners; `eth_type_trans()` has set the device.
        Ok(Self {
            skb,
            poll: PhantomData,
        })
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

    /// Finds the transport header, for [`SkBuff::transport_offset`] to return.
    ///
    /// What is not understood has no transport header.
    #[inline]
    pub fn probe_transport_header(&mut self) {
        // SAFETY: The buffer and its device are valid; the dissector looks at nothing beyond the packet.
        unsafe { bindings::skb_probe_transport_header(self.skb.as_raw()) };
    }

    /// Declares the packet to be larger than one segment.
    ///
    /// The stack does not trust the claim, and checks it before it cuts the packet. `segments` is the
    /// number of segments, or 0 if it is to be counted by the stack.
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
    /// If `recalculate`, the checksum over the pseudo header
    /// is computed and stored in the packet first.
    ///
    /// # Errors
    ///
    /// `EPROTO` if the packet is none of TCP or UDP over IP, `ENOMEM`. Nothing is declared then.
    pub fn setup_partial_checksum(&mut self, recalculate: bool) -> Result {
        self.set_ip_summed(bindings::CHECKSUM_PARTIAL);

        // INVARIANT: On success, the position was set to that in a header which the function has
        // seen; on failure, the mark is removed.
        //
        // SAFETY: The buffer is valid and nobody shares its linear part, which may be written to. It
        // looks at nothing beyond the packet.
        let error = unsafe { bindings::skb_checksum_setup(self.skb.as_raw(), recalculate) };

        to_result(error).inspect_err(|_| self.set_ip_summed(bindings::CHECKSUM_NONE))
    }

    /// Sets the state of the checksum.
    #[inline]
    fn set_ip_summed(&mut self, value: u32) {
        self.skb.headers_mut().set_ip_summed(value as u8);
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
