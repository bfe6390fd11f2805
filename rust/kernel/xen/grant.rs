// SPDX-License-Identifier: GPL-2.0

//! Grants: memory of another domain.
//!
//! C header: [`include/xen/grant_table.h`](srctree/include/xen/grant_table.h)

use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use crate::{
    bindings,
    fixed_vec::FixedVec,
    net::skbuff::{
        SkBuff,
        Unshared, //
    },
    prelude::*,
    sync::aref::ARef,
    xen::{
        ring,
        xenbus,
        DomId,
        PAGE_SIZE, //
    }, //
};

#[cfg(CONFIG_KUNIT = "y")]
mod tests;

/// A grant reference, as another domain published it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ref(pub u32);

/// A ring page of the other end, mapped for reading and writing. Dropping it unmaps.
///
/// # Invariants
///
/// `address` is a mapping made by `xenbus_map_ring_valloc()` for `xdev`, of one page.
pub struct RingPage {
    xdev: ARef<xenbus::Device>,
    address: NonNull<c_void>,
}

// SAFETY: The mapping can be used and removed from any task.
unsafe impl Send for RingPage {}

// SAFETY: Nothing but the address can be had of a shared reference.
unsafe impl Sync for RingPage {}

impl RingPage {
    /// Maps the page that `gref` grants. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENXIO` when the hypervisor refuses the grant; xenbus has then reported it in the log and in
    /// xenstore, and the device's state there is Closing. Others for want of memory or of addresses.
    pub fn map(xdev: &xenbus::Device, gref: Ref) -> Result<Self> {
        let mut gref = gref.0;
        let mut address = core::ptr::null_mut();
        // SAFETY: `xdev` is a valid device, `gref` one grant reference, `address` valid for writing.
        let status =
            unsafe { bindings::xenbus_map_ring_valloc(xdev.as_raw(), &mut gref, 1, &mut address) };
        match NonNull::new(address) {
            // INVARIANT: Just mapped.
            Some(address) if status == 0 => Ok(Self {
                xdev: xdev.into(),
                address,
            }),
            _ if status == -(bindings::ENOENT as c_int) => Err(ENXIO),
            _ => Err(Error::from_errno(status)),
        }
    }
}

// SAFETY: By the type invariant a whole page is mapped for reading and writing, at an address that
// does not change.
unsafe impl ring::Page for RingPage {
    fn as_ptr(&self) -> *mut c_void {
        self.address.as_ptr()
    }
}

impl Drop for RingPage {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. Nothing borrows the page any more.
        unsafe { bindings::xenbus_unmap_ring_vfree(self.xdev.as_raw(), self.address.as_ptr()) };
    }
}

/// Memory of this domain for [`read`], which does not cross a page because it is aligned to its size.
#[repr(C, align(512))]
struct Bounce([u8; BOUNCE_LEN]);

const BOUNCE_LEN: usize = 512;

const _: () = assert!(align_of::<Bounce>() == size_of::<Bounce>() && BOUNCE_LEN <= PAGE_SIZE);

/// Copies the first `to.len()` bytes of the page that `gref` of `domid` grants. Sleeps.
///
/// For small pieces of data which are not packets.
///
/// # Errors
///
/// `EINVAL` for more than 512 bytes, `EFAULT` when the hypervisor refuses the grant, `ENOMEM`. `to` is
/// unchanged then.
pub fn read(domid: DomId, gref: Ref, to: &mut [u8]) -> Result {
    let len = u16::try_from(to.len())?;
    let mut bounce = KBox::new(Bounce([0; BOUNCE_LEN]), GFP_KERNEL)?;
    let from = bounce.0.get(..to.len()).ok_or(EINVAL)?;
    if from.is_empty() {
        return Ok(());
    }

    let address = NonNull::from(&mut bounce.0).cast::<u8>();
    let (dest, _) = local_pointer(Direction::FromGuest, address);
    let mut op = bindings::gnttab_copy {
        source: bindings::gnttab_copy_gnttab_copy_ptr {
            u: bindings::gnttab_copy_gnttab_copy_ptr__bindgen_ty_1 {
                ref_: ManuallyDrop::new(gref.0),
            },
            domid: domid.0,
            offset: 0,
        },
        dest,
        len,
        flags: bindings::GNTCOPY_source_gref as u16,
        // Replaced by the hypervisor.
        status: bindings::GNTST_general_error as i16,
    };
    // SAFETY: One operation, which is initialised. Its `len` bytes of destination are inside of
    // `bounce`, which is not borrowed, lies in the direct map and does not cross a page.
    let result = unsafe {
        bindings::HYPERVISOR_grant_table_op(
            bindings::GNTTABOP_copy,
            core::ptr::from_mut(&mut op).cast::<c_void>(),
            1,
        )
    };
    if result != 0 || op.status != bindings::GNTST_okay as i16 {
        return Err(EFAULT);
    }
    for (to, from) in to.iter_mut().zip(bounce.0.iter()) {
        *to = *from;
    }
    Ok(())
}

/// A stretch of a page of another domain.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Grant of the page.
    pub gref: Ref,
    /// Where the stretch begins in the page, in bytes. The hypervisor refuses what leaves the page.
    pub offset: u16,
    /// Length in bytes.
    pub len: u16,
}

mod private {
    pub trait Sealed {}
}

/// A packet that a copy can fill or empty.
pub trait Buffer: private::Sealed {
    /// Which way the bytes go.
    const DIRECTION: Direction;

    /// Length in bytes.
    fn size(&self) -> usize;

    /// Address and length of each contiguous part of the packet's memory, in order.
    fn memory(&mut self) -> impl Iterator<Item = (NonNull<u8>, usize)>;
}

/// Which way the bytes of a [`Buffer`] go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the packet to the other domain.
    ToGuest,
    /// From the other domain into the packet.
    FromGuest,
}

impl private::Sealed for SkBuff {}

impl Buffer for SkBuff {
    const DIRECTION: Direction = Direction::ToGuest;

    #[inline]
    fn size(&self) -> usize {
        self.len()
    }

    #[inline]
    fn memory(&mut self) -> impl Iterator<Item = (NonNull<u8>, usize)> {
        self.pieces().map(|piece| (piece.addr(), piece.len()))
    }
}

impl private::Sealed for Unshared {}

impl Buffer for Unshared {
    const DIRECTION: Direction = Direction::FromGuest;

    #[inline]
    fn size(&self) -> usize {
        self.len()
    }

    #[inline]
    fn memory(&mut self) -> impl Iterator<Item = (NonNull<u8>, usize)> {
        self.pieces_mut().map(|piece| (piece.addr(), piece.len()))
    }
}

/// A packet that took part in a copy.
pub struct Copied<B: Buffer, M> {
    /// The packet. Copied from another domain, its contents are complete only if nothing failed.
    pub buffer: B,
    /// What the caller attached to the packet.
    pub meta: M,
    /// One of its operations failed, or the other domain's memory and the packet differ in length.
    pub failed: bool,
}

/// Packets on their way between this domain and another one by grant copy, many per hypercall.
///
/// The batch owns its packets while operations refer to their memory.
///
/// # Invariants
///
/// - Every operation refers to memory of a packet in `packets`.
/// - `owners` has the index in `packets` for every operation.
pub struct CopyBatch<B: Buffer, M> {
    domid: DomId,
    enough: usize,
    bytes: usize,
    ops: FixedVec<bindings::gnttab_copy>,
    owners: FixedVec<u16>,
    packets: FixedVec<Copied<B, M>>,
    hypercalls: u64,
}

// SAFETY: The operations hold frame numbers, no pointers; packets and their companions can be sent.
unsafe impl<B: Buffer + Send, M: Send> Send for CopyBatch<B, M> {}

impl<B: Buffer, M> CopyBatch<B, M> {
    /// Creates a batch for copies with `domid`, of at most `packets` packets and `ops` operations in one
    /// hypercall.
    ///
    /// It counts as full as well when it has `enough` bytes, so that neither side waits for a large copy
    /// while the other one has nothing to do.
    pub fn new(domid: DomId, packets: u16, ops: u16, enough: usize) -> Result<Self> {
        let ops = usize::from(ops.max(1));
        Ok(Self {
            domid,
            enough,
            bytes: 0,
            ops: FixedVec::new(ops)?,
            owners: FixedVec::new(ops)?,
            packets: FixedVec::new(packets.into())?,
            hypercalls: 0,
        })
    }

    /// Tells whether no further packet should be added before [`CopyBatch::submit`].
    pub fn is_full(&self) -> bool {
        self.packets.is_full() || self.ops.is_full() || self.bytes >= self.enough
    }

    /// Number of packets.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Tells whether there is no packet.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Number of operations collected for the next hypercall.
    pub fn operations(&self) -> usize {
        self.ops.len()
    }

    /// Number of copy hypercalls made since the last call of this.
    pub fn take_hypercalls(&mut self) -> u64 {
        core::mem::take(&mut self.hypercalls)
    }

    /// Adds a packet whose bytes go to or come from `segments`, in order, all of which are taken. Gives it
    /// back when there are too many packets.
    pub fn push(
        &mut self,
        mut buffer: B,
        meta: M,
        segments: impl IntoIterator<Item = Segment>,
    ) -> Result<(), (B, M)> {
        if self.packets.is_full() {
            return Err((buffer, meta));
        }
        let packet_len = buffer.size();
        // The memory behind the pieces stays where it is when the handle moves into `packets`.
        let mut memory = InPages::new(buffer.memory());
        let mut copied: usize = 0;
        // Of the operations that had to be issued before the packet was complete; or the segments are longer.
        let mut failed = false;

        // Not `for`: driven from inside, an iterator that is made of several becomes plain loops.
        segments.into_iter().for_each(|segment| {
            let mut offset = segment.offset;
            let mut left = segment.len;
            while left > 0 {
                let Some((address, len)) = memory.next(left) else {
                    failed = true;
                    return;
                };
                failed |= self.add_operation(segment.gref, offset, address, len);
                copied = copied.wrapping_add(len.into());
                offset = offset.wrapping_add(len);
                // `len` is at most `left`.
                left = left.wrapping_sub(len);
            }
        });
        drop(memory);
        self.bytes = self.bytes.wrapping_add(copied);
        // Does not fail: there was room.
        let _ = self.packets.push(Copied {
            buffer,
            meta,
            failed: failed || copied != packet_len,
        });
        Ok(())
    }

    /// Adds an operation of the packet that is being pushed. Returns whether an earlier one of it, which had to be
    /// issued to make room, has failed.
    // Most packets need one, and a loop into which this is inlined prepares for many.
    #[inline(never)]
    fn add_operation(&mut self, gref: Ref, offset: u16, address: NonNull<u8>, len: u16) -> bool {
        let owner = self.packets.len();
        let failed = self.ops.is_full() && self.issue(owner);
        let op = self.operation(gref, offset, address, len);
        // Neither fails: there is room for at least one operation.
        let _ = self.ops.push(op);
        let _ = self.owners.push(owner as u16);
        failed
    }

    fn operation(
        &self,
        gref: Ref,
        offset: u16,
        address: NonNull<u8>,
        len: u16,
    ) -> bindings::gnttab_copy {
        let guest = bindings::gnttab_copy_gnttab_copy_ptr {
            u: bindings::gnttab_copy_gnttab_copy_ptr__bindgen_ty_1 {
                ref_: ManuallyDrop::new(gref.0),
            },
            domid: self.domid.0,
            offset,
        };
        let (local, local_is_gref) = local_pointer(B::DIRECTION, address);
        let mut flags = 0;
        let (source, dest) = match B::DIRECTION {
            Direction::ToGuest => {
                flags |= bindings::GNTCOPY_dest_gref;
                if local_is_gref {
                    flags |= bindings::GNTCOPY_source_gref;
                }
                (local, guest)
            }
            Direction::FromGuest => {
                flags |= bindings::GNTCOPY_source_gref;
                (guest, local)
            }
        };
        bindings::gnttab_copy {
            source,
            dest,
            len,
            flags: flags as u16,
            // Replaced by the hypervisor; stays where it gave up half-way.
            status: bindings::GNTST_general_error as i16,
        }
    }

    /// Performs the operations collected so far and marks the packets of those that failed. Returns
    /// whether one failed of the packet numbered `current`, which is not in the list yet.
    #[inline(never)]
    fn issue(&mut self, current: usize) -> bool {
        if self.ops.is_empty() {
            return false;
        }
        self.hypercalls = self.hypercalls.wrapping_add(1);
        // SAFETY: The operations are initialised, their memory belongs to packets that this batch
        // or its caller `push()` owns; it is written only for `FromGuest`, where the packet is unshared.
        // The result is that of the operations, each of which has its own.
        let _ = unsafe {
            bindings::HYPERVISOR_grant_table_op(
                bindings::GNTTABOP_copy,
                self.ops.as_mut_ptr().cast::<c_void>(),
                self.ops.len() as c_uint,
            )
        };
        let mut current_failed = false;
        for (op, owner) in self.ops.iter().zip(self.owners.iter()) {
            if op.status != bindings::GNTST_okay as i16 {
                match self.packets.get_mut(usize::from(*owner)) {
                    Some(packet) => packet.failed = true,
                    None => current_failed |= usize::from(*owner) == current,
                }
            }
        }
        // INVARIANT: No operation is left.
        self.ops.clear();
        self.owners.clear();
        current_failed
    }

    /// Copies everything, and keeps the packets.
    pub fn copy(&mut self) {
        self.issue(usize::MAX);
    }

    /// Tells whether a copy of the packet with this number, in the order in which they were added, has failed.
    pub fn has_failed(&self, number: usize) -> bool {
        self.packets.get(number).is_none_or(|packet| packet.failed)
    }

    /// Copies what is not copied yet, and returns the packets in the order in which they were added.
    pub fn submit(&mut self) -> impl Iterator<Item = Copied<B, M>> + '_ {
        self.copy();
        self.bytes = 0;
        self.packets.drain()
    }
}

impl<B: Buffer, M> Drop for CopyBatch<B, M> {
    fn drop(&mut self) {
        // INVARIANT: Operations go before the packets whose memory they name.
        self.ops.clear();
    }
}

/// This domain's side of an operation and whether it is a grant as well: a page that a third domain
/// granted and that is mapped here can only be copied from under its grant.
#[inline]
fn local_pointer(
    direction: Direction,
    address: NonNull<u8>,
) -> (bindings::gnttab_copy_gnttab_copy_ptr, bool) {
    let address = address.as_ptr().cast::<c_void>();
    let offset = (address.addr() % PAGE_SIZE) as u16;
    if let Direction::ToGuest = direction {
        // SAFETY: Packet data is in the direct map.
        let page = unsafe { bindings::virt_to_page(address) };
        // SAFETY: `page` is the valid page of packet data.
        let foreign = unsafe { bindings::xen_page_foreign(page) };
        // Pages of files, and those on their way to swap, have the same flag for something else, and no grant.
        //
        // SAFETY: `page` is the valid page of packet data.
        if !foreign.is_null() && unsafe { bindings::page_mapping(page) }.is_null() {
            // SAFETY: Not null, so it points to the page's owner, which stays while the packet holds
            // the page.
            let foreign = unsafe { &*foreign };
            return (
                bindings::gnttab_copy_gnttab_copy_ptr {
                    u: bindings::gnttab_copy_gnttab_copy_ptr__bindgen_ty_1 {
                        ref_: ManuallyDrop::new(foreign.gref),
                    },
                    domid: foreign.domid,
                    offset,
                },
                true,
            );
        }
    }
    // SAFETY: Packet data is in the direct map.
    let gmfn = unsafe { bindings::virt_to_gfn(address) };
    (
        bindings::gnttab_copy_gnttab_copy_ptr {
            u: bindings::gnttab_copy_gnttab_copy_ptr__bindgen_ty_1 {
                gmfn: ManuallyDrop::new(gmfn),
            },
            domid: bindings::DOMID_SELF as u16,
            offset,
        },
        false,
    )
}

/// Cuts memory into stretches that do not leave a page.
///
/// # Invariants
///
/// `left` bytes from `address` on are of the part that was taken last of `memory`.
struct InPages<I> {
    memory: I,
    address: NonNull<u8>,
    left: usize,
}

impl<I: Iterator<Item = (NonNull<u8>, usize)>> InPages<I> {
    fn new(memory: I) -> Self {
        // INVARIANT: Nothing is left of none.
        Self {
            memory,
            address: NonNull::dangling(),
            left: 0,
        }
    }

    /// The next stretch, of at most `max` bytes.
    #[inline]
    fn next(&mut self, max: u16) -> Option<(NonNull<u8>, u16)> {
        if self.left == 0 {
            // INVARIANT: The whole of the next part.
            (self.address, self.left) = self.memory.next()?;
        }
        let address = self.address;
        let room = PAGE_SIZE.wrapping_sub(address.addr().get() % PAGE_SIZE);
        let stretch = usize::from(max).min(room).min(self.left);
        // INVARIANT: What follows the stretch.
        //
        // SAFETY: `stretch` is at most `left`, so this stays within the part, or at its end.
        self.address = unsafe { address.add(stretch) };
        self.left = self.left.wrapping_sub(stretch);
        // CAST: At most `max`.
        Some((address, stretch as u16))
    }
}
