// SPDX-License-Identifier: GPL-2.0

//! Grants, which are always good.

use std::sync::Arc;

use super::{
    ring,
    xenbus,
    DomId, //
};
use crate::{
    error::Result,
    fixed_vec::FixedVec,
    io::SharedPage,
    prelude::*, //
};

#[derive(Clone, Copy)]
pub struct Ref(pub u32);

/// A ring page, which exists as long as it is mapped.
pub struct RingPage(Arc<SharedPage>);

impl RingPage {
    pub fn map(xdev: &xenbus::Device, gref: Ref) -> Result<Self> {
        Ok(Self(xdev.pages.get(gref.0 as usize).ok_or(EIO)?.clone()))
    }
}

// SAFETY: The page stays in place while it is mapped.
unsafe impl ring::Page for RingPage {
    fn as_ptr(&self) -> *mut c_void {
        Arc::as_ptr(&self.0).cast_mut().cast()
    }
}

#[derive(Clone, Copy)]
pub struct Segment {
    pub gref: Ref,
    pub offset: u16,
    pub len: u16,
}

pub struct Copied<B, M> {
    pub buffer: B,
    pub meta: M,
    pub failed: bool,
}

/// Packets whose copies never fail.
pub struct CopyBatch<B, M> {
    packets: FixedVec<Copied<B, M>>,
}

impl<B, M> CopyBatch<B, M> {
    pub fn new(_: DomId, packets: u16, _: u16, _: usize) -> Result<Self> {
        Ok(Self {
            packets: FixedVec::new(packets.into())?,
        })
    }

    pub fn is_full(&self) -> bool {
        self.packets.is_full()
    }

    pub fn len(&self) -> usize {
        self.packets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    pub fn operations(&self) -> usize {
        self.packets.len()
    }

    pub fn take_hypercalls(&mut self) -> u64 {
        0
    }

    pub fn push(
        &mut self,
        buffer: B,
        meta: M,
        segments: impl IntoIterator<Item = Segment>,
    ) -> Result<(), (B, M)> {
        segments.into_iter().for_each(drop);
        let packet = Copied {
            buffer,
            meta,
            failed: false,
        };
        self.packets
            .push(packet)
            .map_err(|packet| (packet.buffer, packet.meta))
    }

    pub fn copy(&mut self) {}

    pub fn has_failed(&self, _: usize) -> bool {
        false
    }

    pub fn submit(&mut self) -> impl Iterator<Item = Copied<B, M>> + '_ {
        self.packets.drain()
    }
}
