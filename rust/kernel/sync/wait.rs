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

/// Initialises a wait queue. Not inlined: lockdep wants one name for the one class, by address, and a
/// crate that this is inlined into has a copy of its own.
///
/// # Safety
///
/// `head` must be valid for writing, and the memory stay in place as long as the queue is used.
#[inline(never)]
unsafe fn init(head: *mut bindings::wait_queue_head) {
    // SAFETY: By this function's contract; the name and the key live for ever.
    unsafe {
        bindings::__init_waitqueue_head(
            head,
            c"WaitQueue".as_char_ptr(),
            static_lock_class!().as_ptr(),
        )
    }
}

impl WaitQueue {
    /// Creates an empty queue.
    pub fn new() -> impl PinInit<Self> {
        // INVARIANT: The wait queue is initialised.
        pin_init!(Self {
            // SAFETY: The pointer is valid, and the memory stays in place.
            head <- Opaque::ffi_init(|head| unsafe { init(head) }),
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

#[kunit_tests(xen_netback_rs_wait)]
mod tests {
    use super::*;
    use crate::{
        kthread,
        module::this_module,
        sync::{
            atomic::{
                Atomic,
                Relaxed, //
            },
            Arc, //
        },
        time::{
            jiffies,
            msecs_to_jiffies, //
        },
        LocalModule,
    };

    /// Two threads which take turns.
    #[pin_data]
    struct Turns {
        #[pin]
        queue: WaitQueue,
        turn: Atomic<usize>,
    }

    impl Turns {
        const ROUNDS: usize = 200;

        /// Waits for each second turn from `first` on, and ends it. Returns how many came.
        fn play(&self, first: usize) -> usize {
            for round in 0..Self::ROUNDS {
                let turn = 2 * round + first;
                if !self
                    .queue
                    .wait_timeout(msecs_to_jiffies(5000), || self.turn.load(Relaxed) == turn)
                {
                    return round;
                }
                self.turn.store(turn + 1, Relaxed);
                self.queue.wake();
            }

            Self::ROUNDS
        }
    }

    #[test]
    fn true_at_once() -> Result {
        let queue = Arc::pin_init(WaitQueue::new(), GFP_KERNEL)?;
        let mut calls = 0;

        queue.wait(|| {
            calls += 1;
            true
        });
        assert_eq!(calls, 1);
        assert!(queue.wait_timeout(0, || true));

        Ok(())
    }

    #[test]
    fn timeout_passes() -> Result {
        let queue = Arc::pin_init(WaitQueue::new(), GFP_KERNEL)?;
        let start = jiffies();

        assert!(!queue.wait_timeout(0, || false));
        assert!(!queue.wait_timeout(msecs_to_jiffies(50), || false));
        assert!(jiffies().wrapping_sub(start) >= msecs_to_jiffies(50));

        Ok(())
    }

    #[test]
    fn condition_counts_when_time_is_up() -> Result {
        let queue = Arc::pin_init(WaitQueue::new(), GFP_KERNEL)?;
        let start = jiffies();

        // Becomes true without a wake-up.
        assert!(queue.wait_timeout(msecs_to_jiffies(30), || {
            jiffies().wrapping_sub(start) >= msecs_to_jiffies(30)
        }));

        Ok(())
    }

    #[test]
    fn no_wake_up_is_lost() -> Result {
        let turns = Arc::pin_init(
            pin_init!(Turns {
                queue <- WaitQueue::new(),
                turn: Atomic::new(0),
            }),
            GFP_KERNEL,
        )?;

        let other = kthread::spawn(
            this_module::<LocalModule>(),
            fmt!("xnb-test-{}", "turns"),
            {
                let turns = turns.clone();
                move |_| turns.play(1)
            },
        )?;
        assert_eq!(turns.play(0), Turns::ROUNDS);
        assert!(turns
            .queue
            .wait_timeout(msecs_to_jiffies(5000), || turns.turn.load(Relaxed)
                == 2 * Turns::ROUNDS));
        assert_eq!(other.stop(), Some(Turns::ROUNDS));

        Ok(())
    }
}
