// SPDX-License-Identifier: GPL-2.0

//! Memory for packets from the guest.
//!
//! A small first slot, which usually holds the headers, becomes the linear part. Every other slot
//! gets a fragment of its own length, so that it is copied by one operation. A packet of more slots
//! than a packet of the host can have fragments is packed into whole pages instead.

use kernel::{
    net::{
        napi,
        page_pool::PagePool,
        skbuff::{
            self,
            Unshared, //
        }, //
    },
    prelude::*,
    xen, //
};

use super::parse::Segment;

/// Bytes that are linear in every packet, as far as it has them: its headers, so that no user of
/// the packet looks for them in fragments.
pub(crate) const LINEAR: usize = 128;

/// The largest first slot that becomes the linear part, in bytes.
const LARGEST_LINEAR_SLOT: usize = 256;

/// Room in the linear part for either.
const ROOM: usize = if LINEAR > LARGEST_LINEAR_SLOT {
    LINEAR
} else {
    LARGEST_LINEAR_SLOT
};

/// Allocates a packet of `len` bytes for the pieces that `segments` gives, whose lengths add up to
/// `len`.
pub(crate) fn allocate<I: Iterator<Item = Segment>>(
    cx: &mut napi::Context<'_>,
    pool: &mut PagePool,
    len: usize,
    segments: impl Fn() -> I,
) -> Result<Unshared> {
    let mut skb = cx.alloc_skb(ROOM)?;
    let first = segments().next().map_or(0, |segment| segment.len.into());
    let linear = if first <= LARGEST_LINEAR_SLOT {
        first
    } else {
        0
    };
    skb.put(linear)?;

    let in_fragments = || segments().skip(usize::from(linear > 0));
    if in_fragments().nth(skbuff::MAX_FRAGS).is_none() {
        for segment in in_fragments() {
            skb.add_pool_frag(pool, segment.len.into())?;
        }
    } else {
        let mut left = len.saturating_sub(linear);
        while left > 0 {
            let page = left.min(xen::PAGE_SIZE);
            skb.add_pool_frag(pool, page)?;
            left = left.saturating_sub(page);
        }
    }
    Ok(skb)
}
