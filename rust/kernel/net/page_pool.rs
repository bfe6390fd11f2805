// SPDX-License-Identifier: GPL-2.0

//! Pools of pages for received packets.
//!
//! A pool hands out memory without the cost of the page allocator, as long as the packets which
//! were made of it are freed fast enough.
//!
//! C header: [`include/net/page_pool/helpers.h`](srctree/include/net/page_pool/helpers.h)

use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use super::netdevice::{
    Operations,
    Registration, //
};
use crate::{
    bindings,
    error::from_err_ptr,
    page::PAGE_SIZE,
    prelude::*, //
};

/// A pool of pages.
///
/// Allocation needs exclusive access, as a pool has one consumer. The memory finds its way back from
/// any context, and may outlive the pool. Dropping the pool sleeps.
///
/// # Invariants
///
/// The pointer is to a valid `struct page_pool` whose creator this value is; `frag_max` is the size of
/// its pages in bytes.
pub struct PagePool {
    pool: NonNull<bindings::page_pool>,
    frag_max: usize,
}

// SAFETY: A pool belongs to no thread: what needs one consumer at a time takes `&mut PagePool`. It is
// not created for one CPU or NAPI instance, so that no other consumer gets at its cache.
unsafe impl Send for PagePool {}

// SAFETY: Nothing can be done with a shared reference.
unsafe impl Sync for PagePool {}

/// Memory from a pool, with a reference to its page.
pub(crate) struct Frag {
    /// The page, or the first of the pages.
    pub(crate) page: NonNull<bindings::page>,
    /// The position of the first byte in it.
    pub(crate) offset: c_int,
    /// The requested length in bytes.
    pub(crate) len: c_int,
    /// What it takes away from the pool, in bytes.
    pub(crate) truesize: c_uint,
}

impl PagePool {
    /// Creates a pool which keeps up to `entries` unused pages of `2^order` times the page size.
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there are no pages of that size, `ENOMEM`.
    pub fn new(entries: u32, order: u32) -> Result<Self> {
        // SAFETY: There is no device.
        unsafe { Self::create(entries, order, core::ptr::null_mut()) }
    }

    /// Creates a pool like [`PagePool::new`], whose pages user space sees as those of `dev`.
    ///
    /// Pages which are still in use when the device is gone count as the loopback device's.
    pub fn for_device<T: Operations>(
        dev: &Registration<T>,
        entries: u32,
        order: u32,
    ) -> Result<Self> {
        // SAFETY: The device is registered.
        unsafe { Self::create(entries, order, dev.as_raw()) }
    }

    /// # Safety
    ///
    /// `dev` must be null or point to a device which is registered during the call.
    unsafe fn create(entries: u32, order: u32, dev: *mut bindings::net_device) -> Result<Self> {
        let frag_max = 1usize
            .checked_shl(order)
            .and_then(|pages| pages.checked_mul(PAGE_SIZE))
            .filter(|&size| c_int::try_from(size).is_ok())
            .ok_or(EINVAL)?;

        let mut params = bindings::page_pool_params::default();
        params.__bindgen_anon_1.fast = ManuallyDrop::new(
            bindings::page_pool_params__bindgen_ty_1_page_pool_params_fast {
                order,
                pool_size: entries,
                nid: bindings::NUMA_NO_NODE,
                ..Default::default()
            },
        );

        params.__bindgen_anon_2.slow =
            bindings::page_pool_params__bindgen_ty_2_page_pool_params_slow {
                netdev: dev,
                ..Default::default()
            };

        // SAFETY: The parameters are valid for the call: without flags, nothing is mapped for DMA, and
        // without a NAPI instance, nobody but the owner takes pages out of the pool. The device is
        // registered, and is replaced by another one when it is unregistered.
        let pool = from_err_ptr(unsafe { bindings::page_pool_create(&params) })?;

        // INVARIANT: The pool was created just now.
        Ok(Self {
            pool: NonNull::new(pool).ok_or(ENOMEM)?,
            frag_max,
        })
    }

    /// The size of the largest contiguous piece of memory, in bytes.
    #[inline]
    pub fn frag_max(&self) -> usize {
        self.frag_max
    }

    /// Allocates `len` bytes, `lead` bytes behind the start of a page.
    ///
    /// A position other than 0 takes a page, or the pages that count as one, as a whole. Does not sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `len` is 0 or both together are more than [`PagePool::frag_max`], `ENOMEM`.
    #[inline]
    pub(crate) fn alloc_frag(&mut self, lead: usize, len: usize) -> Result<Frag> {
        let size = if lead == 0 { len } else { self.frag_max };
        let fits = lead
            .checked_add(len)
            .is_some_and(|end| end <= self.frag_max);
        if len == 0 || !fits {
            return Err(EINVAL);
        }
        let mut offset: c_uint = 0;
        let mut truesize = c_uint::try_from(size).map_err(|_| EINVAL)?;

        // SAFETY: The pool is valid by the type invariant and borrowed exclusively, which makes this
        // its only consumer; both other pointers are valid for the call.
        let page = unsafe {
            bindings::page_pool_dev_alloc(self.pool.as_ptr(), &mut offset, &mut truesize)
        };

        Ok(Frag {
            page: NonNull::new(page).ok_or(ENOMEM)?,
            // What has a lead is a whole, and begins at 0.
            offset: (offset as c_int).wrapping_add(lead as c_int),
            len: len as c_int,
            truesize,
        })
    }
}

impl Drop for PagePool {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the pool is this value's to destroy. It frees itself when the
        // last page has come back.
        unsafe { bindings::page_pool_destroy(self.pool.as_ptr()) };
    }
}
