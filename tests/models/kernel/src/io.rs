// SPDX-License-Identifier: GPL-2.0

//! Memory that both ends of a ring write.
//!
//! A page is at an address that real pages have, so that the code under test can compute the addresses
//! of what is on it. Behind each stands a cell of the model checker: atomic numbers for the indices, which
//! both ends access at any time, and plain memory for the slots, where access by both ends at once is an
//! error of the protocol, which the model checker reports.

use std::{
    marker::PhantomData,
    mem::size_of, //
};

use loom::{
    cell::UnsafeCell,
    sync::atomic::{
        AtomicU32,
        Ordering::Relaxed, //
    }, //
};

pub use crate::{
    io_read,
    io_write, //
};

/// Where the slots begin, in bytes.
const SLOTS: usize = 64;
/// Slots that there is memory for; the models use fewer. Others share it.
const CELLS: usize = 8;
/// The longest slot, in bytes.
const LONGEST: usize = 16;

/// A page with a ring of slots of `slot` bytes.
#[repr(align(4096))]
pub struct SharedPage {
    indices: [AtomicU32; 4],
    slot: usize,
    cells: [UnsafeCell<[u8; LONGEST]>; CELLS],
}

const _: () = assert!(size_of::<SharedPage>() == 4096);

// SAFETY: The model checker reports access to the cells that is not ordered.
unsafe impl Sync for SharedPage {}

impl SharedPage {
    /// A ring whose next request has the index `start`.
    pub fn new(slot: usize, start: u32) -> Self {
        Self {
            indices: [
                AtomicU32::new(start),
                AtomicU32::new(start.wrapping_add(1)),
                AtomicU32::new(start),
                AtomicU32::new(start.wrapping_add(1)),
            ],
            slot,
            cells: std::array::from_fn(|_| UnsafeCell::new([0; LONGEST])),
        }
    }

    /// The index at this place of the header: `req_prod`, `req_event`, `rsp_prod`, `rsp_event`.
    pub fn index(&self, place: usize) -> &AtomicU32 {
        &self.indices[place]
    }

    /// Copies the slot at `index`.
    pub fn read<const N: usize>(&self, index: u32) -> [u8; N] {
        self.read_cell(index as usize)
    }

    /// Writes the slot at `index`.
    pub fn write<const N: usize>(&self, index: u32, bytes: [u8; N]) {
        self.write_cell(index as usize, &bytes);
    }

    fn read_cell<const N: usize>(&self, index: usize) -> [u8; N] {
        // SAFETY: The model checker reports access that is not ordered.
        self.cells[index % CELLS].with(|cell| unsafe { *cell })[..N]
            .try_into()
            .unwrap()
    }

    fn write_cell(&self, index: usize, bytes: &[u8]) {
        // SAFETY: As above.
        self.cells[index % CELLS]
            .with_mut(|cell| unsafe { &mut *cell }[..bytes.len()].copy_from_slice(bytes));
    }

    /// The page that an address is on, and where.
    fn of<'a>(address: usize) -> (&'a Self, usize) {
        let offset = address % size_of::<Self>();
        // SAFETY: The code under test has no other addresses than those on a page.
        (unsafe { &*((address - offset) as *const Self) }, offset)
    }
}

/// A value on a page.
pub struct SysMem<'a, T> {
    address: *mut T,
    page: PhantomData<&'a ()>,
}

impl<T> SysMem<'_, T> {
    pub unsafe fn new(address: *mut T) -> Self {
        Self {
            address,
            page: PhantomData,
        }
    }

    pub fn address(&self) -> *mut T {
        self.address
    }
}

/// Access to a whole value.
pub trait Io<T> {
    fn copy_read(&self) -> T;
    fn copy_write(&self, value: T);
}

impl<T: Copy> Io<T> for SysMem<'_, T> {
    fn copy_read(&self) -> T {
        let (page, offset) = SharedPage::of(self.address as usize);
        let bytes: [u8; LONGEST] = page.read_cell((offset - SLOTS) / page.slot);
        assert!(size_of::<T>() <= LONGEST);
        // SAFETY: Slots are made of bytes, and not longer than that.
        unsafe { bytes.as_ptr().cast::<T>().read_unaligned() }
    }

    fn copy_write(&self, value: T) {
        let (page, offset) = SharedPage::of(self.address as usize);
        // SAFETY: Slots are made of bytes.
        let bytes =
            unsafe { std::slice::from_raw_parts((&raw const value).cast::<u8>(), size_of::<T>()) };
        page.write_cell((offset - SLOTS) / page.slot, bytes);
    }
}

/// Reads the index at an address.
pub fn load(address: *const u32) -> u32 {
    let (page, offset) = SharedPage::of(address as usize);
    page.index(offset / 4).load(Relaxed)
}

/// Writes the index at an address.
pub fn store(address: *const u32, value: u32) {
    let (page, offset) = SharedPage::of(address as usize);
    page.index(offset / 4).store(value, Relaxed);
}

/// Reads a field of the header.
#[macro_export]
macro_rules! io_read {
    ($memory:expr, .$field:ident) => {
        // SAFETY: Only the address is computed.
        $crate::io::load(unsafe { &raw const (*$memory.address()).$field })
    };
}

/// Writes a field of the header.
#[macro_export]
macro_rules! io_write {
    ($memory:expr, .$field:ident, $value:expr) => {
        // SAFETY: Only the address is computed.
        $crate::io::store(unsafe { &raw const (*$memory.address()).$field }, $value)
    };
}
