// SPDX-License-Identifier: GPL-2.0

//! Values that are read under RCU.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

pub use kernel::sync::rcu::*;

use core::{
    marker::PhantomData,
    ptr, //
};

use crate::{
    prelude::*,
    sync::atomic::{
        ordering::{
            Acquire,
            Full,
            Relaxed, //
        },
        Atomic, //
    }, //
};

/// A value that many read and few replace, each time as a whole.
///
/// Readers neither wait nor write to memory that they share. A writer makes a new value, and gets the
/// old one back when no reader can have it any more.
///
/// # Invariants
///
/// `value` is null, or what a `KBox<T>` was turned into. What was there before is freed only after a
/// grace period.
#[repr(transparent)]
pub struct Published<T> {
    value: Atomic<*mut T>,
    _owns: PhantomData<KBox<T>>,
}

// SAFETY: The container owns its value, and nothing else.
unsafe impl<T: Send> Send for Published<T> {}

// SAFETY: A shared container gives shared access to its value, and gives a replaced value to another
// thread than the one it came from.
unsafe impl<T: Send + Sync> Sync for Published<T> {}

impl<T> Published<T> {
    /// Creates a container without a value.
    pub const fn new() -> Self {
        // INVARIANT: The pointer is null.
        Self {
            value: Atomic::new(ptr::null_mut()),
            _owns: PhantomData,
        }
    }

    /// The present value, which stays as it is as long as `guard` is held.
    #[inline]
    pub fn read<'a>(&'a self, guard: &'a Guard) -> Option<&'a T> {
        let _ = guard;
        let value = self.value.load(Acquire);

        // SAFETY: By the type invariant the pointer is null or to a value that is not freed before a
        // grace period is over, which does not end before `guard` is dropped; nor does the container.
        // The value was complete when the pointer was stored, and is not written to.
        unsafe { value.as_ref() }
    }

    /// Whether there is no value now: cheaper than to read one, where there mostly is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.value.load(Relaxed).is_null()
    }

    /// Publishes `new`, or that there is no value, and returns what was there before.
    ///
    /// Waits until nobody reads the old value, if there is one. Sleeps, so it must not be called
    /// while the caller itself holds a [`Guard`].
    pub fn replace(&self, new: Option<KBox<T>>) -> Option<KBox<T>> {
        let new = new.map_or(ptr::null_mut(), KBox::into_raw);

        // Nobody else gets the old pointer: it is not in the container any more.
        //
        // INVARIANT: Null, or just turned from a `KBox<T>`.
        let old = self.value.xchg(new, Full);
        if old.is_null() {
            return None;
        }
        synchronize_rcu();

        // SAFETY: By the type invariant it was turned from a `KBox<T>`. Who has read the pointer before
        // it was replaced has dropped the guard: the caller, as documented, holds none.
        Some(unsafe { KBox::from_raw(old) })
    }
}

impl<T> Default for Published<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Published<T> {
    fn drop(&mut self) {
        let value = self.value.load(Acquire);
        if !value.is_null() {
            // Readers borrow the container, so there is none.
            //
            // SAFETY: By the type invariant it was turned from a `KBox<T>`, and it is not used again.
            drop(unsafe { KBox::from_raw(value) });
        }
    }
}

#[kunit_tests(xen_netback_rs_rcu)]
mod tests {
    use super::*;
    use crate::{
        kthread,
        module::this_module,
        sync::{
            atomic::Relaxed,
            Arc, //
        },
        task,
        time::{
            delay::fsleep,
            Delta, //
        },
        LocalModule,
    };

    /// Two halves that belong together, spoilt when the value is dropped.
    struct Pair {
        halves: [u64; 2],
        drops: Arc<Atomic<usize>>,
    }

    impl Drop for Pair {
        fn drop(&mut self) {
            for (half, spoilt) in self.halves.iter_mut().zip([1, 2]) {
                // SAFETY: The reference is valid. So that the value of something dropped is written.
                unsafe { core::ptr::from_mut(half).write_volatile(spoilt) };
            }
            self.drops.fetch_add(1, Relaxed);
        }
    }

    fn pair(number: u64, drops: &Arc<Atomic<usize>>) -> Result<Option<KBox<Pair>>> {
        let pair = Pair {
            halves: [number, !number],
            drops: drops.clone(),
        };
        Ok(Some(KBox::new(pair, GFP_KERNEL)?))
    }

    fn counter() -> Result<Arc<Atomic<usize>>> {
        Ok(Arc::new(Atomic::new(0), GFP_KERNEL)?)
    }

    #[test]
    fn values_come_and_go() -> Result {
        let drops = counter()?;
        let published = Published::new();
        let number = || {
            let guard = read_lock();
            published.read(&guard).map(|pair: &Pair| pair.halves[0])
        };

        assert_eq!(number(), None);
        assert!(published.is_empty());
        assert!(published.replace(None).is_none());
        assert!(published.replace(pair(7, &drops)?).is_none());
        assert_eq!(number(), Some(7));
        assert!(!published.is_empty());
        let old = published.replace(pair(8, &drops)?);
        assert_eq!(old.as_ref().map(|pair| pair.halves), Some([7, !7]));
        assert_eq!(number(), Some(8));
        assert_eq!(drops.load(Relaxed), 0);
        drop(old);
        assert_eq!(drops.load(Relaxed), 1);
        drop(published.replace(None));
        assert_eq!(drops.load(Relaxed), 2);
        assert_eq!(number(), None);
        assert!(published.is_empty());

        published.replace(pair(9, &drops)?);
        drop(published);
        assert_eq!(drops.load(Relaxed), 3);

        Ok(())
    }

    /// CVE-2024-49936: a value that is being read outlives its replacement. Fails when `replace` does not wait for
    /// those who read it.
    #[test]
    fn readers_are_waited_for() -> Result {
        let published = Arc::new(Published::new(), GFP_KERNEL)?;
        let drops = counter()?;
        published.replace(pair(0, &drops)?);

        let reader = kthread::spawn(this_module::<LocalModule>(), fmt!("xnb-test-rcu"), {
            let published = published.clone();
            move |current| {
                let mut wrong = 0;
                let mut reads: usize = 0;
                while !current.should_stop() {
                    let guard = read_lock();
                    if let Some(pair) = published.read(&guard) {
                        let first = core::hint::black_box(&pair.halves)[0];
                        // Time enough to be overtaken.
                        for _ in 0..2000 {
                            core::hint::spin_loop();
                        }
                        let second = core::hint::black_box(&pair.halves)[1];
                        wrong += usize::from(first != !second);
                        reads += 1;
                    }
                    drop(guard);
                    task::cond_resched();
                }
                (reads, wrong)
            }
        })?;
        for number in 1..=50 {
            drop(published.replace(pair(number, &drops)?));
            assert_eq!(drops.load(Relaxed), number as usize);
            fsleep(Delta::from_millis(1));
        }
        let (reads, wrong) = reader.stop().unwrap_or_default();
        assert!(reads > 0);
        assert_eq!(wrong, 0);

        Ok(())
    }
}
