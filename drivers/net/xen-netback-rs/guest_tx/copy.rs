// SPDX-License-Identifier: GPL-2.0

//! Memory for packets from the guest.
//!
//! A small first slot, which usually holds the headers, becomes the linear part. What follows gets as
//! few fragments as possible if it is much, and a fragment for every slot if it is little.

use kernel::{
    net::{
        napi,
        netdevice,
        page_pool::PagePool,
        skbuff::{
            self,
            DropReason,
            Unshared, //
        }, //
    },
    prelude::*,
    xen::{
        self,
        grant::Segment, //
    }, //
};

use crate::interface::Interface;

/// Bytes that are made linear in a packet whose headers are not known better, as far as it has them, so that no
/// user of the packet looks for headers in fragments.
pub(crate) const LINEAR: usize = 128;

/// The same for packets that are to be cut over IPv6: other headers may precede that of TCP.
pub(crate) const LINEAR_IPV6: usize = 256;

/// The largest first slot that becomes the linear part, in bytes.
const LARGEST_LINEAR_SLOT: usize = 256;

/// Room in the linear part for either.
const ROOM: usize = if LINEAR > LARGEST_LINEAR_SLOT {
    LINEAR
} else {
    LARGEST_LINEAR_SLOT
};

/// Bytes behind the linear part up to which every slot gets a fragment: half a block, so that a packet never takes
/// twice its memory.
const LARGE: usize = 4 * xen::PAGE_SIZE;

/// Unused pages and blocks that a queue keeps: 512 KiB of each.
const PAGES: u32 = 128;
const BLOCKS: u32 = 16;
/// A block is 2 to this power pages: what the page allocator keeps at hand for each processor.
const BLOCK_ORDER: u32 = 3;

/// The memory of one queue's packets.
pub(crate) struct Pools {
    pages: PagePool,
    blocks: PagePool,
}

impl Pools {
    pub(crate) fn new(netdev: &netdevice::Registration<Interface>) -> Result<Self> {
        Ok(Self {
            pages: PagePool::for_device(netdev, PAGES, 0)?,
            blocks: PagePool::for_device(netdev, BLOCKS, BLOCK_ORDER)?,
        })
    }

    /// Allocates a packet of `len` bytes for the pieces in `segments`, whose lengths add up to `len`.
    pub(crate) fn allocate(
        &mut self,
        cx: &mut napi::Context<'_>,
        len: usize,
        segments: &[Segment],
    ) -> Result<Unshared> {
        let mut skb = cx.alloc_skb(ROOM)?;
        match self.add_memory(&mut skb, len, segments) {
            Ok(()) => Ok(skb),
            Err(error) => {
                skb.drop_any(DropReason::NoMemory);
                Err(error)
            }
        }
    }

    /// Gives `skb` the memory for [`Pools::allocate`].
    fn add_memory(&mut self, skb: &mut Unshared, len: usize, segments: &[Segment]) -> Result {
        let (linear, in_fragments) = match segments.split_first() {
            Some((first, rest)) if usize::from(first.len) <= LARGEST_LINEAR_SLOT => {
                (first.len.into(), rest)
            }
            _ => (0, segments),
        };
        skb.put(linear)?;

        let left = len.saturating_sub(linear);
        if left <= LARGE && in_fragments.len() <= skbuff::MAX_FRAGS {
            in_fragments
                .iter()
                .try_for_each(|segment| skb.add_pool_frag(&mut self.pages, 0, segment.len.into()))
        } else {
            self.pack(skb, in_fragments.first().map_or(0, lead), left)
        }
    }

    /// Adds `left` bytes to a packet in as few fragments as possible, the first of them `lead` bytes
    /// behind the start of a page.
    fn pack(&mut self, skb: &mut Unshared, mut lead: usize, mut left: usize) -> Result {
        while left > 0 {
            let in_block = left.min(self.blocks.frag_max().saturating_sub(lead));
            let added = if left > xen::PAGE_SIZE
                && skb.add_pool_frag(&mut self.blocks, lead, in_block).is_ok()
            {
                in_block
            } else {
                // The end of the packet, or memory is short or in pieces.
                let in_page = left.min(xen::PAGE_SIZE.saturating_sub(lead));
                skb.add_pool_frag(&mut self.pages, lead, in_page)?;
                in_page
            };
            left = left.saturating_sub(added);
            lead = 0;
        }
        Ok(())
    }
}

/// Where in a page a packet's first piece is best copied to, so that the end of the one is the end of the
/// other: a guest's buffers go on in the next page.
fn lead(first: &Segment) -> usize {
    match usize::from(first.offset).saturating_add(first.len.into()) {
        xen::PAGE_SIZE => first.offset.into(),
        _ => 0,
    }
}
