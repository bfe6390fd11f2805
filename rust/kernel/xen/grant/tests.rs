// SPDX-License-Identifier: GPL-2.0

//! Tests of copies, from and to pages that this domain grants to itself.

use crate::prelude::kunit_tests;

#[kunit_tests(xen_netback_rs_grant)]
mod cases {
    use core::cell::UnsafeCell;

    use crate::{
        bindings,
        net::{
            page_pool::PagePool,
            skbuff::{
                tests::cases::{
                    alloc,
                    frees, //
                },
                SkBuff,
                Unshared, //
            }, //
        },
        prelude::*,
        xen::{
            self,
            grant::{
                read,
                CopyBatch,
                Ref,
                Segment, //
            },
            DomId,
            PAGE_SIZE, //
        }, //
    };

    /// The domain that runs the tests.
    const DOM0: DomId = DomId(0);

    /// More bytes than any batch here has.
    const MUCH: usize = 1 << 20;

    /// No domain has as many.
    const NEVER: Ref = Ref(u32::MAX);

    /// What the hypervisor reads and writes, by address.
    #[repr(C, align(4096))]
    struct Bytes(UnsafeCell<[u8; PAGE_SIZE]>);

    /// A page that dom0 may copy from and to by a grant.
    struct Granted {
        bytes: KBox<Bytes>,
        gref: u32,
    }

    impl Granted {
        fn new(content: impl Fn(usize) -> u8) -> Result<Self> {
            // In its place: a stack has no room for a page that is aligned.
            let mut bytes = KBox::<Bytes>::new_uninit(GFP_KERNEL)?;
            for at in 0..PAGE_SIZE {
                // SAFETY: The position is within the page, which nobody else has yet.
                unsafe { bytes.as_mut_ptr().cast::<u8>().add(at).write(content(at)) };
            }
            // SAFETY: All of its bytes were written.
            let bytes = unsafe { bytes.assume_init() };
            // SAFETY: Memory of the heap is in the direct map.
            let frame = unsafe { bindings::virt_to_gfn(bytes.0.get().cast()) };
            // SAFETY: The page stays as long as the grant, which is taken back first.
            let gref = unsafe { bindings::gnttab_grant_foreign_access(DOM0.0, frame, 0) };
            let gref = u32::try_from(gref).map_err(|_| ENOSPC)?;
            Ok(Self { bytes, gref })
        }

        fn at(&self, at: usize) -> u8 {
            assert!(at < PAGE_SIZE);
            // SAFETY: The position is within the page.
            unsafe { self.bytes.0.get().cast::<u8>().add(at).read_volatile() }
        }

        fn segment(&self, offset: u16, len: u16) -> Segment {
            Segment {
                gref: Ref(self.gref),
                offset,
                len,
            }
        }
    }

    impl Drop for Granted {
        fn drop(&mut self) {
            // SAFETY: The grant is that of this page, and nobody uses it.
            unsafe { bindings::gnttab_try_end_foreign_access(self.gref) };
        }
    }

    /// A packet of so many bytes in one piece.
    fn packet(len: usize) -> Result<Unshared> {
        let mut skb = alloc(256)?;
        skb.put(len)?;
        Ok(skb)
    }

    #[test]
    fn bytes_arrive_in_order() -> Result {
        if !xen::is_domain() {
            return Ok(());
        }
        let odd = |at: usize| (at * 7) as u8;
        let from = [Granted::new(|at| at as u8)?, Granted::new(odd)?];
        let to = [Granted::new(|_| 0)?, Granted::new(|_| 0)?];
        let wanted = |at: usize| match at.checked_sub(3000) {
            None => (at + 96) as u8,
            Some(at) => odd(at + 1000),
        };

        // One of the pieces lies in two pages.
        let mut pool = PagePool::new(32, 1)?;
        let mut skb = packet(100)?;
        skb.add_pool_frag(&mut pool, 0, 4000)?;
        skb.add_pool_frag(&mut pool, 0, 1900)?;
        let mut batch = CopyBatch::<Unshared, u32>::new(DOM0, 4, 16, MUCH)?;
        let segments = [from[0].segment(96, 3000), from[1].segment(1000, 3000)];
        assert!(batch.push(skb, 5, segments).is_ok());
        assert_eq!((batch.len(), batch.take_hypercalls()), (1, 0));
        let copied = batch.submit().next().ok_or(ENODATA)?;
        assert_eq!((copied.meta, copied.failed), (5, false));
        assert_eq!((batch.len(), batch.take_hypercalls()), (0, 1));
        let mut bytes = [0; 100];
        for start in (0..6000).step_by(bytes.len()) {
            copied.buffer.copy_bits(start, &mut bytes)?;
            assert!((start..).zip(bytes).all(|(at, byte)| byte == wanted(at)));
        }

        let mut batch = CopyBatch::<SkBuff, ()>::new(DOM0, 4, 16, MUCH)?;
        let segments = [to[0].segment(0, 4096), to[1].segment(6, 1904)];
        assert!(batch.push(copied.buffer.into_skb(), (), segments).is_ok());
        let copied = batch.submit().next().ok_or(ENODATA)?;
        assert!(!copied.failed);
        assert!((0..4096).all(|at| to[0].at(at) == wanted(at)));
        assert!((0..1904).all(|at| to[1].at(6 + at) == wanted(4096 + at)));
        assert!(Iterator::chain(0..6, 1910..4096).all(|at| to[1].at(at) == 0));
        assert_eq!(frees(|| copied.buffer.consume_any()), 1);

        Ok(())
    }

    /// XSA-362 (CVE-2021-26931), XSA-367 (CVE-2021-28038): that an operation fails is the matter of its packet,
    /// in whichever hypercall.
    ///
    /// Fails when the result for a packet that is not complete yet is forgotten (`issue` returns false), and when
    /// no operation of a hypercall but the first is looked at.
    #[test]
    fn a_failed_copy_fails_its_packet_alone() -> Result {
        const PACKETS: usize = 6;
        const PIECES: usize = 3;

        if !xen::is_domain() {
            return Ok(());
        }
        let page = Granted::new(|at| at as u8)?;
        for bad in 0..PACKETS * PIECES {
            // A hypercall has eight operations, so that packets begin in one and end in another.
            let mut batch = CopyBatch::<Unshared, usize>::new(DOM0, PACKETS as u16, 8, MUCH)?;
            for number in 0..PACKETS {
                let segments = (0..PIECES).map(|piece| match number * PIECES + piece == bad {
                    true => Segment {
                        gref: NEVER,
                        offset: 0,
                        len: 10,
                    },
                    false => page.segment(10 * piece as u16, 10),
                });
                assert!(batch.push(packet(10 * PIECES)?, number, segments).is_ok());
            }
            let mut wrong = 0;
            let mut number = 0;
            let freed = frees(|| {
                for copied in batch.submit() {
                    let failed = number == bad / PIECES;
                    let good = (0..)
                        .zip(copied.buffer.linear())
                        .all(|(at, &byte)| byte == at);
                    wrong += usize::from(copied.meta != number || copied.failed != failed);
                    wrong += usize::from(!failed && !good);
                    number += 1;
                }
            });
            assert_eq!((number, wrong, freed), (PACKETS, 0, PACKETS));
            assert_eq!(batch.take_hypercalls(), 3);
        }

        Ok(())
    }

    /// Fails when a packet does not count as failed whose segments are too short for it, or when those that it
    /// is too short for are not taken.
    #[test]
    fn segments_have_the_length_of_the_packet() -> Result {
        if !xen::is_domain() {
            return Ok(());
        }
        let page = Granted::new(|_| 0)?;
        for (lens, failed) in [
            ([10, 20], false),
            ([0, 30], false),
            ([30, 0], false),
            ([10, 19], true),
            ([0, 0], true),
            ([10, 21], true),
            ([31, 4000], true),
        ] {
            let mut batch = CopyBatch::<Unshared, ()>::new(DOM0, 1, 16, MUCH)?;
            let mut taken = 0;
            let segments = lens.map(|len| page.segment(0, len));
            let segments = segments.into_iter().inspect(|_| taken += 1);
            assert!(batch.push(packet(30)?, (), segments).is_ok());
            assert_eq!(taken, lens.len());
            assert_eq!(batch.submit().next().map(|one| one.failed), Some(failed));
            assert!(batch.is_empty());
        }

        Ok(())
    }

    /// Fails when a packet that finds no place is not given back.
    #[test]
    fn owns_its_packets() -> Result {
        let mut batch = CopyBatch::<Unshared, u32>::new(DOM0, 2, 16, MUCH)?;
        let segment = Segment {
            gref: NEVER,
            offset: 0,
            len: 30,
        };
        assert!(batch.is_empty());
        assert!(batch.push(packet(30)?, 1, [segment]).is_ok());
        assert!(!batch.is_full());
        assert!(batch.push(packet(30)?, 2, [segment]).is_ok());
        assert!(batch.is_full());
        assert_eq!((batch.len(), batch.operations()), (2, 2));

        let refused = batch.push(packet(30)?, 3, [segment]).err();
        assert_eq!(refused.as_ref().map(|(_, number)| *number), Some(3));
        assert_eq!(frees(|| drop(refused)), 1);
        assert_eq!((batch.len(), batch.operations()), (2, 2));
        // Nothing was copied: there was no hypercall.
        assert_eq!(frees(|| drop(batch)), 2);

        Ok(())
    }

    /// Fails when bytes are not counted, or those of packets which have left go on counting.
    #[test]
    fn is_full_when_it_has_enough_bytes() -> Result {
        if !xen::is_domain() {
            return Ok(());
        }
        let page = Granted::new(|_| 0)?;
        let mut batch = CopyBatch::<Unshared, ()>::new(DOM0, 8, 16, 60)?;
        for _ in 0..2 {
            assert!(batch.push(packet(30)?, (), [page.segment(0, 30)]).is_ok());
            assert!(!batch.is_full());
            assert!(batch.push(packet(30)?, (), [page.segment(0, 30)]).is_ok());
            assert!(batch.is_full());
            assert_eq!(batch.submit().filter(|one| !one.failed).count(), 2);
        }

        Ok(())
    }

    #[test]
    fn small_pieces_are_read() -> Result {
        if !xen::is_domain() {
            return Ok(());
        }
        let page = Granted::new(|at| at as u8)?;
        let mut bytes = [0; 512];
        read(DOM0, Ref(page.gref), &mut bytes)?;
        assert!((0..).zip(bytes).all(|(at, byte)| byte == at as u8));

        let mut kept = [9; 513];
        assert_eq!(read(DOM0, Ref(page.gref), &mut kept), Err(EINVAL));
        assert_eq!(read(DOM0, NEVER, &mut kept[..40]), Err(EFAULT));
        assert_eq!(read(DOM0, NEVER, &mut []), Ok(()));
        assert!(kept.iter().all(|&byte| byte == 9));
        read(DOM0, Ref(page.gref), &mut kept[..3])?;
        assert!(kept.iter().take(4).eq(&[0, 1, 2, 9]));

        Ok(())
    }
}
