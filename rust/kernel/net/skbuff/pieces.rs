// SPDX-License-Identifier: GPL-2.0

//! The memory of a packet.

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use super::{
    headlen,
    next,
    shared_info,
    Borrow,
    SkBuff,
    Unshared, //
};
use crate::{
    bindings,
    num::casts::u32_as_usize, //
};

/// A part of a packet which is contiguous in kernel memory, to be read by address.
///
/// It may span pages, and others may change its content at any time.
///
/// # Invariants
///
/// The memory is valid for reading `len` bytes for the lifetime `'a`; `len` is not 0.
#[derive(Clone, Copy)]
pub struct Piece<'a> {
    addr: NonNull<u8>,
    len: usize,
    packet: Borrow<'a>,
}

impl Piece<'_> {
    /// The address of the first byte.
    #[inline]
    pub fn addr(&self) -> NonNull<u8> {
        self.addr
    }

    /// The length in bytes.
    #[inline]
    #[expect(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }
}

/// A part of a packet which is contiguous in kernel memory, to be written by address.
///
/// It may span pages. Its content is arbitrary until it is written.
///
/// # Invariants
///
/// The memory is valid for reading and writing `len` bytes for the lifetime `'a`, and no other value
/// gives access to it; `len` is not 0.
pub struct PieceMut<'a> {
    piece: Piece<'a>,
    exclusive: PhantomData<&'a mut Unshared>,
}

impl PieceMut<'_> {
    /// The address of the first byte.
    #[inline]
    pub fn addr(&self) -> NonNull<u8> {
        self.piece.addr
    }

    /// The length in bytes.
    #[inline]
    #[expect(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.piece.len
    }

    /// Makes a piece writable.
    ///
    /// Private to this module, whose callers own the memory and give it out once.
    #[inline]
    fn new<'a>(piece: Piece<'a>) -> PieceMut<'a> {
        PieceMut {
            piece,
            exclusive: PhantomData,
        }
    }
}

/// An iterator over the memory of a packet, in order.
///
/// # Invariants
///
/// `skb` is null or points to a buffer which is the packet itself or in its list of fragments. These
/// live for the lifetime `'a` and do not change what belongs to them during it.
#[derive(Clone)]
pub struct Pieces<'a> {
    /// The buffer whose memory comes next, null at the end.
    skb: *const bindings::sk_buff,
    /// What comes next of that buffer: 0 for the linear part, then the fragments from 1.
    index: usize,
    /// Whether that buffer is in the list of fragments.
    listed: bool,
    packet: Borrow<'a>,
}

impl<'a> Pieces<'a> {
    /// Starts at the linear part of `skb`.
    #[inline]
    pub(super) fn new(skb: &'a SkBuff) -> Self {
        // INVARIANT: The packet is borrowed for `'a`.
        Self {
            skb: skb.as_raw(),
            index: 0,
            listed: false,
            packet: PhantomData,
        }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    #[inline]
    fn next(&mut self) -> Option<Piece<'a>> {
        loop {
            // SAFETY: By the type invariant the pointer is null or to a buffer that lives.
            let skb = unsafe { self.skb.as_ref() }?;
            let index = self.index;
            let (addr, len) = if index == 0 {
                self.index = 1;
                (skb.data, headlen(skb))
            } else {
                // SAFETY: The shared description lives as long as the buffer. It does not change
                // while the packet is borrowed, except for its counts, which are not read here.
                let frags = unsafe { &raw const (*shared_info(skb)).frags };
                // SAFETY: As above.
                let nr_frags = unsafe { (*shared_info(skb)).nr_frags };

                if index > usize::from(nr_frags) {
                    // INVARIANT: The list and its members are part of the packet.
                    self.skb = if self.listed {
                        next(skb)
                    } else {
                        // SAFETY: As above.
                        unsafe { (*shared_info(skb)).frag_list }
                    };
                    self.index = 0;
                    self.listed = true;
                    continue;
                }
                self.index = index + 1;

                // SAFETY: `index - 1` is less than the number of fragments, which is at most that of
                // the array.
                let frag = unsafe { frags.cast::<bindings::skb_frag>().add(index - 1) };
                // SAFETY: The fragment is initialised, being one of `nr_frags`.
                let addr = unsafe { bindings::skb_frag_address(frag) };
                // SAFETY: As above.
                let len = unsafe { (*frag).len };
                (addr.cast(), u32_as_usize(len))
            };

            // A fragment which the kernel cannot read has no address. Devices which do not ask for
            // such packets get none, so nothing is missed.
            if let Some(addr) = NonNull::new(addr).filter(|_| len != 0) {
                // INVARIANT: The linear part and the fragments are memory of the packet.
                return Some(Piece {
                    addr,
                    len,
                    packet: PhantomData,
                });
            }
        }
    }
}

/// An iterator over the memory of a packet under construction, in order.
pub struct PiecesMut<'a> {
    pieces: Pieces<'a>,
    exclusive: PhantomData<&'a mut Unshared>,
}

impl<'a> PiecesMut<'a> {
    /// Starts at the linear part of `skb`.
    #[inline]
    pub(super) fn new(skb: &'a mut Unshared) -> Self {
        Self {
            pieces: Pieces::new(skb),
            exclusive: PhantomData,
        }
    }
}

impl<'a> Iterator for PiecesMut<'a> {
    type Item = PieceMut<'a>;

    #[inline]
    fn next(&mut self) -> Option<PieceMut<'a>> {
        // INVARIANT: The packet is unshared and borrowed exclusively for `'a`, each piece is returned
        // once, and the pieces of one packet do not overlap.
        self.pieces.next().map(PieceMut::new)
    }
}
