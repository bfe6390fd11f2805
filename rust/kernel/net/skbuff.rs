// SPDX-License-Identifier: GPL-2.0

//! Socket buffers: the packets of the networking stack.
//!
//! A [`SkBuff`] is a packet with one owner, who ends it by saying what became of it. An [`Unshared`]
//! is a packet under construction: no other owner can reach any byte of it, so that it may be written
//! to. A [`Frame`] is such a packet when it is complete, to be described and delivered. A [`Queue`]
//! keeps packets in order of arrival.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use zerocopy::Immutable;

use crate::{
    bindings,
    bottom_half,
    cpu::CpuId,
    error::to_result,
    num::casts::{
        u16_as_usize,
        u32_as_usize, //
    },
    prelude::*, //
};

mod frame;
mod pieces;
mod queue;
#[cfg(CONFIG_KUNIT = "y")]
pub(crate) mod tests;
mod unshared;

pub use self::{
    frame::Frame,
    pieces::{
        Piece,
        PieceMut,
        Pieces,
        PiecesMut, //
    },
    queue::Queue,
    unshared::Unshared, //
};

/// The largest number of fragments beside the linear part of one buffer.
pub const MAX_FRAGS: usize = bindings::CONFIG_MAX_SKB_FRAGS as usize;

/// Bytes of a buffer beside those of its packet, at least: the two descriptions.
// CAST: Some hundreds.
const OVERHEAD: u32 =
    (size_of::<bindings::sk_buff>() + size_of::<bindings::skb_shared_info>()) as u32;

// C has these as an enumeration of its own; the field that they are for is unsigned.
const SKB_GSO_TCPV4: u32 = bindings::SKB_GSO_TCPV4 as u32;
const SKB_GSO_TCPV6: u32 = bindings::SKB_GSO_TCPV6 as u32;
const SKB_GSO_DODGY: u32 = bindings::SKB_GSO_DODGY as u32;

/// What is known about the transport checksum of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Nothing: the checksum in the packet is to be verified.
    None,
    /// The checksum is known to be right.
    Unnecessary,
    /// A checksum over the whole packet accompanies it.
    Complete,
    /// The checksum in the packet covers the pseudo header only, the rest is still to be added.
    Partial,
}

/// The protocol whose segments a large packet is to be cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsoKind {
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
    /// Anything else.
    Other,
}

/// How a large packet is to be cut into segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gso {
    /// The protocol of the segments.
    pub kind: GsoKind,
    /// The payload of each segment, in bytes; not 0.
    pub size: u16,
}

/// A hash over the addresses, and perhaps ports, of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash {
    /// The value.
    pub value: u32,
    /// Whether the ports are covered.
    pub l4: bool,
}

/// Why a packet is dropped, as shown to those who trace losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// No reason that could be told.
    NotSpecified,
    /// The ring towards the receiver, or the queue before it, has no room.
    FullRing,
    /// The queue was emptied without being delivered.
    QueuePurge,
    /// The device cannot take packets at this time.
    DeviceNotReady,
    /// There is no memory.
    NoMemory,
    /// The packet is longer than what can be delivered.
    TooBig,
    /// What is said about the packet contradicts its headers.
    BadHeader,
    /// The receiver does not want packets of this kind. Shown as what a TAP device calls it.
    Filtered,
    /// The packet cannot be cut into the segments that it is said to have.
    BadGso,
    /// The bytes of the packet could not be copied.
    CopyFault,
}

impl DropReason {
    /// The C value.
    #[inline]
    fn into_raw(self) -> bindings::skb_drop_reason {
        match self {
            Self::NotSpecified => bindings::skb_drop_reason_SKB_DROP_REASON_NOT_SPECIFIED,
            Self::FullRing => bindings::skb_drop_reason_SKB_DROP_REASON_FULL_RING,
            Self::QueuePurge => bindings::skb_drop_reason_SKB_DROP_REASON_QUEUE_PURGE,
            Self::DeviceNotReady => bindings::skb_drop_reason_SKB_DROP_REASON_DEV_READY,
            Self::NoMemory => bindings::skb_drop_reason_SKB_DROP_REASON_NOMEM,
            Self::TooBig => bindings::skb_drop_reason_SKB_DROP_REASON_PKT_TOO_BIG,
            Self::BadHeader => bindings::skb_drop_reason_SKB_DROP_REASON_DEV_HDR,
            Self::Filtered => bindings::skb_drop_reason_SKB_DROP_REASON_TAP_TXFILTER,
            Self::BadGso => bindings::skb_drop_reason_SKB_DROP_REASON_SKB_BAD_GSO,
            Self::CopyFault => bindings::skb_drop_reason_SKB_DROP_REASON_SKB_UCOPY_FAULT,
        }
    }
}

/// An owned socket buffer.
///
/// The memory of the packet may be shared with others, who keep it unchanged; the description of the
/// packet is the owner's alone, but for the count of references. A buffer should be ended by
/// [`SkBuff::consume_any`] or [`SkBuff::drop_any`], which tell a delivered packet from a lost one. Dropping
/// the value counts as a loss for no reason that could be told. All of these are allowed in any context
/// but NMI. [`SkBuff::consume`] is faster, and asks for more.
///
/// # Invariants
///
/// The pointer is to a valid `struct sk_buff` of which this value owns a reference; whoever has another
/// one only drops it. It is on no list, except that the members of a [`Queue`] are linked through their
/// `next` pointer.
#[must_use = "a socket buffer should be consumed or dropped for a reason"]
#[repr(transparent)]
pub struct SkBuff(NonNull<bindings::sk_buff>);

// SAFETY: A socket buffer belongs to no thread in particular: the stack passes it between contexts
// and CPUs all the time. The counts which clones share are atomic.
unsafe impl Send for SkBuff {}

impl SkBuff {
    /// Takes over the ownership of a buffer.
    ///
    /// # Safety
    ///
    /// `skb` must point to a valid `struct sk_buff` on no list, and the caller must own a reference, which
    /// passes to the returned value. Whoever has another one must do nothing with it but drop it.
    #[inline]
    pub unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: Exactly what the caller promises.
        Self(skb)
    }

    /// Gives up the ownership: whoever takes the pointer must free the buffer.
    #[inline]
    pub fn into_raw(self) -> NonNull<bindings::sk_buff> {
        ManuallyDrop::new(self).0
    }

    /// The pointer, with the ownership left where it is.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::sk_buff {
        self.0.as_ptr()
    }

    /// The description of the packet.
    #[inline]
    fn fields(&self) -> &bindings::sk_buff {
        // SAFETY: By the type invariant the pointer is valid, and none but the owner, who is
        // borrowed, writes to the description, except for the count of references, which nobody reads
        // through this.
        unsafe { self.0.as_ref() }
    }

    /// The description of the packet, to change it.
    #[inline]
    fn fields_mut(&mut self) -> &mut bindings::sk_buff {
        // SAFETY: By the type invariant the pointer is valid, and none but the owner, who is borrowed
        // exclusively, accesses the description, except for the count of references, which nobody
        // accesses through this.
        unsafe { self.0.as_mut() }
    }

    /// The part of the description which clones inherit.
    #[inline]
    fn headers(&self) -> &bindings::sk_buff__bindgen_ty_4__bindgen_ty_2 {
        // SAFETY: Both variants of the union have the same members, which C keeps initialised.
        unsafe { self.fields().__bindgen_anon_4.headers.as_ref() }
    }

    /// The part of the description which clones inherit, to change it.
    #[inline]
    fn headers_mut(&mut self) -> &mut bindings::sk_buff__bindgen_ty_4__bindgen_ty_2 {
        // SAFETY: Both variants of the union have the same members, which C keeps initialised.
        unsafe { self.fields_mut().__bindgen_anon_4.headers.as_mut() }
    }

    /// The description of what lies outside of the linear part, which clones share.
    #[inline]
    fn shared_info(&self) -> *mut bindings::skb_shared_info {
        shared_info(self.fields())
    }

    /// The length of the packet in bytes, fragments included.
    #[inline]
    pub fn len(&self) -> usize {
        u32_as_usize(self.fields().len)
    }

    /// Whether the packet has no bytes at all.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.fields().len == 0
    }

    /// The length of the linear part in bytes.
    #[inline]
    pub fn headlen(&self) -> usize {
        headlen(self.fields())
    }

    /// The memory which the packet occupies, in bytes, overhead included.
    ///
    /// Where the stack has set it to less than what the parts of the packet take, as TCP does for its pure
    /// acknowledgements, they count. Does not change as long as the bytes of the packet stay where they are.
    #[inline]
    pub fn truesize(&self) -> usize {
        let fields = self.fields();
        let parts = OVERHEAD
            .wrapping_add(fields.end)
            .wrapping_add(fields.data_len);

        u32_as_usize(fields.truesize.max(parts))
    }

    /// The number of fragments beside the linear part.
    #[inline]
    pub fn nr_frags(&self) -> usize {
        // SAFETY: The shared description lives as long as the buffer, and the number of fragments
        // does not change while others share it.
        usize::from(unsafe { (*self.shared_info()).nr_frags })
    }

    /// Whether somebody else has a reference to the buffer.
    fn is_shared(&self) -> bool {
        // SAFETY: The pointer is valid by the type invariant.
        let users = unsafe { &raw const (*self.as_raw()).users.refs.counter };
        // SAFETY: As above. The field may be changing until only this reference is left.
        let users = unsafe { users.read_volatile() };
        users != 1
    }

    /// The transmit queue which the stack has chosen.
    #[inline]
    pub fn queue_mapping(&self) -> u16 {
        self.fields().queue_mapping
    }

    /// The protocol of the payload, as in the Ethernet header, in host byte order.
    #[inline]
    pub fn protocol(&self) -> u16 {
        u16::from_be(self.headers().protocol)
    }

    /// Whether the packet belongs to a VLAN whose tag is not among its bytes yet.
    #[inline]
    pub fn has_vlan_tag(&self) -> bool {
        let headers = self.headers();
        // SAFETY: All variants of the union are initialised, and any bytes are a number.
        unsafe { headers.__bindgen_anon_2.vlan_all != 0 }
    }

    /// What is known about the transport checksum.
    #[inline]
    pub fn checksum(&self) -> Checksum {
        match u32::from(self.headers().ip_summed()) {
            bindings::CHECKSUM_UNNECESSARY => Checksum::Unnecessary,
            bindings::CHECKSUM_COMPLETE => Checksum::Complete,
            bindings::CHECKSUM_PARTIAL => Checksum::Partial,
            _ => Checksum::None,
        }
    }

    /// How the packet is to be cut into segments, if it is larger than one.
    #[inline]
    pub fn gso(&self) -> Option<Gso> {
        let info = self.shared_info();
        // SAFETY: The shared description lives as long as the buffer, and this part of it does not
        // change while others share it.
        let size = unsafe { (*info).gso_size };
        // SAFETY: As above.
        let types = unsafe { (*info).gso_type };

        if size == 0 {
            return None;
        }
        let kind = if types & SKB_GSO_TCPV4 != 0 {
            GsoKind::TcpV4
        } else if types & SKB_GSO_TCPV6 != 0 {
            GsoKind::TcpV6
        } else {
            GsoKind::Other
        };

        Some(Gso { kind, size })
    }

    /// The hash which software has computed over the packet, if any.
    #[inline]
    pub fn hash(&self) -> Option<Hash> {
        let headers = self.headers();

        (headers.sw_hash() != 0).then(|| Hash {
            value: headers.hash,
            l4: headers.l4_hash() != 0,
        })
    }

    /// Sets the hash which software has computed over the packet.
    #[inline]
    pub fn set_hash(&mut self, hash: Hash) {
        // SAFETY: The buffer is valid by the type invariant; the description is the owner's.
        unsafe { bindings::__skb_set_sw_hash(self.as_raw(), hash.value, hash.l4) };
    }

    /// The position of the transport header, in bytes from the start of the packet.
    ///
    /// [`None`] when it was not found, or lies before the start.
    #[inline]
    pub fn transport_offset(&self) -> Option<usize> {
        let header = self.headers().transport_header;
        if header == u16::MAX {
            return None;
        }

        u16_as_usize(header).checked_sub(headroom(self.fields()))
    }

    /// The linear part of the packet.
    #[inline]
    pub fn linear(&self) -> &[u8] {
        let fields = self.fields();

        // SAFETY:
        // - The linear part has `headlen()` bytes of memory that C has allocated. They have some
        //   value even where the packet was not filled.
        // - Owners of clones leave them unchanged as long as they are shared, and whoever could
        //   write to them as the only owner is borrowed.
        unsafe { core::slice::from_raw_parts(fields.data, headlen(fields)) }
    }

    /// Copies bytes out of the packet, wherever they are.
    ///
    /// `offset` is in bytes from the start of the packet.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the packet ends earlier.
    pub fn copy_bits(&self, offset: usize, to: &mut [u8]) -> Result {
        let offset = c_int::try_from(offset).map_err(|_| EFAULT)?;
        let len = c_int::try_from(to.len()).map_err(|_| EFAULT)?;

        // SAFETY: The buffer is valid by the type invariant; `to` is valid for writing `len` bytes.
        to_result(unsafe {
            bindings::skb_copy_bits(self.as_raw(), offset, to.as_mut_ptr().cast(), len)
        })
    }

    /// The memory of the packet in order: the linear part, the fragments, and the same of every
    /// buffer of the list of fragments.
    ///
    /// Their lengths add up to [`SkBuff::len`]. Empty pieces are left out.
    #[inline]
    pub fn pieces(&self) -> Pieces<'_> {
        Pieces::new(self)
    }

    /// Reads the control block, the owner's private memory in the buffer.
    ///
    /// It holds what [`SkBuff::set_cb`] has stored, or what an earlier owner has left.
    #[inline]
    pub fn cb<T: FromBytes + Immutable>(&self) -> T {
        let cb = &self.fields().cb;
        const { assert!(size_of::<T>() <= size_of::<[c_char; 48]>()) };

        // SAFETY: The control block is at least as large as a `T`, any initialised bytes make a `T`,
        // and the block was initialised when the buffer was allocated.
        unsafe { cb.as_ptr().cast::<T>().read_unaligned() }
    }

    /// Overwrites the control block, the owner's private memory in the buffer.
    ///
    /// The stack keeps its own notes there as long as it owns the buffer: a packet which is given
    /// back by [`TxOutcome::Busy`] must be given back with its control block as it was.
    ///
    /// [`TxOutcome::Busy`]: crate::net::netdevice::TxOutcome::Busy
    #[inline]
    pub fn set_cb<T: IntoBytes + Immutable>(&mut self, value: T) {
        let cb = &mut self.fields_mut().cb;
        const { assert!(size_of::<T>() <= size_of::<[c_char; 48]>()) };

        // SAFETY: The control block is at least as large as a `T`, which has no uninitialised bytes.
        unsafe { cb.as_mut_ptr().cast::<T>().write_unaligned(value) };
    }

    /// Ends a packet which was delivered, in any context but NMI.
    #[inline]
    pub fn consume_any(self) {
        free(self.into_raw(), bindings::skb_drop_reason_SKB_CONSUMED);
    }

    /// Ends a packet which was delivered, and keeps its description for the next packet of this processor
    /// if it was allocated here.
    ///
    /// Must not be called with interrupts off.
    #[inline]
    pub fn consume(self, _: &bottom_half::Disabled) {
        // C would leave a packet of another processor to that one, to be freed when it receives next.
        if u32::from(self.headers().alloc_cpu) != CpuId::current().as_u32() {
            return self.consume_any();
        }
        let skb = self.into_raw();
        // Any budget but 0 says that bottom halves are off.
        //
        // SAFETY: By the type invariant the buffer is valid; its reference is owned, and was taken out of
        // `self`. Bottom halves are off, as the guard proves.
        unsafe { bindings::napi_consume_skb(skb.as_ptr(), 1) };
    }

    /// Ends a packet which was lost, in any context but NMI.
    #[inline]
    pub fn drop_any(self, reason: DropReason) {
        free(self.into_raw(), reason.into_raw());
    }

    /// Moves the bytes which [`SkBuff::pieces`] would miss into the linear part.
    ///
    /// These are the lists of fragments of buffers which themselves are in such a list.
    ///
    /// # Errors
    ///
    /// As [`SkBuff::make_linear`]; the packet is unchanged then.
    #[inline]
    pub(super) fn flatten(&mut self) -> Result {
        // SAFETY: The shared description lives as long as the buffer; its list does not change while
        // others share it.
        let list = unsafe { (*self.shared_info()).frag_list };
        if list.is_null() {
            return Ok(());
        }

        self.flatten_list(list)
    }

    /// Does what [`SkBuff::flatten`] says for a packet which has the given list of fragments.
    #[cold]
    fn flatten_list(&mut self, list: *mut bindings::sk_buff) -> Result {
        let mut nested = false;
        let mut member = list;

        // SAFETY: Members of the list are valid buffers, which live as long as the list.
        while let Some(fields) = unsafe { member.as_ref() } {
            // SAFETY: As for the packet itself.
            nested |= !unsafe { (*shared_info(fields)).frag_list }.is_null();
            member = next(fields);
        }
        if nested {
            self.make_linear(self.len())?;
        }

        Ok(())
    }

    /// Moves bytes from the fragments until the first `len` bytes of the packet are linear.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if the packet is shorter than `len` bytes, `EBUSY` if somebody else has a reference to the
    /// buffer, `ENOMEM`.
    pub fn make_linear(&mut self, len: usize) -> Result {
        let Some(missing) = len.checked_sub(self.headlen()).filter(|&n| n != 0) else {
            return Ok(());
        };
        if len > self.len() {
            return Err(ENOSPC);
        }
        if self.is_shared() {
            return Err(EBUSY);
        }
        let missing = c_int::try_from(missing).map_err(|_| ENOSPC)?;

        // SAFETY: The buffer is valid by the type invariant, nobody else has a reference, and the fragments
        // have the missing bytes, as checked above.
        let tail = unsafe { bindings::__pskb_pull_tail(self.as_raw(), missing) };
        if tail.is_null() {
            return Err(ENOMEM);
        }

        Ok(())
    }
}

impl Drop for SkBuff {
    #[inline]
    fn drop(&mut self) {
        free(self.0, DropReason::NotSpecified.into_raw());
    }
}

/// Frees a buffer whose ownership was given up to this function.
#[inline]
fn free(skb: NonNull<bindings::sk_buff>, reason: bindings::skb_drop_reason) {
    // SAFETY: Callers pass the pointer of a `SkBuff` which they have taken apart, so that it is valid
    // and its reference is owned here. The function works in any context.
    unsafe { bindings::dev_kfree_skb_any_reason(skb.as_ptr(), reason) };
}

/// The length of the linear part of a buffer in bytes.
#[inline]
fn headlen(skb: &bindings::sk_buff) -> usize {
    u32_as_usize(skb.len.wrapping_sub(skb.data_len))
}

/// The number of bytes before the linear part of a buffer.
#[inline]
fn headroom(skb: &bindings::sk_buff) -> usize {
    skb.data.addr().wrapping_sub(skb.head.addr())
}

/// The description of what lies outside of the linear part of a buffer.
#[inline]
fn shared_info(skb: &bindings::sk_buff) -> *mut bindings::skb_shared_info {
    // CAST: The shared description is placed at the end of the linear part's memory.
    skb.head.wrapping_add(u32_as_usize(skb.end)).cast()
}

/// The buffer which follows in the list that a buffer is in.
#[inline]
fn next(skb: &bindings::sk_buff) -> *mut bindings::sk_buff {
    // SAFETY: The first variant of the union is the valid one for buffers in singly linked lists, and
    // all of its bit patterns are pointers.
    unsafe { skb.__bindgen_anon_1.__bindgen_anon_1.next }
}

/// The device which a buffer belongs to.
#[inline]
pub(super) fn dev(skb: &SkBuff) -> *mut bindings::net_device {
    // CAST: The kernel's `bindings` crate knows the type by name only.
    //
    // SAFETY: The buffer is in no tree, so that the first variant of each union is the valid one; all
    // bit patterns are pointers.
    unsafe {
        skb.fields()
            .__bindgen_anon_1
            .__bindgen_anon_1
            .__bindgen_anon_1
            .dev
            .cast()
    }
}

/// Sets the device which a buffer belongs to.
#[inline]
fn set_dev(skb: &mut SkBuff, dev: *mut bindings::net_device) {
    skb.fields_mut()
        .__bindgen_anon_1
        .__bindgen_anon_1
        .__bindgen_anon_1
        .dev = dev.cast();
}

/// Marks the lifetime of memory of a packet.
type Borrow<'a> = PhantomData<&'a SkBuff>;
