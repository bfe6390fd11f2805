// SPDX-License-Identifier: GPL-2.0

//! The backend's end of a shared ring.
//!
//! A ring is one page that both domains write. The frontend puts requests, the backend takes them
//! and puts one response for each into the same ring. All indices run freely over 32 bits and are
//! reduced to a slot when they are used.
//!
//! The other side may write anything at any time. Whatever is read from the page is read once, as
//! a copy; there is no reference into it. What this side has written it remembers and never reads
//! back.
//!
//! C header: [`include/xen/interface/io/ring.h`](srctree/include/xen/interface/io/ring.h)

use core::marker::PhantomData;

use crate::{
    bindings,
    io::{
        io_read,
        io_write,
        Io,
        SysMem, //
    },
    prelude::*,
    sync::Arc,
    xen::{
        grant,
        PAGE_SIZE, //
    }, //
};

#[cfg(CONFIG_KUNIT = "y")]
mod tests;

/// What a ring carries.
pub trait Protocol: 'static {
    /// One slot, as large as the greater of request and response.
    type Slot: FromBytes + IntoBytes + Copy + 'static;
    /// What the frontend puts.
    type Request: FromBytes + IntoBytes + Copy + 'static;
    /// What the backend puts.
    type Response: FromBytes + IntoBytes + Copy + 'static;
}

/// Slots of a ring: the greatest power of two that fits the page behind the indices.
pub const fn slots<P: Protocol>() -> u32 {
    const {
        let room = PAGE_SIZE - size_of::<Header>();
        // CAST: A page has less than 2^32 bytes.
        1 << (room / size_of::<P::Slot>()).ilog2()
    }
}

/// A page that is shared with the frontend.
///
/// # Safety
///
/// `as_ptr()` must always return the same pointer, to memory that is aligned to, and valid for reading
/// and writing, [`PAGE_SIZE`] bytes as long as the value exists, wherever it is moved.
pub unsafe trait Page {
    /// The address of the page.
    fn as_ptr(&self) -> *mut c_void;
}

/// What comes before the slots on the page.
#[repr(C)]
struct Header {
    req_prod: u32,
    req_event: u32,
    rsp_prod: u32,
    rsp_event: u32,
    pad: [u8; 48],
}

const _: () = assert!(size_of::<Header>() == 64);

/// The frontend's indices make no sense: it claims more requests than the ring holds.
///
/// Nothing of the ring can be trusted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

/// The backend's end of a ring.
///
/// Requests are taken in order, responses are put in order; a response becomes visible with
/// [`BackRing::publish`].
///
/// # Invariants
///
/// `published <= rsp_prod <= req_cons` and `req_cons - published` is at most [`slots`], in wrapping
/// order: no more responses are put than requests were taken.
pub struct BackRing<P: Protocol, M: Page = grant::RingPage> {
    page: Arc<M>,
    req_cons: u32,
    rsp_prod: u32,
    published: u32,
    _protocol: PhantomData<P>,
}

impl<P: Protocol, M: Page> BackRing<P, M> {
    /// Attaches to the ring on `page` where an earlier backend left off.
    ///
    /// # Errors
    ///
    /// `EIO` when the indices on the page are not those of a ring, `ENOMEM`.
    pub fn attach(page: M) -> Result<Self> {
        const { assert!(size_of::<Header>() % align_of::<P::Slot>() == 0) };
        const { assert!(align_of::<P::Slot>() <= PAGE_SIZE) };

        let mut ring = Self {
            page: Arc::new(page, GFP_KERNEL)?,
            req_cons: 0,
            rsp_prod: 0,
            published: 0,
            _protocol: PhantomData,
        };
        let shared = ring.shared();
        let rsp_prod = io_read!(shared, .rsp_prod);
        let req_prod = io_read!(shared, .req_prod);
        if req_prod.wrapping_sub(rsp_prod) > slots::<P>() {
            return Err(EIO);
        }
        // INVARIANT: All equal. Every request before `rsp_prod` has its response.
        ring.req_cons = rsp_prod;
        ring.rsp_prod = rsp_prod;
        ring.published = rsp_prod;
        Ok(ring)
    }

    /// What shows the indices to others while this end serves the ring.
    pub fn observer(&self) -> Observer<M> {
        Observer(self.page.clone())
    }

    /// The index of the next request to be taken.
    #[inline]
    pub fn position(&self) -> u32 {
        self.req_cons
    }

    fn shared(&self) -> SysMem<'_, Header> {
        // SAFETY: By the contract of `Page`, the memory is larger than `Header` and aligned for it,
        // while `self.page` is borrowed.
        unsafe { SysMem::new(self.page.as_ptr().cast()) }
    }

    /// The slot at `index`, as the request or the response `T`.
    #[inline]
    fn slot<T: FromBytes + IntoBytes>(&self, index: u32) -> SysMem<'_, T> {
        const { assert!(size_of::<T>() <= size_of::<P::Slot>()) };
        const { assert!(align_of::<T>() <= align_of::<P::Slot>()) };

        // Nothing wraps, because the slots fit on the page.
        let offset = ((index % slots::<P>()) as usize)
            .wrapping_mul(size_of::<P::Slot>())
            .wrapping_add(size_of::<Header>());
        let slot = self.page.as_ptr().wrapping_byte_add(offset);
        // SAFETY: `slots()` says how many slots fit on the page, which lives while `self.page` is
        // borrowed. `T` is not larger than a slot, which is aligned for it as asserted here and in
        // `attach()`.
        unsafe { SysMem::new(slot.cast()) }
    }

    /// Number of requests that can be taken now.
    pub fn unconsumed(&self) -> Result<u32, Overflow> {
        let req_prod = io_read!(self.shared(), .req_prod);
        if req_prod.wrapping_sub(self.rsp_prod) > slots::<P>() {
            return Err(Overflow);
        }
        let ready = req_prod.wrapping_sub(self.req_cons);
        if ready > slots::<P>() {
            // It moved back behind what was taken already.
            return Err(Overflow);
        }
        // SAFETY: A barrier: the requests are read after the index that announced them.
        unsafe { bindings::virt_rmb() };
        Ok(ready)
    }

    /// Asks for an event when `wanted` requests are there, counted from the next one, and says
    /// whether they are there already, in which case no event may come.
    ///
    /// `wanted` is at least 1.
    pub fn request_event(&mut self, wanted: u32) -> Result<bool, Overflow> {
        if self.unconsumed()? >= wanted {
            return Ok(true);
        }
        let shared = self.shared();
        io_write!(shared, .req_event, self.req_cons.wrapping_add(wanted));
        // SAFETY: A barrier: the frontend sees the wish before the index is looked at again. Its own
        // order is the opposite one, so one of the two sides notices the other.
        unsafe { bindings::virt_mb() };
        Ok(self.unconsumed()? >= wanted)
    }

    /// Copies the request `ahead` places after the next one, which [`BackRing::unconsumed`] must have
    /// counted: otherwise the frontend's leftovers are read.
    ///
    /// The frontend may change it at any time, so nothing may be concluded from one copy for another.
    #[inline]
    pub fn peek(&self, ahead: u32) -> P::Request {
        self.slot::<P::Request>(self.req_cons.wrapping_add(ahead))
            .copy_read()
    }

    /// Takes the next `count` requests, which [`BackRing::unconsumed`] must have counted.
    #[inline]
    pub fn consume(&mut self, count: u32) {
        // INVARIANT: The distance to `rsp_prod` is bounded by the check in `unconsumed()`.
        self.req_cons = self.req_cons.wrapping_add(count);
    }

    /// Takes the next request as [`BackRing::consume`] and returns its copy.
    #[inline]
    pub fn take(&mut self) -> P::Request {
        let request = self.peek(0);
        self.consume(1);
        request
    }

    /// Number of requests taken and not answered.
    #[inline]
    pub fn owed(&self) -> u32 {
        self.req_cons.wrapping_sub(self.rsp_prod)
    }

    /// Puts the response to the oldest request that was not answered. A response beyond the requests
    /// taken is refused, because it would overwrite a request.
    #[inline]
    pub fn respond(&mut self, response: P::Response) {
        if self.owed() == 0 {
            crate::pr_warn_once!("response without a request\n");
            return;
        }
        self.slot::<P::Response>(self.rsp_prod).copy_write(response);
        // INVARIANT: `owed()` was not 0.
        self.rsp_prod = self.rsp_prod.wrapping_add(1);
    }

    /// Makes the responses visible to the frontend and tells whether it wants to be notified.
    #[must_use = "the frontend may sleep until it is notified"]
    pub fn publish(&mut self) -> bool {
        let old = self.published;
        let new = self.rsp_prod;
        if new == old {
            return false;
        }
        // SAFETY: A barrier: the responses are visible before the index that announces them.
        unsafe { bindings::virt_wmb() };
        let shared = self.shared();
        io_write!(shared, .rsp_prod, new);
        // SAFETY: A barrier: the index is visible before the frontend's wish is read.
        unsafe { bindings::virt_mb() };
        let rsp_event = io_read!(shared, .rsp_event);
        self.published = new;
        new.wrapping_sub(rsp_event) < new.wrapping_sub(old)
    }
}

/// Looks at a ring which somebody else serves, and keeps its page.
pub struct Observer<M: Page = grant::RingPage>(Arc<M>);

/// What a ring's page says at one moment. The other side may have written anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indices {
    /// The end of the requests.
    pub req_prod: u32,
    /// The end of the requests at which the frontend is to send an event.
    pub req_event: u32,
    /// The end of the responses.
    pub rsp_prod: u32,
    /// The end of the responses at which the backend is to send an event.
    pub rsp_event: u32,
}

impl<M: Page> Observer<M> {
    /// The indices now; they may change while they are read.
    pub fn indices(&self) -> Indices {
        // SAFETY: By the contract of `Page`, the memory is a page, which is larger, aligned for it, and
        // valid while `self` is borrowed.
        let shared: SysMem<'_, Header> = unsafe { SysMem::new(self.0.as_ptr().cast()) };
        Indices {
            req_prod: io_read!(shared, .req_prod),
            req_event: io_read!(shared, .req_event),
            rsp_prod: io_read!(shared, .rsp_prod),
            rsp_event: io_read!(shared, .rsp_event),
        }
    }
}
