// SPDX-License-Identifier: GPL-2.0

//! Interdomain event channels with late acknowledgement.
//!
//! An event masks its channel until it is acknowledged, which happens when the work it announced
//! is done, or a bounded part of it: a peer that sends events faster than they are served slows down
//! itself only. The kernel delays the acknowledgement of *spurious* events further, so the driver says
//! honestly whether there was work.
//!
//! C header: [`include/xen/events.h`](srctree/include/xen/events.h)

use crate::{
    bindings,
    cpu::CpuId,
    cpumask,
    error::to_result,
    prelude::*,
    str::CString,
    sync::{
        aref::ARef,
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
/// Set when there was work since the last acknowledgement.
const WORKED: u32 = 4;

/// How an event is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Worked,
    Spurious,
}

/// Who has still to look because of an event, and whether there was work.
///
/// An event tells of work that is there already, so it may arrive when that work was done: what counts is
/// all that was done since the last acknowledgement, before or after the event.
struct Pending(Atomic<u32>);

impl Pending {
    fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// An event is to be looked at by those in `waiters`.
    #[inline]
    fn event(&self, waiters: u32) {
        self.update(|old| old | waiters);
    }

    /// There was work.
    #[inline]
    fn worked(&self) {
        // Once is enough, and most often it was said before.
        if self.0.load(Relaxed) & WORKED == 0 {
            self.update(|old| old | WORKED);
        }
    }

    /// `waiter` has looked. Returns how to acknowledge the event, which is up to the last one.
    #[inline]
    fn finish(&self, waiter: Waiter) -> Option<Verdict> {
        let mine = waiter.bit();
        // Nobody else takes it away.
        if self.0.load(Relaxed) & mine == 0 {
            return None;
        }
        let old = self.update(|old| match old & WAITERS & !mine {
            0 => 0,
            _ => old & !mine,
        });
        if old & WAITERS != mine {
            None
        } else if old & WORKED == 0 {
            Some(Verdict::Spurious)
        } else {
            Some(Verdict::Worked)
        }
    }

    /// Changes the state, and returns what it was.
    #[inline]
    fn update(&self, change: impl Fn(u32) -> u32) -> u32 {
        let mut old = self.0.load(Relaxed);
        while let Err(current) = self.0.cmpxchg(old, change(old), Full) {
            old = current;
        }
        old
    }
}

/// The end of an event channel that anybody may hold: notifies the peer and acknowledges events.
///
/// A port outlives its [`Channel`] harmlessly: notifications and acknowledgements then do nothing.
// Written by the interrupt, by NAPI and by the thread: strangers shall not share the cache line.
#[repr(align(64))]
pub struct Port {
    /// Interrupt number, 0 while unbound.
    irq: Atomic<u32>,
    pending: Pending,
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

    /// Says that there was work of the kind that events announce: the next event to be acknowledged is
    /// not spurious.
    #[inline]
    pub fn worked(&self) {
        self.pending.worked();
    }

    /// Says that `waiter` has looked for work and is about to sleep, or has done a bounded part of it.
    ///
    /// Acknowledges the event when the last waiter has looked. Work that arrives afterwards raises a
    /// new event, so the caller must have asked for one before it looked for the last time.
    #[inline]
    pub fn finish(&self, waiter: Waiter) {
        if let Some(verdict) = self.pending.finish(waiter) {
            self.acknowledge(verdict);
        }
    }

    fn acknowledge(&self, verdict: Verdict) {
        let irq = self.irq.load(Relaxed);
        if irq != 0 {
            let flags = match verdict {
                Verdict::Worked => 0,
                Verdict::Spurious => bindings::XEN_EOI_FLAG_SPURIOUS,
            };
            // The kernel may note on which processor this happens, so a thread has to stay there.
            //
            // SAFETY: Preemption is enabled again below.
            unsafe { bindings::preempt_disable() };
            // SAFETY: Any interrupt number may be passed: one without an event channel is ignored.
            unsafe { bindings::xen_irq_lateeoi(irq, flags) };
            // SAFETY: It was disabled above.
            unsafe { bindings::preempt_enable() };
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
            self.0.acknowledge(Verdict::Spurious);
        } else {
            self.0.pending.event(mask);
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
    /// The kernel counts spurious events with the device, as long as the channel is bound.
    _xdev: ARef<xenbus::Device>,
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
                pending: Pending::new(),
            },
            GFP_KERNEL,
        )?;
        let bound = KBox::new(Bound { port, handler }, GFP_KERNEL)?;
        // SAFETY:
        // - `xdev` is a valid device of the xenbus, and the result keeps it.
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
        Ok(Self {
            bound,
            _name: name,
            _xdev: xdev.into(),
        })
    }

    /// The port to share with those who notify and acknowledge.
    pub fn port(&self) -> &Arc<Port> {
        &self.bound.port
    }

    /// Has the handler run on `cpu`, which an administrator may change. Sleeps.
    ///
    /// Nothing changes when that is impossible, because the processor is not online any more.
    pub fn set_affinity(&self, cpu: CpuId) {
        let irq = self.bound.port.irq.load(Relaxed);
        // The result is about the number alone, which is one by the type invariant.
        //
        // SAFETY: The set of processors lives for ever.
        let _ = unsafe { bindings::irq_set_affinity_and_hint(irq, cpumask::only(cpu).as_raw()) };
    }
}

impl<H: Handler> Drop for Channel<H> {
    fn drop(&mut self) {
        let irq = self.bound.port.irq.load(Relaxed);
        // An interrupt that has a hint must not be freed.
        //
        // SAFETY: No set of processors is passed.
        let _ = unsafe { bindings::irq_update_affinity_hint(irq, core::ptr::null()) };
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

#[kunit_tests(xen_netback_rs_events)]
mod tests {
    use super::*;

    const BOTH: u32 = WAITERS;
    const SEND: u32 = Waiter::Send.bit();

    #[test]
    fn last_waiter_acknowledges() {
        let pending = Pending::new();
        assert_eq!(pending.finish(Waiter::Send), None);

        pending.event(BOTH);
        pending.worked();
        assert_eq!(pending.finish(Waiter::Receive), None);
        assert_eq!(pending.finish(Waiter::Receive), None);
        assert_eq!(pending.finish(Waiter::Send), Some(Verdict::Worked));
        assert_eq!(pending.finish(Waiter::Send), None);
    }

    #[test]
    fn event_without_work_is_spurious() {
        let pending = Pending::new();
        pending.event(BOTH);
        assert_eq!(pending.finish(Waiter::Send), None);
        assert_eq!(pending.finish(Waiter::Receive), Some(Verdict::Spurious));
    }

    #[test]
    fn work_before_the_event_counts_once() {
        let pending = Pending::new();
        pending.worked();
        assert_eq!(pending.finish(Waiter::Send), None);
        pending.event(SEND);
        assert_eq!(pending.finish(Waiter::Send), Some(Verdict::Worked));
        pending.event(SEND);
        assert_eq!(pending.finish(Waiter::Send), Some(Verdict::Spurious));
    }

    #[test]
    fn work_between_the_waiters_counts() {
        let pending = Pending::new();
        pending.event(BOTH);
        assert_eq!(pending.finish(Waiter::Receive), None);
        pending.worked();
        assert_eq!(pending.finish(Waiter::Send), Some(Verdict::Worked));
    }

    /// Whoever takes an event on has to end it, once; an event for nobody is ended at once.
    #[test]
    fn event_is_handed_on_once() {
        let port = Port {
            irq: Atomic::new(0),
            pending: Pending::new(),
        };

        Event(&port).defer(&[Waiter::Send]);
        assert_eq!(port.pending.finish(Waiter::Receive), None);
        assert_eq!(port.pending.finish(Waiter::Send), Some(Verdict::Spurious));
        assert_eq!(port.pending.finish(Waiter::Send), None);

        Event(&port).defer(&[Waiter::Receive, Waiter::Send]);
        port.worked();
        port.finish(Waiter::Receive);
        assert_eq!(port.pending.finish(Waiter::Send), Some(Verdict::Worked));

        Event(&port).defer(&[]);
        assert_eq!(port.pending.finish(Waiter::Receive), None);
        assert_eq!(port.pending.finish(Waiter::Send), None);
        // Without a channel there is nobody to be told.
        port.notify();
    }
}
