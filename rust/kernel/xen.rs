// SPDX-License-Identifier: GPL-2.0

//! Xen: what a backend driver needs.
//!
//! C headers: [`include/xen/`](srctree/include/xen/)

use crate::{
    bindings,
    fmt, //
};

pub mod events;
pub mod grant;
pub mod netif;
pub mod ring;
pub mod xenbus;
pub mod xenstore;

/// Size of a page in every interface of Xen, in bytes; the kernel's own pages may be larger.
pub const PAGE_SIZE: usize = 4096;

/// A domain's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DomId(pub(crate) u16);

impl From<DomId> for u32 {
    fn from(id: DomId) -> Self {
        id.0.into()
    }
}

impl fmt::Display for DomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Tells whether the kernel runs as a domain of Xen.
#[inline]
pub fn is_domain() -> bool {
    // SAFETY: Reads a variable that is set once during early boot.
    unsafe { bindings::xen_domain() }
}
