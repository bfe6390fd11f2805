// SPDX-License-Identifier: GPL-2.0

//! Polling for received packets.
//!
//! An [`Instance`] is what a queue of a device is polled through, by its owner's [`Poller`]. A
//! [`Napi`] is what it is scheduled by, from wherever it is noticed that there is work.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    mem::offset_of,
    ptr::NonNull, //
};

use super::{
    netdevice::{
        Device,
        Hold,
        Operations, //
    },
    rtnl,
    skbuff::{
        Frame,
        Unshared, //
    }, //
};
use crate::{
    bindings,
    bottom_half,
    prelude::*,
    sync::Arc,
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

#[cfg(CONFIG_KUNIT = "y")]
mod tests;

/// How far a poll has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The budget is used up: there may be more, so poll again.
    More,
    /// This many packets were received, and there are no more.
    ///
    /// Polling ends, unless it was scheduled in the meantime. The number is taken to be less than the
    /// budget.
    Idle(usize),
}

/// What polls a queue.
pub trait Poller: Send + 'static {
    /// Receives up to [`Context::budget`] packets.
    ///
    /// Runs with bottom halves off and must not sleep. There is one call at a time.
    fn poll(&mut self, cx: &mut Context<'_>) -> Progress;
}

/// What a poll is done with.
///
/// # Invariants
///
/// The pointer is to the NAPI instance which is being polled by this thread, with bottom halves off
/// and interrupts on, for the lifetime `'a`.
pub struct Context<'a> {
    napi: NonNull<bindings::napi_struct>,
    budget: usize,
    poll: PhantomData<&'a mut ()>,
    _not_thread_safe: NotThreadSafe,
}

impl<'a> Context<'a> {
    /// The number of packets which may be received in this poll; not 0.
    #[inline]
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// Allocates a packet whose linear part has room for `room` bytes.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the room is more than 64 KiB, `ENOMEM`.
    #[inline]
    pub fn alloc_skb(&mut self, room: usize) -> Result<Unshared> {
        let room = c_uint::try_from(room)
            .ok()
            .filter(|&room| room <= MAX_ROOM)
            .ok_or(EINVAL)?;
        let napi = self.napi.as_ptr();

        // CAST: The kernel's `bindings` crate knows the type by name only.
        //
        // SAFETY: By the type invariant the NAPI instance is valid, and the context is the one which
        // the function needs.
        let skb = unsafe { bindings::napi_alloc_skb(napi.cast(), room) };
        let skb = NonNull::new(skb).ok_or(ENOMEM)?;

        // SAFETY: The buffer was just allocated.
        Ok(unsafe { Unshared::from_raw(skb) })
    }

    /// Makes a packet, all of which was filled, an Ethernet frame which the device has received.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if the packet is shorter than an Ethernet header, `ENOMEM`; the packet is dropped.
    #[inline]
    pub fn frame(&mut self, skb: Unshared) -> Result<Frame<'a>> {
        // SAFETY: By the type invariant the NAPI instance is valid, and it is added to a device.
        let dev = unsafe { NonNull::new_unchecked((*self.napi.as_ptr()).dev) };

        // SAFETY: The device is that of the NAPI instance, which is not removed from it for the
        // lifetime `'a`.
        unsafe { Frame::new(skb, dev) }
    }

    /// Delivers a frame to the stack at once, or like [`Context::gro_receive`] if others are held back, which come
    /// first.
    #[inline]
    pub fn receive(&mut self, frame: Frame<'a>) {
        // SAFETY: By the type invariant the NAPI instance is valid, and whoever polls is the only one to use this.
        let gro = unsafe { &(*self.napi.as_ptr()).gro };
        if gro.bitmask != 0 || gro.rx_count != 0 {
            return self.gro_receive(frame);
        }
        let skb = frame.into_raw().as_ptr();

        // SAFETY: By the type invariant the NAPI instance is valid; so is the buffer.
        unsafe { bindings::skb_mark_napi_id(skb, self.napi.as_ptr()) };
        // SAFETY: Bottom halves are off by the type invariant. The function takes over the buffer, whose
        // device and headers are set up.
        unsafe { bindings::netif_receive_skb(skb) };
    }

    /// Delivers a frame to the stack, which may hold it back to merge it with those that follow.
    #[inline]
    pub fn gro_receive(&mut self, frame: Frame<'a>) {
        // SAFETY: By the type invariant the NAPI instance is valid.
        let gro = unsafe { &raw mut (*self.napi.as_ptr()).gro };

        // SAFETY: The context is the one which the function needs. It takes over the buffer, whose
        // device and headers are set up.
        unsafe { bindings::gro_receive_skb(gro, frame.into_raw().as_ptr()) };
    }
}

/// The largest linear part of a packet, in bytes.
const MAX_ROOM: c_uint = 0x1_0000;

/// What a queue is scheduled to be polled by.
///
/// It may outlive the [`Instance`] that it comes from, and does nothing then.
///
/// # Invariants
///
/// - The `struct napi_struct` was added to a device, and may have been removed from it.
/// - `poller` is accessed by the poll function while the NAPI instance is enabled and scheduled, and by
///   the owner of the [`Instance`] while it is disabled. It is [`Some`] while it is enabled.
#[pin_data]
pub struct Napi<P> {
    #[pin]
    napi: Opaque<bindings::napi_struct>,
    poller: UnsafeCell<Option<P>>,
}

// SAFETY: The poller is sent between the threads that poll, which is fine as it is `Send`; the
// `struct napi_struct` belongs to no thread.
unsafe impl<P: Send> Send for Napi<P> {}

// SAFETY: Scheduling is atomic, and the poller cannot be accessed through a shared reference, except
// by those who are named in the type invariant, of whom there is one at a time.
unsafe impl<P: Send> Sync for Napi<P> {}

impl<P> Napi<P> {
    /// Makes the queue be polled soon, from an interrupt or softirq.
    ///
    /// If it is being polled, it is polled again afterwards. It is never polled while polling is disabled,
    /// or after the [`Instance`] is gone; having been scheduled while it was disabled, it may be polled
    /// once more than necessary later.
    #[inline]
    pub fn schedule(&self) {
        // SAFETY: The NAPI instance was added to a device by the type invariant. Nothing but its
        // state is accessed here, which stays that of a disabled one after it was removed.
        if unsafe { bindings::napi_schedule_prep(self.napi.get()) } {
            // SAFETY: The NAPI instance is enabled, and was marked as scheduled just now, so that it
            // cannot be disabled before it was polled.
            unsafe { bindings::__napi_schedule(self.napi.get()) };
        }
    }

    /// Makes the queue be polled at once, from a thread; otherwise like [`Napi::schedule`].
    ///
    /// Must not be called with interrupts off.
    #[inline]
    pub fn schedule_from_thread(&self) {
        // Softirqs that a thread raises run when bottom halves are enabled.
        let _disabled = bottom_half::disable();
        self.schedule();
    }
}

impl<P> Napi<P> {
    /// The state of polling, as C's bits.
    pub fn state(&self) -> c_ulong {
        // SAFETY: The memory is valid by the type invariant. The state may be changing.
        unsafe { (&raw const (*self.napi.get()).state).read_volatile() }
    }

    /// The number of packets which one poll may receive.
    pub fn weight(&self) -> c_int {
        // SAFETY: The memory is valid by the type invariant. The number may be changing.
        unsafe { (&raw const (*self.napi.get()).weight).read_volatile() }
    }
}

/// The owner of what a queue is polled through.
///
/// It has a reference to the device, so that the device is not gone before this is dropped. Dropping it
/// disables polling. Must be used and dropped where it is allowed to sleep; dropped without the routing
/// netlink lock, unless [`Instance::hide`] was called.
///
/// # Invariants
///
/// No receive queue of the device points to the NAPI instance, except `shown`. The NAPI instance is added
/// to the device and `enabled` tells whether it is enabled. No other value adds, removes, enables or
/// disables it.
pub struct Instance<P: Poller> {
    napi: Arc<Napi<P>>,
    enabled: bool,
    /// The receive queue that is shown to be polled by the instance.
    shown: Option<u16>,
    // Dropped after the NAPI instance was removed.
    device: Hold,
}

impl<P: Poller> Instance<P> {
    /// Adds an instance to a device. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new<T: Operations>(dev: &Device<T>) -> Result<Self> {
        let device = Hold::new(dev);
        let napi = Arc::pin_init(
            pin_init!(Napi {
                napi: Opaque::zeroed(),
                poller: UnsafeCell::new(None),
            }),
            GFP_KERNEL,
        )?;

        // SAFETY: The device is valid. The NAPI instance is zeroed, is not moved, and is removed before
        // its memory is freed, or the reference to the device is given up.
        unsafe {
            bindings::netif_napi_add(device.as_raw(), napi.napi.get(), Some(poll_callback::<P>))
        };

        // INVARIANT: A NAPI instance which was just added is disabled.
        Ok(Self {
            napi,
            enabled: false,
            shown: None,
            device,
        })
    }

    /// What the queue is scheduled by.
    #[inline]
    pub fn handle(&self) -> Arc<Napi<P>> {
        self.napi.clone()
    }

    /// Whether polling is enabled.
    #[inline]
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Enables polling by `poller`. Sleeps.
    ///
    /// If it was enabled already, the poller is exchanged, and the former is returned.
    pub fn enable(&mut self, poller: P) -> Option<P> {
        let former = self.disable();

        // SAFETY: By the type invariants polling is disabled, and nobody else accesses the poller.
        unsafe { *self.napi.poller.get() = Some(poller) };
        // SAFETY: The NAPI instance is added to a device that lives, and disabled.
        unsafe { bindings::napi_enable(self.napi.napi.get()) };
        // INVARIANT: It was enabled just now.
        self.enabled = true;

        former
    }

    /// Disables polling, and waits for the end of a poll that is under way. Sleeps.
    ///
    /// Returns the poller, if polling was enabled.
    pub fn disable(&mut self) -> Option<P> {
        if !self.enabled {
            return None;
        }

        // SAFETY: The NAPI instance is added to a device that lives, and enabled.
        unsafe { bindings::napi_disable(self.napi.napi.get()) };
        // INVARIANT: It was disabled just now.
        self.enabled = false;

        // SAFETY: By the type invariants nobody else accesses the poller.
        unsafe { (*self.napi.poller.get()).take() }
    }
}

impl<P: Poller> Instance<P> {
    /// Shows user space that the receive queue with the given index is polled by this instance.
    ///
    /// Does nothing if the device was created with fewer queues.
    pub fn show_as_receiver(&mut self, rtnl: &rtnl::Guard, index: u16) {
        self.hide(rtnl);
        // SAFETY: The device is valid; the number does not change.
        let queues = unsafe { (*self.device.as_raw()).num_rx_queues };
        if u32::from(index) < queues {
            // INVARIANT: The queue is remembered.
            self.shown = Some(index);
            self.set_receiver(index, self.napi.napi.get());
        }
    }

    /// Undoes [`Instance::show_as_receiver`].
    pub fn hide(&mut self, _rtnl: &rtnl::Guard) {
        if let Some(index) = self.shown.take() {
            self.set_receiver(index, core::ptr::null_mut());
        }
    }

    /// Makes the receive queue with the given index, which there is, point to `napi`. The routing netlink
    /// lock is held.
    fn set_receiver(&self, index: u16, napi: *mut bindings::napi_struct) {
        // SAFETY: The device is valid and has the queue, and the lock is held. The pointer is null or to this
        // instance, which is added to the device until no queue points to it.
        unsafe {
            bindings::netif_queue_set_napi(
                self.device.as_raw(),
                index.into(),
                bindings::netdev_queue_type_NETDEV_QUEUE_TYPE_RX,
                napi,
            )
        };
    }
}

impl<P: Poller> Drop for Instance<P> {
    fn drop(&mut self) {
        if self.shown.is_some() {
            self.hide(&rtnl::lock());
        }
        drop(self.disable());

        // SAFETY: The NAPI instance is added to a device that lives, and disabled. The function waits
        // until nobody can find it any more.
        unsafe { bindings::netif_napi_del(self.napi.napi.get()) };
    }
}

/// What the end of polling is reported with, after `done` packets: to report the whole of the budget
/// would mean that polling goes on.
#[inline]
fn completed(done: usize, budget: c_int) -> c_int {
    c_int::try_from(done)
        .unwrap_or(c_int::MAX)
        .min(budget.saturating_sub(1))
}

/// # Safety
///
/// Called by C only, with a NAPI instance inside of a [`Napi<P>`] which is enabled and scheduled, on
/// behalf of whom has scheduled it.
unsafe extern "C" fn poll_callback<P: Poller>(
    napi: *mut bindings::napi_struct,
    budget: c_int,
) -> c_int {
    // Without a budget, this is called with interrupts off to free packets that were sent. There are
    // none to be freed here.
    if budget <= 0 {
        return 0;
    }

    // CAST: `Opaque<napi_struct>` is a transparent wrapper.
    //
    // SAFETY: The NAPI instance is inside of a `Napi<P>`, whose memory is not freed while it is added.
    let this = unsafe { napi.byte_sub(offset_of!(Napi<P>, napi)) }.cast::<Napi<P>>();
    // SAFETY: As above; the poller is accessed by none but the poll function, of which there is
    // one call at a time, as the NAPI instance is enabled and scheduled.
    let poller = unsafe { &mut *(*this).poller.get() };
    let Some(poller) = poller else {
        return 0;
    };

    // INVARIANT: C calls this in the context which is asked for.
    let mut cx = Context {
        // SAFETY: C passes a valid pointer.
        napi: unsafe { NonNull::new_unchecked(napi) },
        budget: budget as usize,
        poll: PhantomData,
        _not_thread_safe: NotThreadSafe,
    };

    match poller.poll(&mut cx) {
        Progress::More => budget,
        Progress::Idle(done) => {
            let done = completed(done, budget);

            // From here on, another poll may begin elsewhere, so that the poller must not be used.
            //
            // SAFETY: The NAPI instance is valid and scheduled, and `done` is less than the budget.
            unsafe { bindings::napi_complete_done(napi, done) };
            done
        }
    }
}
