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

impl<H: Handler> Watch<H> {
    /// Registers a watch on the path `node`.
    pub fn register(node: CString, handler: H) -> Result<Self> {
        let handler = Arc::new(handler, GFP_KERNEL)?;
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
        unsafe { (*raw).callback = Some(changed_callback::<H>) };
        // SAFETY: `raw` is initialised, and stays at its address until `drop()` removes it.
        to_result(unsafe { bindings::register_xenbus_watch(raw) })?;
        // INVARIANT: Just registered.
        Ok(Self { inner })
    }
}

impl<H: Handler> Drop for Watch<H> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::unregister_xenbus_watch(self.inner.raw.get()) };
    }
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
