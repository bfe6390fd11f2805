// SPDX-License-Identifier: GPL-2.0

//! The only file with unsafe code: Xen's libraries for grants, event channels and xenstore, and memory
//! that others write at the same time.
//!
//! The declarations follow `xengnttab.h`, `xenevtchn.h` and `xenstore.h` of Xen 4.20.

use std::{
    ffi::{
        c_char,
        c_int,
        c_short,
        c_uint,
        c_ulong,
        c_void,
        CString, //
    },
    io,
    ptr::{
        self,
        NonNull, //
    },
    slice,
    sync::{
        Arc,
        Mutex,
        MutexGuard,
        PoisonError, //
    },
    time::Duration, //
};

use crate::wire::PAGE;

#[repr(C)]
struct GrantHandle {
    _opaque: [u8; 0],
}

#[repr(C)]
struct EventHandle {
    _opaque: [u8; 0],
}

#[repr(C)]
struct StoreHandle {
    _opaque: [u8; 0],
}

#[repr(C)]
struct PollFd {
    fd: c_int,
    events: c_short,
    revents: c_short,
}

const POLLIN: c_short = 1;
/// Outside of any transaction.
const NO_TRANSACTION: u32 = 0;

extern "C" {
    fn xengntshr_open(logger: *mut c_void, flags: c_uint) -> *mut GrantHandle;
    fn xengntshr_close(handle: *mut GrantHandle) -> c_int;
    fn xengntshr_share_pages(
        handle: *mut GrantHandle,
        domain: u32,
        count: c_int,
        references: *mut u32,
        writable: c_int,
    ) -> *mut c_void;
    fn xengntshr_unshare(handle: *mut GrantHandle, start: *mut c_void, count: u32) -> c_int;

    fn xenevtchn_open(logger: *mut c_void, flags: c_uint) -> *mut EventHandle;
    fn xenevtchn_close(handle: *mut EventHandle) -> c_int;
    fn xenevtchn_fd(handle: *mut EventHandle) -> c_int;
    fn xenevtchn_bind_unbound_port(handle: *mut EventHandle, domain: u32) -> c_int;
    fn xenevtchn_unbind(handle: *mut EventHandle, port: u32) -> c_int;
    fn xenevtchn_notify(handle: *mut EventHandle, port: u32) -> c_int;
    fn xenevtchn_pending(handle: *mut EventHandle) -> c_int;
    fn xenevtchn_unmask(handle: *mut EventHandle, port: u32) -> c_int;

    fn xs_open(flags: c_ulong) -> *mut StoreHandle;
    fn xs_close(handle: *mut StoreHandle);
    fn xs_read(
        handle: *mut StoreHandle,
        transaction: u32,
        path: *const c_char,
        length: *mut c_uint,
    ) -> *mut c_void;
    fn xs_write(
        handle: *mut StoreHandle,
        transaction: u32,
        path: *const c_char,
        data: *const c_void,
        length: c_uint,
    ) -> bool;
    fn xs_rm(handle: *mut StoreHandle, transaction: u32, path: *const c_char) -> bool;

    fn poll(fds: *mut PollFd, count: c_ulong, timeout: c_int) -> c_int;
    fn free(memory: *mut c_void);
}

/// Turns what a library returns for an error into one.
fn checked(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

fn opened<T>(handle: *mut T) -> io::Result<NonNull<T>> {
    NonNull::new(handle).ok_or_else(io::Error::last_os_error)
}

/// The device that grants pages to other domains.
///
/// # Invariants
///
/// The handle is open.
struct Grants(NonNull<GrantHandle>);

// SAFETY: The handle is a file descriptor; the library keeps no other state in it.
unsafe impl Send for Grants {}
// SAFETY: As above: several threads may use one file descriptor.
unsafe impl Sync for Grants {}

impl Drop for Grants {
    fn drop(&mut self) {
        // SAFETY: The handle is open, and nobody has it any more.
        unsafe { xengntshr_close(self.0.as_ptr()) };
    }
}

/// Grants pages to one domain.
#[derive(Clone)]
pub struct Sharer {
    grants: Arc<Grants>,
    domain: u32,
    /// Granted pages that nobody needs: to the backend they are like any others, and cost nothing to make. Those
    /// that may be written are the second ones.
    spare: Arc<Mutex<[Vec<Page>; 2]>>,
}

impl Sharer {
    /// Opens the device; the pages are for `domain`.
    pub fn open(domain: u32) -> io::Result<Self> {
        // SAFETY: No logger is asked for, and no flags.
        let handle = opened(unsafe { xengntshr_open(ptr::null_mut(), 0) })?;
        // INVARIANT: It has just been opened.
        let grants = Arc::new(Grants(handle));
        Ok(Self {
            grants,
            domain,
            spare: Arc::default(),
        })
    }

    /// A granted page, whatever is in it: a spare one, or a new one.
    pub fn any(&self, writable: bool) -> io::Result<Page> {
        let spare = self.spares()[usize::from(writable)].pop();
        spare.map_or_else(|| self.share(writable), Ok)
    }

    /// Keeps a page for [`any`](Self::any), unless somebody else has it, too.
    pub fn keep(&self, page: Arc<Page>, writable: bool) {
        if let Some(page) = Arc::into_inner(page) {
            self.spares()[usize::from(writable)].push(page);
        }
    }

    /// Gives back what was kept.
    pub fn keep_none(&self) {
        *self.spares() = Default::default();
    }

    fn spares(&self) -> MutexGuard<'_, [Vec<Page>; 2]> {
        // Nothing in there can be half done.
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a page of zeros and grants it; the other domain may write to it when it is `writable`.
    pub fn share(&self, writable: bool) -> io::Result<Page> {
        let mut reference = 0;
        let handle = self.grants.0.as_ptr();
        // SAFETY: The handle is open; there is room for the one reference that is asked for.
        let start = unsafe {
            xengntshr_share_pages(
                handle,
                self.domain,
                1,
                &mut reference,
                c_int::from(writable),
            )
        };
        let start = opened(start.cast::<u8>())?;
        // INVARIANT: The library has mapped one page there, which is ours until it is unshared.
        Ok(Page {
            grants: self.grants.clone(),
            start,
            reference,
        })
    }
}

/// A page that another domain reads and writes at any time. Dropping it revokes the grant; the page
/// itself lives on while the other domain has it mapped.
///
/// # Invariants
///
/// `start` points to a mapped page, readable and writable, until this is dropped.
pub struct Page {
    grants: Arc<Grants>,
    start: NonNull<u8>,
    reference: u32,
}

// SAFETY: The page belongs to no thread, and all accesses are volatile: what a thread reads while
// another one writes is of no consequence to memory safety.
unsafe impl Send for Page {}
// SAFETY: As above.
unsafe impl Sync for Page {}

impl Page {
    /// The number by which the other domain knows the page.
    pub fn reference(&self) -> u32 {
        self.reference
    }

    /// Reads the aligned word at `offset`.
    pub fn word(&self, offset: usize) -> u32 {
        assert!(offset % 4 == 0 && offset < PAGE);
        // SAFETY: The word is inside of the mapped page and aligned, as just checked.
        unsafe {
            self.start
                .as_ptr()
                .add(offset)
                .cast::<u32>()
                .read_volatile()
        }
    }

    /// Writes the aligned word at `offset`.
    pub fn set_word(&self, offset: usize, value: u32) {
        assert!(offset % 4 == 0 && offset < PAGE);
        // SAFETY: As in `word`.
        unsafe {
            self.start
                .as_ptr()
                .add(offset)
                .cast::<u32>()
                .write_volatile(value)
        };
    }

    /// Reads `bytes.len()` bytes at `offset`.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) {
        assert!(offset <= PAGE && bytes.len() <= PAGE - offset);
        let mut at = offset;
        while at < offset + bytes.len() {
            let to = &mut bytes[at - offset..];
            if at % 8 == 0 && to.len() >= 8 {
                // SAFETY: The eight bytes are inside of the mapped page and aligned.
                let word = unsafe { self.start.as_ptr().add(at).cast::<u64>().read_volatile() };
                to[..8].copy_from_slice(&word.to_ne_bytes());
                at += 8;
            } else {
                // SAFETY: The byte is inside of the mapped page.
                to[0] = unsafe { self.start.as_ptr().add(at).read_volatile() };
                at += 1;
            }
        }
    }

    /// Reads `N` bytes at `offset`.
    pub fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut bytes = [0; N];
        self.read(offset, &mut bytes);
        bytes
    }

    /// Writes `bytes` at `offset`, each aligned word of them at once: no field of a request that another thread
    /// writes as well is ever half of one value and half of the other.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset <= PAGE && bytes.len() <= PAGE - offset);
        let mut at = offset;
        while at < offset + bytes.len() {
            let from = &bytes[at - offset..];
            if let (0, Some(word)) = (at % 4, from.first_chunk::<4>()) {
                self.set_word(at, u32::from_ne_bytes(*word));
                at += 4;
            } else {
                // SAFETY: The byte is inside of the mapped page.
                unsafe { self.start.as_ptr().add(at).write_volatile(from[0]) };
                at += 1;
            }
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: The page is mapped, and by the type's invariant nobody uses it after this.
        unsafe { xengntshr_unshare(self.grants.0.as_ptr(), self.start.as_ptr().cast(), 1) };
    }
}

/// The device for event channels.
///
/// # Invariants
///
/// The handle is open.
pub struct Events(NonNull<EventHandle>);

// SAFETY: The handle is a file descriptor; the library keeps no other state in it.
unsafe impl Send for Events {}
// SAFETY: As above: several threads may use one file descriptor.
unsafe impl Sync for Events {}

impl Events {
    /// Opens the device.
    pub fn open() -> io::Result<Self> {
        // SAFETY: No logger is asked for, and no flags.
        let handle = opened(unsafe { xenevtchn_open(ptr::null_mut(), 0) })?;
        // INVARIANT: It has just been opened.
        Ok(Self(handle))
    }

    /// A new port that `domain` may bind to.
    pub fn bind(&self, domain: u32) -> io::Result<u32> {
        // SAFETY: The handle is open.
        let port = checked(unsafe { xenevtchn_bind_unbound_port(self.0.as_ptr(), domain) })?;
        Ok(port as u32)
    }

    /// Closes a port.
    pub fn unbind(&self, port: u32) -> io::Result<()> {
        // SAFETY: The handle is open; the driver checks the port.
        checked(unsafe { xenevtchn_unbind(self.0.as_ptr(), port) }).map(drop)
    }

    /// Sends an event to who is bound to the port.
    pub fn notify(&self, port: u32) -> io::Result<()> {
        // SAFETY: As above.
        checked(unsafe { xenevtchn_notify(self.0.as_ptr(), port) }).map(drop)
    }

    /// Waits for an event for so long; returns the port that got one, which can get another at once.
    pub fn wait(&self, timeout: Duration) -> io::Result<Option<u32>> {
        let mut ready = PollFd {
            // SAFETY: The handle is open.
            fd: unsafe { xenevtchn_fd(self.0.as_ptr()) },
            events: POLLIN,
            revents: 0,
        };
        let milliseconds = timeout.as_micros().div_ceil(1000).min(1 << 30) as c_int;
        // SAFETY: There is one element.
        if checked(unsafe { poll(&mut ready, 1, milliseconds) })? == 0 {
            return Ok(None);
        }
        // SAFETY: The handle is open.
        let port = checked(unsafe { xenevtchn_pending(self.0.as_ptr()) })? as u32;
        // SAFETY: The handle is open, and the port is one of it.
        checked(unsafe { xenevtchn_unmask(self.0.as_ptr(), port) })?;
        Ok(Some(port))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // SAFETY: The handle is open, and nobody has it any more. That closes all ports.
        unsafe { xenevtchn_close(self.0.as_ptr()) };
    }
}

/// A connection to xenstore.
///
/// # Invariants
///
/// The handle is open.
pub struct Store(NonNull<StoreHandle>);

// SAFETY: The library locks the handle.
unsafe impl Send for Store {}
// SAFETY: As above.
unsafe impl Sync for Store {}

impl Store {
    /// Connects.
    pub fn open() -> io::Result<Self> {
        // SAFETY: 0 is no flags.
        let handle = opened(unsafe { xs_open(0) })?;
        // INVARIANT: It has just been opened.
        Ok(Self(handle))
    }

    /// The value of a node; None when there is no such node.
    pub fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let path = text(path)?;
        let mut length = 0;
        // SAFETY: The handle is open, the path ends with NUL, and there is room for the length.
        let value = unsafe { xs_read(self.0.as_ptr(), NO_TRANSACTION, path.as_ptr(), &mut length) };
        let Some(value) = NonNull::new(value) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::NotFound => Ok(None),
                _ => Err(error),
            };
        };
        // SAFETY: The library has returned that many bytes there, which nobody else has.
        let bytes = unsafe { slice::from_raw_parts(value.as_ptr().cast::<u8>(), length as usize) };
        let bytes = bytes.to_vec();
        // SAFETY: The library has allocated it for its caller, who does not use it any more.
        unsafe { free(value.as_ptr()) };
        Ok(Some(bytes))
    }

    /// Writes a node.
    pub fn write(&self, path: &str, value: &[u8]) -> io::Result<()> {
        let path = text(path)?;
        let (data, length) = (value.as_ptr().cast(), value.len() as c_uint);
        // SAFETY: The handle is open, the path ends with NUL, and the value has that many bytes.
        let done =
            unsafe { xs_write(self.0.as_ptr(), NO_TRANSACTION, path.as_ptr(), data, length) };
        done.then_some(()).ok_or_else(io::Error::last_os_error)
    }

    /// Removes a node and all below it, if it is there.
    pub fn remove(&self, path: &str) -> io::Result<()> {
        let path = text(path)?;
        // SAFETY: The handle is open and the path ends with NUL.
        if unsafe { xs_rm(self.0.as_ptr(), NO_TRANSACTION, path.as_ptr()) } {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: The handle is open, and nobody has it any more.
        unsafe { xs_close(self.0.as_ptr()) };
    }
}

fn text(path: &str) -> io::Result<CString> {
    CString::new(path).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a path with NUL"))
}
