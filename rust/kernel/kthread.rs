// SPDX-License-Identifier: GPL-2.0

//! Kernel threads.
//!
//! C header: [`include/linux/kthread.h`](srctree/include/linux/kthread.h)

use core::{
    cell::UnsafeCell,
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use crate::{
    bindings,
    cpu::CpuId,
    cpumask,
    error::{
        from_err_ptr,
        to_result, //
    },
    fmt,
    oot,
    prelude::*,
    types::NotThreadSafe, //
};

/// The running kernel thread.
///
/// # Invariants
///
/// The current thread is a kernel thread.
pub struct Current(NotThreadSafe);

impl Current {
    /// Whether the thread was asked to end, by [`JoinHandle::stop`] or by dropping the handle.
    ///
    /// The thread is woken up when this becomes true, so that it should be part of every condition which
    /// the thread waits for.
    #[inline]
    pub fn should_stop(&self) -> bool {
        // SAFETY: The current thread is a kernel thread by the type invariant.
        unsafe { bindings::kthread_should_stop() }
    }
}

/// What a thread and the owner of its handle share.
struct Shared<F, T> {
    stage: UnsafeCell<Stage<F, T>>,
}

/// How far a thread has come.
enum Stage<F, T> {
    /// It does not run the function yet. The reference to the module of the function is for the thread.
    New(F, oot::ModuleRef),
    /// It runs the function.
    Running,
    /// The function has returned.
    Returned(T),
}

/// The owner of a kernel thread.
///
/// Dropping it stops the thread, and drops what its function returns. Must be used and dropped where it
/// is allowed to sleep.
///
/// # Invariants
///
/// - `task` is a kernel thread, with a reference to it which this value owns.
/// - `shared` is what a `KBox<Shared<F, T>>` was turned into, for the type `F` that `reclaim` is for. It
///   is accessed by the thread until that has ended, and by nobody else.
#[must_use = "the thread is stopped as soon as the handle is dropped"]
pub struct JoinHandle<T: Send + 'static> {
    task: NonNull<bindings::task_struct>,
    shared: NonNull<c_void>,
    reclaim: unsafe fn(NonNull<c_void>) -> Option<T>,
}

// SAFETY: A thread may be stopped by any other; what its function is made of, and returns, is `Send`.
unsafe impl<T: Send + 'static> Send for JoinHandle<T> {}

// SAFETY: Nothing can be done with a shared reference.
unsafe impl<T: Send + 'static> Sync for JoinHandle<T> {}

/// Starts a kernel thread with the given name, which runs `f`. Sleeps.
///
/// `module` is the module which `f` is part of. It cannot be unloaded while the thread runs.
///
/// # Errors
///
/// `ENODEV` if the module is being unloaded, `EINTR` if the current thread is being killed, `ENOMEM`.
pub fn spawn<F, T>(
    module: &'static ThisModule,
    name: fmt::Arguments<'_>,
    f: F,
) -> Result<JoinHandle<T>>
where
    F: FnOnce(&Current) -> T + Send + 'static,
    T: Send + 'static,
{
    Ok(create(module, name, f)?.start())
}

/// Starts a kernel thread that runs on `cpu`; otherwise like [`spawn`].
///
/// It runs on any other while that processor is offline or kept free of such threads, and wherever an
/// administrator wants it.
pub fn spawn_on<F, T>(
    cpu: CpuId,
    module: &'static ThisModule,
    name: fmt::Arguments<'_>,
    f: F,
) -> Result<JoinHandle<T>>
where
    F: FnOnce(&Current) -> T + Send + 'static,
    T: Send + 'static,
{
    let handle = create(module, name, f)?;
    let task = handle.task.as_ptr();

    // SAFETY: The thread is valid by the type invariant, and waits for its first wake-up. The set of
    // processors lives for ever.
    to_result(unsafe { bindings::kthread_affine_preferred(task, cpumask::only(cpu).as_raw()) })?;

    Ok(handle.start())
}

/// Creates a kernel thread for [`spawn`], which does not run yet.
fn create<F, T>(
    module: &'static ThisModule,
    name: fmt::Arguments<'_>,
    f: F,
) -> Result<JoinHandle<T>>
where
    F: FnOnce(&Current) -> T + Send + 'static,
    T: Send + 'static,
{
    let module = oot::ModuleRef::new(module)?;
    let shared = KBox::new(
        Shared::<F, T> {
            stage: UnsafeCell::new(Stage::New(f, module)),
        },
        GFP_KERNEL,
    )?;
    let shared = KBox::into_raw(shared);

    // SAFETY: `thread_callback()` is for these types. `shared` lives until the thread has ended. `%pA` is
    // replaced by what the `fmt::Arguments` pointed to say, during the call.
    let task = from_err_ptr(unsafe {
        bindings::kthread_create_on_node(
            Some(thread_callback::<F, T>),
            shared.cast(),
            bindings::NUMA_NO_NODE,
            c"%pA".as_char_ptr(),
            core::ptr::from_ref(&name).cast::<c_void>(),
        )
    })
    .inspect_err(|_| {
        // SAFETY: The pointer is from `KBox::into_raw()`, and there is no thread to use it.
        drop(unsafe { KBox::from_raw(shared) });
    })?;

    // Once it runs, the thread may end at any time, by itself.
    //
    // SAFETY: The thread was just created, and waits to be woken up.
    unsafe { bindings::get_task_struct(task) };

    // INVARIANT: A reference was taken, and `shared` is from a `KBox` of the type that `reclaim` is for.
    Ok(JoinHandle {
        // SAFETY: The function does not return null.
        task: unsafe { NonNull::new_unchecked(task) },
        // SAFETY: `KBox::into_raw()` does not return null.
        shared: unsafe { NonNull::new_unchecked(shared) }.cast(),
        reclaim: reclaim::<F, T>,
    })
}

impl<T: Send + 'static> JoinHandle<T> {
    /// Lets a thread run that was just created.
    fn start(self) -> Self {
        // SAFETY: The thread is valid by the type invariant, and waits for its first wake-up.
        unsafe { bindings::wake_up_process(self.task.as_ptr()) };

        self
    }

    /// Asks the thread to end, and waits until it has. Sleeps.
    ///
    /// Returns what the function of the thread has returned, or [`None`] if it was never run, because
    /// the thread was stopped before it came to that.
    pub fn stop(self) -> Option<T> {
        ManuallyDrop::new(self).stop_internal()
    }

    /// Stops the thread and takes the handle apart, which must not be used afterwards.
    fn stop_internal(&mut self) -> Option<T> {
        // SAFETY: By the type invariant the thread is valid, with a reference that this gives up.
        unsafe { bindings::kthread_stop_put(self.task.as_ptr()) };

        // SAFETY: By the type invariant this is the function for the type of `shared`, which the thread
        // does not use any more.
        unsafe { (self.reclaim)(self.shared) }
    }
}

impl<T: Send + 'static> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        self.stop_internal();
    }
}

/// Frees what a thread and the owner of its handle have shared, and returns what the thread has.
///
/// # Safety
///
/// `shared` must be what a `KBox<Shared<F, T>>` was turned into, and not be used by anybody else.
unsafe fn reclaim<F, T>(shared: NonNull<c_void>) -> Option<T> {
    // SAFETY: The caller promises that it was turned into this from a `KBox` of the type.
    let shared = unsafe { KBox::from_raw(shared.as_ptr().cast::<Shared<F, T>>()) };

    match KBox::into_inner(shared).stage.into_inner() {
        Stage::Returned(result) => Some(result),
        Stage::New(..) | Stage::Running => None,
    }
}

/// # Safety
///
/// Called by C only, once in the thread which was created with it, with what was passed there.
unsafe extern "C" fn thread_callback<F, T>(data: *mut c_void) -> c_int
where
    F: FnOnce(&Current) -> T,
{
    // SAFETY: `data` is the `Shared<F, T>` which was passed to `kthread_create_on_node()`. The owner of
    // the handle does not use it before this thread has ended.
    let stage = unsafe { &mut *(*data.cast::<Shared<F, T>>()).stage.get() };
    let Stage::New(f, module) = core::mem::replace(stage, Stage::Running) else {
        return 0;
    };

    // INVARIANT: This function runs in a kernel thread.
    *stage = Stage::Returned(f(&Current(NotThreadSafe)));

    // The code of this function may be unloaded as soon as the module is put, so it cannot return.
    //
    // SAFETY: The reference is given up to the function, which ends the kernel thread that this is.
    // Nothing on its stack needs to be dropped.
    unsafe { bindings::__module_put_and_kthread_exit(module.into_raw(), 0) }
}

#[kunit_tests(xen_netback_rs_kthread)]
mod tests {
    use super::*;
    use crate::{
        cpu,
        module::this_module,
        sync::{
            atomic::{
                Atomic,
                Relaxed, //
            },
            wait::WaitQueue,
            Arc, //
        },
        LocalModule,
    };

    /// Counts how often it is dropped.
    struct Witness(Arc<Atomic<usize>>);

    impl Drop for Witness {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn counter() -> Result<Arc<Atomic<usize>>> {
        Ok(Arc::new(Atomic::new(0), GFP_KERNEL)?)
    }

    #[test]
    fn returns_when_asked_to_stop() -> Result {
        let drops = counter()?;
        let witness = Witness(drops.clone());
        let queue = Arc::pin_init(WaitQueue::new(), GFP_KERNEL)?;
        let started = Arc::new(Atomic::new(false), GFP_KERNEL)?;

        let thread = spawn(this_module::<LocalModule>(), fmt!("xnb-test-{}", 1), {
            let queue = queue.clone();
            let started = started.clone();
            move |current| {
                started.store(true, Relaxed);
                queue.wake();
                queue.wait(|| current.should_stop());
                witness
            }
        })?;
        assert!(queue.wait_timeout(10_000, || started.load(Relaxed)));

        let witness = thread.stop();
        assert!(witness.is_some());
        assert_eq!(drops.load(Relaxed), 0);
        drop(witness);
        assert_eq!(drops.load(Relaxed), 1);

        Ok(())
    }

    #[test]
    fn result_waits_for_the_owner() -> Result {
        let queue = Arc::pin_init(WaitQueue::new(), GFP_KERNEL)?;
        let done = Arc::new(Atomic::new(false), GFP_KERNEL)?;

        let thread = spawn(this_module::<LocalModule>(), fmt!("xnb-test-{}", 2), {
            let queue = queue.clone();
            let done = done.clone();
            move |_| {
                done.store(true, Relaxed);
                queue.wake();
                42
            }
        })?;
        assert!(queue.wait_timeout(10_000, || done.load(Relaxed)));
        // Long enough for the thread to end.
        crate::time::delay::fsleep(crate::time::Delta::from_millis(20));
        assert_eq!(thread.stop(), Some(42));

        Ok(())
    }

    #[test]
    fn dropped_result_is_dropped_once() -> Result {
        let drops = counter()?;
        let witness = Witness(drops.clone());
        let queue = Arc::pin_init(WaitQueue::new(), GFP_KERNEL)?;
        let started = Arc::new(Atomic::new(false), GFP_KERNEL)?;

        let thread = spawn(this_module::<LocalModule>(), fmt!("xnb-test-{}", 3), {
            let queue = queue.clone();
            let started = started.clone();
            move |_| {
                started.store(true, Relaxed);
                queue.wake();
                witness
            }
        })?;
        assert!(queue.wait_timeout(10_000, || started.load(Relaxed)));
        drop(thread);
        assert_eq!(drops.load(Relaxed), 1);

        Ok(())
    }

    #[test]
    fn never_run() -> Result {
        let drops = counter()?;
        let witness = Witness(drops.clone());

        let thread = create(
            this_module::<LocalModule>(),
            fmt!("xnb-test-{}", 4),
            move |_| witness,
        )?;
        assert!(thread.stop().is_none());
        assert_eq!(drops.load(Relaxed), 1);

        Ok(())
    }

    #[test]
    fn runs_where_it_should() -> Result {
        for turn in 0..cpu::num_online() {
            let cpu = cpu::in_turn(turn);
            let queue = Arc::pin_init(WaitQueue::new(), GFP_KERNEL)?;
            let started = Arc::new(Atomic::new(false), GFP_KERNEL)?;

            let thread = spawn_on(cpu, this_module::<LocalModule>(), fmt!("xnb-test-{}", 5), {
                let queue = queue.clone();
                let started = started.clone();
                move |current| {
                    let seen = CpuId::current();
                    started.store(true, Relaxed);
                    queue.wake();
                    queue.wait(|| current.should_stop());
                    seen
                }
            })?;
            assert!(queue.wait_timeout(10_000, || started.load(Relaxed)));
            assert_eq!(thread.stop(), Some(cpu));
        }
        Ok(())
    }

    #[test]
    fn stopped_at_once() -> Result {
        let drops = counter()?;

        for i in 0..50 {
            let witness = Witness(drops.clone());
            let thread = spawn(
                this_module::<LocalModule>(),
                fmt!("xnb-test-{}", i),
                move |_| witness,
            )?;
            drop(thread.stop());
        }
        assert_eq!(drops.load(Relaxed), 50);

        Ok(())
    }
}
