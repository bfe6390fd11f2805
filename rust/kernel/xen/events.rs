// SPDX-License-Identifier: GPL-2.0

//! Interdomain event channels with late acknowledgement.
//!
//! An event masks its channel until it is acknowledged, which happens when the work it announced
//! is done, or a bounded part of it: a peer that sends events faster than they are served slows down
//! itself only. The
//! kernel delays the acknowledgement of *spurious* events further, so the driver says honestly
//! whether there was work.
//!
//! C header: [`include/xen/events.h`](srctree/include/xen/events.h)

use crate::{
    bindings,
    error::to_result,
    prelude::*,
    str::CString,
    sync::{
        atomic::{
            ordering::{
                Full,
                Relaxed, //
            },
            Atomic, //
        },
        Arc, //
    },
    xen::xenbus, //
};

/// A peer's event channel port, as the peer published it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemotePort(pub u32);

/// Reacts to events.
pub trait Handler: Send + Sync + 'static {
    /// An event arrived. Runs in hard interrupt context, never twice at once for one channel, and not
    /// again before the event is acknowledged.
    fn interrupt(&self, event: Event<'_>);
}

/// One side of the work that an event may announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiter {
    /// The consumer of what the peer sends.
    Receive,
    /// The producer of what the peer takes.
    Send,
}

impl Waiter {
    const fn bit(self) -> u32 {
        match self {
            Waiter::Receive => 1,
            Waiter::Send => 2,
        }
    }
}

/// Bits of all waiters.
const WAITERS: u32 = Waiter::Receive.bit() | Waiter::Send.bit();
/// Set when a waiter found work since the event.
const WORKED: u32 = 4;

/// The end of an event channel that anybody may hold: notifies the peer and acknowledges events.
///
/// A port outlives its [`Channel`] harmlessly: notifications and acknowledgements then do nothing.
pub struct Port {
    /// Interrupt number, 0 while unbound.
    irq: Atomic<u32>,
    /// Waiters that have not looked since the last event, and [`WORKED`].
    pending: Atomic<u32>,
}

impl Port {
    /// Sends an event to the peer.
    #[inline]
    pub fn notify(&self) {
        let irq = self.irq.load(Relaxed);
        if irq != 0 {
            // SAFETY: Any interrupt number may be passed: one without an event channel is ignored.
            unsafe { bindings::notify_remote_via_irq(irq as c_int) };
        }
    }

    /// Says that `waiter` has looked for work and is about to sleep; `worked` tells whether it found
    /// any since it last said so.
    ///
    /// Acknowledges the event when the last waiter has looked. Work that arrives afterwards raises a
    /// new event, so the caller must have asked for one before it looked for the last time.
    pub fn finish(&self, waiter: Waiter, worked: bool) {
        let mut old = self.pending.load(Relaxed);
        loop {
            if old & waiter.bit() == 0 {
                return;
            }
            let mut new = old & !waiter.bit();
            if worked {
                new |= WORKED;
            }
            let last = new & WAITERS == 0;
            match self.pending.cmpxchg(old, if last { 0 } else { new }, Full) {
                Ok(_) if last => return self.acknowledge(new & WORKED == 0),
                Ok(_) => return,
                Err(current) => old = current,
            }
        }
    }

    fn acknowledge(&self, spurious: bool) {
        let irq = self.irq.load(Relaxed);
        if irq != 0 {
            let flags = if spurious {
                bindings::XEN_EOI_FLAG_SPURIOUS
            } else {
                0
            };
            // SAFETY: Any interrupt number may be passed: one without an event channel is ignored.
            unsafe { bindings::xen_irq_lateeoi(irq, flags) };
        }
    }
}

/// An event that nobody has taken on yet.
#[must_use = "an event that is not taken on leaves its channel masked for ever"]
pub struct Event<'a>(&'a Port);

impl Event<'_> {
    /// Hands the event to `waiters`, each of which must be woken and must call [`Port::finish`].
    #[inline]
    pub fn defer(self, waiters: &[Waiter]) {
        let mask = waiters.iter().fold(0, |mask, waiter| mask | waiter.bit());
        if mask == 0 {
            self.0.acknowledge(true);
        } else {
            self.0.pending.store(mask, Relaxed);
        }
    }
}

/// What the interrupt refers to.
struct Bound<H> {
    port: Arc<Port>,
    handler: H,
}

/// A bound event channel. Dropping it unbinds: no handler runs afterwards.
///
/// # Invariants
///
/// `port.irq` is bound to an event channel with `interrupt_callback::<H>` and the address of
/// `bound`.
pub struct Channel<H: Handler> {
    bound: KBox<Bound<H>>,
    /// The kernel keeps the pointer for `/proc/interrupts`.
    _name: CString,
}

impl<H: Handler> Channel<H> {
    /// Binds to `remote` of the device's other end. The handler may run before this returns.
    ///
    /// `name` appears in `/proc/interrupts`. Sleeps.
    pub fn bind(
        xdev: &xenbus::Device,
        remote: RemotePort,
        name: CString,
        handler: H,
    ) -> Result<Self> {
        let port = Arc::new(
            Port {
                irq: Atomic::new(0),
                pending: Atomic::new(0),
            },
            GFP_KERNEL,
        )?;
        let bound = KBox::new(Bound { port, handler }, GFP_KERNEL)?;
        // SAFETY:
        // - `xdev` is a valid device of the xenbus.
        // - `name` and `bound` live, at stable addresses, until `unbind_from_irqhandler()` in
        //   `drop()`, or until this function fails, when no handler was left behind.
        // - `interrupt_callback::<H>` expects a pointer to `Bound<H>`.
        let irq = unsafe {
            bindings::bind_interdomain_evtchn_to_irqhandler_lateeoi(
                xdev.as_raw(),
                remote.0,
                Some(interrupt_callback::<H>),
                0,
                name.as_char_ptr(),
                core::ptr::from_ref::<Bound<H>>(&bound)
                    .cast_mut()
                    .cast::<c_void>(),
            )
        };
        if irq < 0 {
            to_result(irq)?;
        }
        // An event may be waiting for this: `interrupt_callback()` stores the number as well.
        bound.port.irq.store(irq as u32, Relaxed);
        // INVARIANT: Just bound.
        Ok(Self { bound, _name: name })
    }

    /// The port to share with those who notify and acknowledge.
    pub fn port(&self) -> &Arc<Port> {
        &self.bound.port
    }
}

impl<H: Handler> Drop for Channel<H> {
    fn drop(&mut self) {
        let irq = self.bound.port.irq.load(Relaxed);
        // SAFETY: By the type invariant `irq` is bound with this device id; the call waits for
        // running handlers, so `bound` is not used afterwards.
        unsafe {
            bindings::unbind_from_irqhandler(
                irq,
                core::ptr::from_ref::<Bound<H>>(&self.bound)
                    .cast_mut()
                    .cast::<c_void>(),
            )
        };
        // Only now, because a handler would store the number again.
        self.bound.port.irq.store(0, Relaxed);
    }
}

/// # Safety
///
/// `data` must point to a `Bound<H>` that lives until the handler is unbound.
unsafe extern "C" fn interrupt_callback<H: Handler>(
    irq: c_int,
    data: *mut c_void,
) -> bindings::irqreturn_t {
    // SAFETY: By this function's contract.
    let bound = unsafe { &*data.cast::<Bound<H>>() };
    if bound.port.irq.load(Relaxed) == 0 {
        // The first event can be faster than `bind()`, and must be acknowledged all the same. Once
        // unbound no handler runs.
        bound.port.irq.store(irq as u32, Relaxed);
    }
    bound.handler.interrupt(Event(&bound.port));
    bindings::irqreturn::IRQ_HANDLED
}
