// SPDX-License-Identifier: GPL-2.0

//! Wait queues.
//!
//! C header: [`include/linux/wait.h`](srctree/include/linux/wait.h)

use crate::{
    bindings,
    prelude::*,
    static_lock_class,
    task::{
        MAX_SCHEDULE_TIMEOUT,
        TASK_NORMAL, //
    },
    time::Jiffies,
    types::Opaque, //
};

/// The state in which threads wait: not for a signal, and without counting as load.
const TASK_IDLE: c_int = bindings::TASK_IDLE as c_int;

/// A queue of threads, each of which waits for a condition of its own to become true.
///
/// A condition is about data which others change. After they have changed it in a way that may make it
/// true, they call [`WaitQueue::wake`]; no lock is needed for that, and no wake-up is lost, because the
/// condition is evaluated anew after the thread has queued itself.
///
/// # Invariants
///
/// The wait queue is initialised.
#[pin_data]
pub struct WaitQueue {
    #[pin]
    head: Opaque<bindings::wait_queue_head>,
}

// SAFETY: A wait queue belongs to no thread.
unsafe impl Send for WaitQueue {}

// SAFETY: The members of a wait queue are protected by its own lock.
unsafe impl Sync for WaitQueue {}

impl WaitQueue {
    /// Creates an empty queue.
    pub fn new() -> impl PinInit<Self> {
        // INVARIANT: The wait queue is initialised.
        pin_init!(Self {
            head <- Opaque::ffi_init(|head| {
                // SAFETY: The pointer is valid, the memory stays in place, and the name and the key
                // live for ever.
                unsafe {
                    bindings::__init_waitqueue_head(
                        head,
                        c"WaitQueue".as_char_ptr(),
                        static_lock_class!().as_ptr(),
                    )
                }
            }),
        })
    }

    /// Makes every thread in the queue evaluate its condition, in any context but NMI.
    #[inline]
    pub fn wake(&self) {
        // SAFETY: The wait queue is initialised by the type invariant; the null pointer is the key for
        // whatever the threads are waiting for.
        unsafe { bindings::__wake_up(self.head.get(), TASK_NORMAL, 0, core::ptr::null_mut()) };
    }

    /// Waits until `condition` returns true. Sleeps.
    ///
    /// It is evaluated now and each time that [`WaitQueue::wake`] is called, perhaps more often. It must
    /// not sleep itself.
    #[inline]
    pub fn wait(&self, condition: impl FnMut() -> bool) {
        self.wait_internal(MAX_SCHEDULE_TIMEOUT, condition);
    }

    /// Waits until `condition` returns true, or `timeout` jiffies have passed. Sleeps.
    ///
    /// Returns the last value of the condition; otherwise like [`WaitQueue::wait`].
    #[inline]
    pub fn wait_timeout(&self, timeout: Jiffies, condition: impl FnMut() -> bool) -> bool {
        // The longest timeout that C knows has no end.
        let timeout = c_long::try_from(timeout).unwrap_or(MAX_SCHEDULE_TIMEOUT);

        self.wait_internal(timeout, condition)
    }

    /// Waits until `condition` returns true, or `timeout` jiffies have passed, if there is an end.
    fn wait_internal(&self, timeout: c_long, mut condition: impl FnMut() -> bool) -> bool {
        if condition() {
            return true;
        }

        let entry = Opaque::<bindings::wait_queue_entry>::uninit();
        // SAFETY: The pointer is valid.
        unsafe { bindings::init_wait(entry.get()) };

        let mut remaining = timeout;
        let result = loop {
            // Threads that wake this one up from here on make it run, before or after it sleeps.
            //
            // SAFETY: The wait queue is initialised by the type invariant, the entry was initialised
            // above; it stays in place until it was removed below.
            unsafe { bindings::prepare_to_wait(self.head.get(), entry.get(), TASK_IDLE) };
            if condition() {
                break true;
            }
            if remaining == 0 {
                break false;
            }
            // SAFETY: The timeout is not negative.
            remaining = unsafe { bindings::schedule_timeout(remaining) };
        };
        // SAFETY: As for `prepare_to_wait()`.
        unsafe { bindings::finish_wait(self.head.get(), entry.get()) };

        result
    }
}
