// SPDX-License-Identifier: GPL-2.0

//! Timers of the resolution of a jiffy.
//!
//! C header: [`include/linux/timer.h`](srctree/include/linux/timer.h)

use core::mem::offset_of;

use super::{
    jiffies,
    Jiffies, //
};
use crate::{
    bindings,
    prelude::*,
    static_lock_class,
    types::Opaque, //
};

/// What a timer does.
pub trait Handler: Send + Sync + 'static {
    /// The timer has expired.
    ///
    /// Runs in a softirq and must not sleep. The timer may be armed again from here, but must not be
    /// dropped.
    fn expired(&self);
}

/// A timer which calls its handler once, each time it was armed.
///
/// Dropping it disarms it and waits for the end of a call that is under way, so it must not be
/// dropped in an interrupt, nor with a lock held which the handler takes.
///
/// # Invariants
///
/// `timer` is initialised, with a function that expects it to be inside of a `Timer<T>`.
#[pin_data(PinnedDrop)]
pub struct Timer<T: Handler> {
    #[pin]
    timer: Opaque<bindings::timer_list>,
    handler: T,
}

// SAFETY: The C timer belongs to no thread, and the handler is `Send`.
unsafe impl<T: Handler> Send for Timer<T> {}

// SAFETY: The C timer has a lock of its own for what the methods do, and the handler is `Sync`.
unsafe impl<T: Handler> Sync for Timer<T> {}

/// Initialises a timer. Not inlined: lockdep wants one name for the one class, by address, and a crate
/// that this is inlined into has a copy of its own.
///
/// # Safety
///
/// `timer` must be valid for writing, and the memory stay in place as long as the timer is used.
#[inline(never)]
unsafe fn init(
    timer: *mut bindings::timer_list,
    function: unsafe extern "C" fn(*mut bindings::timer_list),
) {
    // SAFETY: By this function's contract; the name and the key live for ever.
    unsafe {
        bindings::timer_init_key(
            timer,
            Some(function),
            0,
            c"timer".as_char_ptr(),
            static_lock_class!().as_ptr(),
        )
    }
}

impl<T: Handler> Timer<T> {
    /// Creates a timer which is not armed.
    pub fn new(handler: T) -> impl PinInit<Self> {
        // INVARIANT: The timer is initialised with the function for this type.
        pin_init!(Self {
            // SAFETY: The pointer is valid, and the memory stays in place.
            timer <- Opaque::ffi_init(|timer| unsafe { init(timer, expired_callback::<T>) }),
            handler,
        })
    }

    /// The handler.
    #[inline]
    pub fn handler(&self) -> &T {
        &self.handler
    }

    /// Makes the timer expire `ahead` jiffies from now, instead of when it would have.
    ///
    /// In any context.
    #[inline]
    pub fn arm(&self, ahead: Jiffies) {
        // SAFETY: The timer is initialised by the type invariant.
        unsafe { bindings::mod_timer(self.timer.get(), jiffies().wrapping_add(ahead)) };
    }

    /// Makes the timer not expire, and tells whether it would have.
    ///
    /// In any context. Does not wait for a call of the handler that is under way.
    #[inline]
    pub fn disarm(&self) -> bool {
        // SAFETY: The timer is initialised by the type invariant.
        unsafe { bindings::timer_delete(self.timer.get()) != 0 }
    }
}

#[pinned_drop]
impl<T: Handler> PinnedDrop for Timer<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The timer is initialised by the type invariant. Afterwards the handler is not
        // running, and cannot be made to run any more.
        unsafe { bindings::timer_shutdown_sync(self.timer.get()) };
    }
}

/// # Safety
///
/// Called by C only, with a timer inside of a [`Timer<T>`].
unsafe extern "C" fn expired_callback<T: Handler>(timer: *mut bindings::timer_list) {
    // CAST: `Opaque<timer_list>` is a transparent wrapper.
    //
    // SAFETY: The timer is inside of a `Timer<T>`.
    let this = unsafe { timer.byte_sub(offset_of!(Timer<T>, timer)) }.cast::<Timer<T>>();
    // SAFETY: The drop of a `Timer<T>` waits for the end of this function.
    let this = unsafe { &*this };

    this.handler.expired();
}

#[kunit_tests(xen_netback_rs_timer)]
mod tests {
    use super::*;
    use crate::{
        sync::{
            atomic::{
                Atomic,
                Relaxed, //
            },
            wait::WaitQueue,
            Arc, //
        },
        time::msecs_to_jiffies,
    };

    /// Counts its calls.
    #[pin_data]
    struct Calls {
        #[pin]
        queue: WaitQueue,
        count: Atomic<usize>,
    }

    impl Calls {
        fn new() -> Result<Arc<Self>> {
            Arc::pin_init(
                pin_init!(Self {
                    queue <- WaitQueue::new(),
                    count: Atomic::new(0),
                }),
                GFP_KERNEL,
            )
        }

        fn reaches(&self, count: usize, msecs: u32) -> bool {
            self.queue.wait_timeout(msecs_to_jiffies(msecs), || {
                self.count.load(Relaxed) >= count
            })
        }
    }

    impl Handler for Arc<Calls> {
        fn expired(&self) {
            self.count.fetch_add(1, Relaxed);
            self.queue.wake();
        }
    }

    #[test]
    fn expires_once_each_time() -> Result {
        let calls = Calls::new()?;
        let timer = KBox::pin_init(Timer::new(calls.clone()), GFP_KERNEL)?;

        assert!(!calls.reaches(1, 50));
        timer.arm(1);
        assert!(calls.reaches(1, 5000));
        assert!(!calls.reaches(2, 50));
        timer.arm(0);
        assert!(calls.reaches(2, 5000));
        assert!(!timer.disarm());

        Ok(())
    }

    #[test]
    fn armed_again_is_put_off() -> Result {
        let calls = Calls::new()?;
        let timer = KBox::pin_init(Timer::new(calls.clone()), GFP_KERNEL)?;

        timer.arm(msecs_to_jiffies(50));
        timer.arm(msecs_to_jiffies(60_000));
        assert!(!calls.reaches(1, 200));
        assert!(timer.disarm());
        assert!(!timer.disarm());

        Ok(())
    }

    #[test]
    fn dropped_does_not_expire() -> Result {
        let calls = Calls::new()?;
        let timer = KBox::pin_init(Timer::new(calls.clone()), GFP_KERNEL)?;

        timer.arm(msecs_to_jiffies(50));
        drop(timer);
        assert!(!calls.reaches(1, 200));

        Ok(())
    }
}
