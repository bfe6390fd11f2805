// SPDX-License-Identifier: GPL-2.0

//! Packets under construction.

use core::{
    ops::Deref,
    ptr::NonNull, //
};

use super::{
    set_dev,
    DropReason,
    PiecesMut,
    SkBuff,
    MAX_FRAGS, //
};
use crate::{
    bindings,
    net::page_pool::PagePool,
    num::casts::u32_as_usize,
    prelude::*, //
};

/// A packet under construction, all of whose bytes belong to its owner alone.
///
/// It is allocated by [`napi::Context::alloc_skb`], gets its memory by [`Unshared::put`] and
/// [`Unshared::add_pool_frag`], and is filled by address through [`Unshared::pieces_mut`]. Then
/// [`napi::Context::frame`] makes it a [`Frame`](super::Frame) of the device. At any point
/// [`Unshared::drop_any`] ends it for a reason; dropping the value frees it for none that could be told.
///
/// The memory of fragments is not cleared: until it is filled, it shows what it was used for last.
/// A packet must not be delivered before all of it was filled.
///
/// # Invariants
///
/// - No other buffer shares the linear part or a fragment, and there is no list of fragments.
/// - `skb->dev` is null.
///
/// [`napi::Context::alloc_skb`]: crate::net::napi::Context::alloc_skb
/// [`napi::Context::frame`]: crate::net::napi::Context::frame
#[must_use = "a packet under construction is freed when it is dropped"]
pub struct Unshared(SkBuff);

impl Unshared {
    /// Takes over the ownership of a buffer which was just allocated.
    ///
    /// # Safety
    ///
    /// - `skb` must point to a valid `struct sk_buff` with one reference, which passes to the returned
    ///   value.
    /// - It must be as its allocation has left it, linear and never shared.
    #[inline]
    pub(crate) unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        // SAFETY: The caller passes the only reference of a valid buffer.
        let mut skb = unsafe { SkBuff::from_raw(skb) };
        // A packet under construction may outlive the device that it was allocated for.
        set_dev(&mut skb, core::ptr::null_mut());

        // INVARIANT: What was just allocated is not shared; the device was removed.
        Self(skb)
    }

    /// Ends the construction.
    ///
    /// What it gets is an ordinary packet, which others may come to share.
    #[inline]
    pub fn into_skb(self) -> SkBuff {
        self.0
    }

    /// Frees a packet which will not be completed, in any context but NMI.
    #[inline]
    pub fn drop_any(self, reason: DropReason) {
        self.0.drop_any(reason);
    }

    /// Extends the linear part by `len` bytes, which are 0.
    ///
    /// Meant for headers, so `len` should be small.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if the room that the packet was allocated with does not suffice, or if the packet has
    /// fragments already.
    pub fn put(&mut self, len: usize) -> Result {
        let fields = self.0.fields();
        let room = u32_as_usize(fields.end.saturating_sub(fields.tail));
        if len > room || fields.data_len != 0 {
            return Err(ENOSPC);
        }
        let len = c_uint::try_from(len).map_err(|_| ENOSPC)?;

        // SAFETY: The buffer is valid, linear, and has room for `len` bytes more.
        let added = unsafe { bindings::skb_put(self.0.as_raw(), len) };
        // SAFETY: `skb_put()` returns the start of the `len` bytes that it has added.
        unsafe { added.cast::<u8>().write_bytes(0, u32_as_usize(len)) };

        Ok(())
    }

    /// Appends a fragment of `len` bytes from a pool.
    ///
    /// Its content is arbitrary. The memory goes back to the pool when the packet is freed. With a `lead`
    /// other than 0 the fragment begins that many bytes behind the start of a page, and takes all that
    /// the pool has in one piece.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `len` is 0 or, with `lead`, more than the pool has in one piece, `ENOSPC` if the packet
    /// has [`MAX_FRAGS`] fragments already, `ENOMEM`.
    pub fn add_pool_frag(&mut self, pool: &mut PagePool, lead: usize, len: usize) -> Result {
        let index = self.nr_frags();
        if index >= MAX_FRAGS {
            return Err(ENOSPC);
        }
        let frag = pool.alloc_frag(lead, len)?;
        let index = c_int::try_from(index).map_err(|_| ENOSPC)?;
        let skb = self.0.as_raw();

        // INVARIANT: The fragment was just allocated, so nobody shares it.
        //
        // SAFETY:
        // - The buffer is valid, and `index` is the first unused of its fragments.
        // - The reference to the page which came with the fragment passes to the buffer.
        unsafe {
            bindings::skb_add_rx_frag(
                skb,
                index,
                frag.page.as_ptr(),
                frag.offset,
                frag.len,
                frag.truesize,
            )
        };
        // SAFETY: The buffer is valid. All of its fragments are from a pool.
        unsafe { bindings::skb_mark_for_recycle(skb) };

        Ok(())
    }

    /// The memory of the packet in order, to be written by address.
    #[inline]
    pub fn pieces_mut(&mut self) -> PiecesMut<'_> {
        PiecesMut::new(self)
    }

    /// The linear part of the packet, to be written.
    #[inline]
    pub fn linear_mut(&mut self) -> &mut [u8] {
        let len = self.0.headlen();

        // SAFETY:
        // - The linear part has `len` bytes of memory that C has allocated. They have some value even
        //   where the packet was not filled.
        // - By the type invariant they belong to the owner alone, who is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.0.fields().data, len) }
    }

    /// Moves bytes from the fragments until the first `len` bytes of the packet are linear.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if the packet is shorter than `len` bytes, `ENOMEM`.
    #[inline]
    pub fn make_linear(&mut self, len: usize) -> Result {
        // INVARIANT: What the linear part is replaced with is new memory.
        self.0.make_linear(len)
    }
}

/// A packet under construction can be looked at as any other.
impl Deref for Unshared {
    type Target = SkBuff;

    #[inline]
    fn deref(&self) -> &SkBuff {
        &self.0
    }
}
