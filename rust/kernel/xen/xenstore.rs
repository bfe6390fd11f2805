// SPDX-License-Identifier: GPL-2.0

//! Xenstore: the key-value store through which domains find each other.
//!
//! All functions sleep.
//!
//! C header: [`include/xen/xenbus.h`](srctree/include/xen/xenbus.h)

use core::{
    mem::offset_of,
    ops::Deref,
    ptr::NonNull, //
};

use crate::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    fmt,
    prelude::*,
    str::CString,
    sync::Arc,
    types::Opaque, //
};

/// The value of a node: bytes that its owner chose.
///
/// # Invariants
///
/// `data` is an allocation by `kmalloc()` with `len` initialised bytes.
pub struct Value {
    data: NonNull<u8>,
    len: usize,
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: By the type invariant.
        unsafe { core::slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the memory came from `kmalloc()`, and is ours.
        unsafe { bindings::kfree(self.data.as_ptr().cast()) };
    }
}

/// Reads and writes of one view of the store: the store itself or a [`Transaction`].
#[derive(Clone, Copy)]
pub struct View {
    /// Number of the transaction, 0 for none.
    id: u32,
}

/// The store as it is, without a transaction.
pub const STORE: View = View { id: 0 };

impl View {
    fn raw(self) -> bindings::xenbus_transaction {
        bindings::xenbus_transaction { id: self.id }
    }

    /// Reads `dir/node`; `ENOENT` when it does not exist.
    pub fn read(self, dir: &CStr, node: &CStr) -> Result<Value> {
        let mut len = 0;
        // SAFETY: Both strings and `len` are valid for the call.
        let data = from_err_ptr(unsafe {
            bindings::xenbus_read(self.raw(), dir.as_char_ptr(), node.as_char_ptr(), &mut len)
        })?;
        Ok(Value {
            // INVARIANT: `xenbus_read()` allocated `len` bytes and a terminator.
            data: NonNull::new(data.cast()).ok_or(ENOENT)?,
            len: len as usize,
        })
    }

    /// Writes `value` to `dir/node`, which is created when it does not exist.
    pub fn write(self, dir: &CStr, node: &CStr, value: fmt::Arguments<'_>) -> Result {
        let value = CString::try_from_fmt(value)?;
        // SAFETY: All strings are valid for the call.
        to_result(unsafe {
            bindings::xenbus_write(
                self.raw(),
                dir.as_char_ptr(),
                node.as_char_ptr(),
                value.as_char_ptr(),
            )
        })
    }

    /// Removes `dir/node` and all below it.
    pub fn remove(self, dir: &CStr, node: &CStr) -> Result {
        // SAFETY: Both strings are valid for the call.
        to_result(unsafe { bindings::xenbus_rm(self.raw(), dir.as_char_ptr(), node.as_char_ptr()) })
    }
}

/// Performs `body` as one transaction, again when another one interfered.
pub fn transaction<T>(mut body: impl FnMut(View) -> Result<T>) -> Result<T> {
    loop {
        let mut raw = bindings::xenbus_transaction { id: 0 };
        // SAFETY: `raw` is valid for writing.
        to_result(unsafe { bindings::xenbus_transaction_start(&mut raw) })?;
        let outcome = body(View { id: raw.id });
        // SAFETY: The transaction was started above and is ended once.
        let ended = to_result(unsafe { bindings::xenbus_transaction_end(raw, outcome.is_err()) });
        match (outcome, ended) {
            (Err(error), _) => return Err(error),
            (Ok(value), Ok(())) => return Ok(value),
            (Ok(_), Err(error)) if error == EAGAIN => continue,
            (Ok(_), Err(error)) => return Err(error),
        }
    }
}

/// Hears of changes below a node.
pub trait Handler: Send + Sync + 'static {
    /// The node, or one below it, may have changed; also called once after registration. Runs in the
    /// one thread that serves all watches of the system.
    ///
    /// Changes that happen before a call that is due begins lead to no call of their own, so whoever
    /// may write the node cannot make calls pile up.
    fn changed(&self);
}

/// A watch on a node. Dropping it waits for a running handler, unless it is the handler that drops.
///
/// # Invariants
///
/// `inner.raw` is registered.
pub struct Watch<H: Handler> {
    inner: Pin<KBox<Inner<H>>>,
}

#[pin_data]
struct Inner<H> {
    #[pin]
    raw: Opaque<bindings::xenbus_watch>,
    /// What `raw.node` points to.
    node: CString,
    /// Shared with a running callback, so that the handler can drop the watch.
    handler: Arc<H>,
}

// SAFETY: `raw` is used by C only, under its own locks, between registration and removal.
unsafe impl<H: Send + Sync> Send for Inner<H> {}
// SAFETY: As above; `node` is immutable and `handler` is `Sync`.
unsafe impl<H: Send + Sync> Sync for Inner<H> {}

impl<H: Handler> Inner<H> {
    fn new(node: CString, handler: Arc<H>) -> Result<Pin<KBox<Self>>> {
        let inner = KBox::pin_init(
            pin_init!(Inner {
                raw: Opaque::zeroed(),
                node,
                handler,
            }),
            GFP_KERNEL,
        )?;
        let raw = inner.raw.get();
        // SAFETY: `raw` points to memory of ours that nobody else uses before the registration.
        unsafe { (*raw).node = inner.node.as_char_ptr() };
        // SAFETY: As above.
        unsafe { (*raw).will_handle = Some(will_handle_callback) };
        // SAFETY: As above.
        unsafe { (*raw).callback = Some(changed_callback::<H>) };
        Ok(inner)
    }
}

impl<H: Handler> Watch<H> {
    /// Registers a watch on the path `node`.
    pub fn register(node: CString, handler: H) -> Result<Self> {
        let handler = Arc::new(handler, GFP_KERNEL)?;
        let inner = Inner::new(node, handler.clone())?;
        match Self::start(&inner) {
            // Watches are known by their address and node. There was one at this address which could not be
            // removed from xenstore for lack of memory, and now stays for ever; at another one it works.
            Err(EEXIST) => {
                let other = Inner::new(CString::try_from(&*inner.node)?, handler)?;
                Self::start(&other)?;
                // INVARIANT: Just registered.
                Ok(Self { inner: other })
            }
            started => {
                started?;
                // INVARIANT: Just registered.
                Ok(Self { inner })
            }
        }
    }

    /// Registers a new `inner`; once that has succeeded it belongs into a watch.
    fn start(inner: &Pin<KBox<Inner<H>>>) -> Result {
        // SAFETY: `raw` is initialised, and stays at its address until `drop()` removes it.
        to_result(unsafe { bindings::register_xenbus_watch(inner.raw.get()) })
    }
}

impl<H: Handler> Drop for Watch<H> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::unregister_xenbus_watch(self.inner.raw.get()) };
    }
}

/// Whether an event is worth a call: not if there is one to come.
///
/// # Safety
///
/// `watch` must be a registered watch, whose events are locked.
unsafe extern "C" fn will_handle_callback(
    watch: *mut bindings::xenbus_watch,
    _path: *const c_char,
    _token: *const c_char,
) -> bool {
    // SAFETY: By this function's contract.
    unsafe { (*watch).nr_pending == 0 }
}

/// # Safety
///
/// `watch` must be the `raw` of an `Inner<H>` that lives until the watch is removed.
unsafe extern "C" fn changed_callback<H: Handler>(
    watch: *mut bindings::xenbus_watch,
    _path: *const c_char,
    _token: *const c_char,
) {
    let raw = Opaque::cast_from(watch);
    // SAFETY: By this function's contract `raw` is a field of `Inner<H>`.
    let inner = unsafe { raw.byte_sub(offset_of!(Inner<H>, raw)) }.cast::<Inner<H>>();
    // SAFETY: By this function's contract; the borrow ends before the handler can remove the watch.
    let handler = unsafe { &(*inner).handler }.clone();
    handler.changed();
}

#[kunit_tests(xen_netback_rs_xenstore)]
mod tests {
    use super::*;
    use crate::{
        sync::atomic::{
            Atomic,
            Relaxed, //
        },
        time::{
            delay::fsleep,
            Delta, //
        },
        xen, //
    };

    /// A directory of this domain in the store, for tests.
    const DIR: &CStr = c"xnb-test";

    /// Counts its calls, each of which lasts until the door is open.
    struct Door {
        calls: Atomic<usize>,
        open: Atomic<bool>,
    }

    impl Door {
        fn new(open: bool) -> Result<Arc<Self>> {
            let door = Self {
                calls: Atomic::new(0),
                open: Atomic::new(open),
            };
            Ok(Arc::new(door, GFP_KERNEL)?)
        }

        fn watch(self: &Arc<Self>, node: &CStr) -> Result<Watch<Arc<Self>>> {
            Watch::register(
                CString::try_from_fmt(fmt!("{}/{}", DIR, node))?,
                self.clone(),
            )
        }

        fn calls(&self) -> usize {
            self.calls.load(Relaxed)
        }

        /// Waits for the first call, for a limited time.
        fn wait_for_call(&self) {
            for _ in 0..5000 {
                if self.calls() == 0 {
                    fsleep(Delta::from_millis(1));
                }
            }
        }
    }

    impl Handler for Arc<Door> {
        fn changed(&self) {
            self.calls.fetch_add(1, Relaxed);
            while !self.open.load(Relaxed) {
                fsleep(Delta::from_millis(1));
            }
        }
    }

    /// XSA-349 (CVE-2020-29568): of the changes of a node that nobody has looked at yet, one waits at most.
    ///
    /// Fails when every change is worth a call (`will_handle_callback` returns true).
    #[test]
    fn changes_do_not_pile_up() -> Result {
        if !xen::is_domain() {
            return Ok(());
        }
        let slow = Door::new(false)?;
        let watch = slow.watch(c"node")?;
        // The call for the registration.
        slow.wait_for_call();
        let begun = slow.calls();
        for number in 0..100 {
            STORE.write(DIR, c"node", fmt!("{number}"))?;
        }
        // The answer comes after the events of all changes before.
        let last = STORE.read(DIR, c"node")?;
        slow.open.store(true, Relaxed);

        // The call for another watch comes after all that wait.
        let after = Door::new(true)?;
        let other = after.watch(c"other")?;
        after.wait_for_call();
        drop(other);
        drop(watch);
        STORE.remove(DIR, c"node")?;

        assert_eq!(begun, 1);
        assert_eq!(&*last, b"99");
        assert_eq!(after.calls(), 1);
        assert_eq!(slow.calls(), 2);

        Ok(())
    }

    #[test]
    fn nothing_is_heard_without_a_watch() -> Result {
        if !xen::is_domain() {
            return Ok(());
        }
        let door = Door::new(true)?;
        let watch = door.watch(c"gone")?;
        door.wait_for_call();
        let before = door.calls();
        drop(watch);
        STORE.write(DIR, c"gone", fmt!("1"))?;
        let after = Door::new(true)?;
        let other = after.watch(c"other")?;
        after.wait_for_call();
        drop(other);
        STORE.remove(DIR, c"gone")?;

        assert_eq!(before, 1);
        assert_eq!(after.calls(), 1);
        assert_eq!(door.calls(), 1);
        // The watch has given back its handler.
        assert!(Arc::into_unique_or_drop(door).is_some());

        Ok(())
    }

    #[test]
    fn values_are_bytes() -> Result {
        if !xen::is_domain() {
            return Ok(());
        }
        STORE.write(DIR, c"value", fmt!("{}", 7))?;
        assert_eq!(&*STORE.read(DIR, c"value")?, b"7");
        STORE.write(DIR, c"value", fmt!(""))?;
        assert_eq!(&*STORE.read(DIR, c"value")?, b"");
        STORE.remove(DIR, c"value")?;
        assert_eq!(STORE.read(DIR, c"value").err(), Some(ENOENT));

        Ok(())
    }

    /// Another write in between makes a transaction start anew, with what is there then; one that fails
    /// changes nothing.
    #[test]
    fn transactions_are_whole() -> Result {
        if !xen::is_domain() {
            return Ok(());
        }
        STORE.write(DIR, c"count", fmt!("0"))?;
        let mut turns = 0;
        let seen = transaction(|store| {
            turns += 1;
            let seen = store.read(DIR, c"count")?;
            if turns == 1 {
                STORE.write(DIR, c"count", fmt!("1"))?;
            }
            store.write(DIR, c"count", fmt!("2"))?;
            Ok(seen)
        })?;
        let failed = transaction(|store| {
            store.write(DIR, c"count", fmt!("3"))?;
            Err::<(), _>(EINVAL)
        });
        let last = STORE.read(DIR, c"count")?;
        STORE.remove(DIR, c"count")?;

        assert_eq!(turns, 2);
        assert_eq!(&*seen, b"1");
        assert_eq!(failed, Err(EINVAL));
        assert_eq!(&*last, b"2");

        Ok(())
    }
}
