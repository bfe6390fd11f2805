// SPDX-License-Identifier: GPL-2.0

//! Xen.

#[path = "../../../../rust/kernel/xen/events.rs"]
pub mod events;
pub mod grant;
#[path = "../../../../rust/kernel/xen/netif.rs"]
pub mod netif;
// Its tests, which are left out, are not where a file of this name would have them.
#[rustfmt::skip]
#[path = "../../../../rust/kernel/xen/ring.rs"]
pub mod ring;
pub mod xenbus;

pub const PAGE_SIZE: usize = 4096;

/// A domain's number.
#[derive(Clone, Copy)]
pub struct DomId(pub u16);

impl From<DomId> for u32 {
    fn from(id: DomId) -> Self {
        id.0.into()
    }
}
