// SPDX-License-Identifier: GPL-2.0

//! Directories and files in debugfs.
//!
//! As in mainline, a file shows a [`Writer`] and what is written to it goes to a [`Reader`]. Here a file
//! names the module that its operations are part of: a file that somebody keeps open after it was
//! removed is still closed by them.
//!
//! Nobody depends on debugfs, so what cannot be created is missing silently.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)

use crate::{
    bindings,
    fmt,
    prelude::*,
    seq_file::{
        seq_print,
        SeqFile, //
    },
    sync::Arc,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
    ModuleMetadata, //
};

pub use kernel::debugfs::{
    Reader,
    Writer, //
};

/// What was created in debugfs, which is removed when this is dropped, with all that it contains.
///
/// # Invariants
///
/// The pointer is what C has returned at the creation, perhaps an error. Nothing else removes it: the
/// directory that it is in, if it is not the root, is kept.
struct Entry {
    entry: *mut bindings::dentry,
    _parent: Option<Dir>,
}

// SAFETY: Entries are created and removed under the locks of the file system, in any thread.
unsafe impl Send for Entry {}

// SAFETY: Nothing but the pointer can be had of a shared reference.
unsafe impl Sync for Entry {}

impl Drop for Entry {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it was created and not removed, or is an error, which is ignored.
        unsafe { bindings::debugfs_remove(self.entry) };
    }
}

/// A directory. It exists as long as a clone of this value, or something in it.
///
/// Dropping the last one sleeps.
#[derive(Clone)]
pub struct Dir(Arc<Entry>);

impl Dir {
    /// Creates a directory at the root. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(name: &CStr) -> Result<Self> {
        Self::create(name, None)
    }

    /// Creates a directory in this one. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn subdir(&self, name: &CStr) -> Result<Self> {
        Self::create(name, Some(self))
    }

    fn create(name: &CStr, parent: Option<&Dir>) -> Result<Self> {
        let parent_entry = parent.map_or(core::ptr::null_mut(), |parent| parent.0.entry);

        // SAFETY: The parent is null, which stands for the root, or was created and is not removed, as
        // the type invariant says.
        let entry = unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), parent_entry) };

        // INVARIANT: Just created, and the parent is kept.
        let entry = Entry {
            entry,
            _parent: parent.cloned(),
        };
        Ok(Self(Arc::new(entry, GFP_KERNEL)?))
    }

    /// Whether there is something of this name at the root, whoever has created it.
    pub fn exists_at_root(name: &CStr) -> bool {
        // SAFETY: The name is a string, and null stands for the root.
        let entry = unsafe { bindings::debugfs_lookup(name.as_char_ptr(), core::ptr::null_mut()) };

        // SAFETY: The function has returned null, which is ignored, or a reference, which ends here.
        unsafe { bindings::dput(entry) };
        !entry.is_null()
    }
}

/// A file that shows a `T`.
///
/// Dropping it removes the file, and waits for those who are reading or writing it. Sleeps.
#[must_use = "the file is removed as soon as this is dropped"]
pub struct File<T> {
    // Dropped before the data.
    _entry: Entry,
    _data: Arc<T>,
}

impl<T: Writer + Send + Sync + 'static> File<T> {
    /// Creates a file which only root may read. Sleeps.
    ///
    /// `M` is the module that `T` is part of.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn read_only<M: ModuleMetadata>(dir: &Dir, name: &CStr, data: T) -> Result<Self> {
        let operations = const {
            &bindings::file_operations {
                owner: M::THIS_MODULE.as_ptr(),
                open: Some(open::<T>),
                read: Some(bindings::seq_read),
                llseek: Some(bindings::seq_lseek),
                release: Some(bindings::single_release),
                ..pin_init::zeroed()
            }
        };

        // SAFETY: `open()` is for a `T`.
        unsafe { Self::create(dir, name, 0o400, data, operations) }
    }

    /// Creates a file which only root may read and write. Sleeps.
    ///
    /// `M` is the module that `T` is part of.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn read_write<M: ModuleMetadata>(dir: &Dir, name: &CStr, data: T) -> Result<Self>
    where
        T: Reader,
    {
        let operations = const {
            &bindings::file_operations {
                owner: M::THIS_MODULE.as_ptr(),
                open: Some(open::<T>),
                read: Some(bindings::seq_read),
                write: Some(write::<T>),
                llseek: Some(bindings::seq_lseek),
                release: Some(bindings::single_release),
                ..pin_init::zeroed()
            }
        };

        // SAFETY: `open()` and `write()` are for a `T`.
        unsafe { Self::create(dir, name, 0o600, data, operations) }
    }

    /// # Safety
    ///
    /// The operations must be for files whose inode has a pointer to a `T`.
    unsafe fn create(
        dir: &Dir,
        name: &CStr,
        mode: u16,
        data: T,
        operations: &'static bindings::file_operations,
    ) -> Result<Self> {
        let data = Arc::new(data, GFP_KERNEL)?;

        // SAFETY: The directory was created and is not removed. The operations are for what `data`
        // points to, as the caller promises, and that lives until the file is removed.
        let entry = unsafe {
            bindings::debugfs_create_file_full(
                name.as_char_ptr(),
                mode,
                dir.0.entry,
                Arc::as_ptr(&data).cast_mut().cast(),
                core::ptr::null(),
                operations,
            )
        };

        Ok(Self {
            // INVARIANT: Just created, and the parent is kept.
            _entry: Entry {
                entry,
                _parent: Some(dir.clone()),
            },
            _data: data,
        })
    }
}

/// # Safety
///
/// Called by C only, with a file that is being opened and its inode, which has a pointer to a `T` that
/// lives until the file was removed.
unsafe extern "C" fn open<T: Writer>(
    inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> c_int {
    // SAFETY: C passes a valid inode.
    let data = unsafe { (*inode).i_private };

    // SAFETY: C passes a file that is being opened. `show()` gets `data`, for which it is made.
    unsafe { bindings::single_open(file, Some(show::<T>), data) }
}

/// # Safety
///
/// Called by C only, with a `seq_file` whose private data is a pointer to a `T` that lives during the
/// call.
unsafe extern "C" fn show<T: Writer>(seq: *mut bindings::seq_file, _: *mut c_void) -> c_int {
    struct Shown<'a, T>(&'a T);

    impl<T: Writer> fmt::Display for Shown<'_, T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.write(f)
        }
    }

    // SAFETY: C passes a valid `seq_file`.
    let data = unsafe { (*seq).private }.cast::<T>();
    // SAFETY: By this function's contract.
    let data = unsafe { &*data };
    // SAFETY: C passes a valid `seq_file`, which it does not use during the call.
    let seq = unsafe { SeqFile::from_raw(seq) };

    seq_print!(seq, "{}", Shown(data));
    0
}

/// # Safety
///
/// Called by C only, with a file that was opened by [`open`] for the same type, and memory of user
/// space.
unsafe extern "C" fn write<T: Reader>(
    file: *mut bindings::file,
    from: *const c_char,
    count: usize,
    _offset: *mut bindings::loff_t,
) -> isize {
    // SAFETY: C passes a valid file, whose private data is the `seq_file` that `single_open()` has made.
    let seq = unsafe { (*file).private_data }.cast::<bindings::seq_file>();
    // SAFETY: As above.
    let data = unsafe { (*seq).private }.cast::<T>();
    // SAFETY: C calls this only while the file is not removed, until when the `T` lives.
    let data = unsafe { &*data };

    let mut reader = UserSlice::new(UserPtr::from_ptr(from.cast_mut().cast()), count).reader();
    match data.read_from_slice(&mut reader) {
        Ok(()) => count as isize,
        Err(error) => error.to_errno() as isize,
    }
}
