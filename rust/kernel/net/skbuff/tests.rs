// SPDX-License-Identifier: GPL-2.0

//! Tests of socket buffers, and of the pools which their memory comes from.

use crate::prelude::kunit_tests;

#[kunit_tests(xen_netback_rs_skbuff)]
pub(crate) mod cases {
    use core::ptr::NonNull;

    use crate::{
        bindings, bottom_half,
        net::{
            page_pool::PagePool,
            skbuff::{
                shared_info,
                Checksum,
                DropReason,
                Hash,
                Queue,
                SkBuff,
                Unshared,
                MAX_FRAGS, //
            }, //
        },
        new_spinlock_irq,
        num::casts::u32_as_usize,
        page::PAGE_SIZE,
        prelude::*,
        sync::atomic::{
            Atomic,
            Relaxed, //
        },
        time::{
            delay::fsleep,
            Delta, //
        },
    };

    /// The number of buffers from [`alloc`] which were freed.
    static FREED: Atomic<usize> = Atomic::new(0);

    /// # Safety
    ///
    /// Called by C only, when a buffer from [`alloc`] is freed.
    unsafe extern "C" fn count_free(_skb: *mut bindings::sk_buff) {
        FREED.fetch_add(1, Relaxed);
    }

    /// Tells how many buffers `f` frees.
    pub(crate) fn frees(f: impl FnOnce()) -> usize {
        let before = FREED.load(Relaxed);
        f();
        FREED.load(Relaxed).wrapping_sub(before)
    }

    /// Allocates an empty buffer with room for `room` bytes.
    pub(crate) fn alloc(room: u32) -> Result<Unshared> {
        // SAFETY: The arguments are those of an ordinary allocation, in any context.
        let skb =
            unsafe { bindings::__alloc_skb(room, bindings::GFP_ATOMIC, 0, bindings::NUMA_NO_NODE) };
        let skb = NonNull::new(skb).ok_or(ENOMEM)?;

        // SAFETY: The buffer was just allocated, and nobody else has it.
        let fields = unsafe { &mut *skb.as_ptr() };
        fields.__bindgen_anon_3.__bindgen_anon_1.destructor = Some(count_free);

        // SAFETY: As above.
        Ok(unsafe { Unshared::from_raw(skb) })
    }

    /// Allocates a buffer whose control block has a number.
    fn numbered(number: u32) -> Result<SkBuff> {
        let mut skb = alloc(64)?.into_skb();
        skb.set_cb(number);
        Ok(skb)
    }

    /// Allocates a buffer with `head` linear bytes and fragments of the given lengths, all of whose
    /// bytes continue a count from `first` on.
    fn filled(pool: &mut PagePool, head: usize, frags: &[usize], first: u8) -> Result<Unshared> {
        let mut skb = alloc(256)?;
        let mut next = first;

        skb.put(head)?;
        for &len in frags {
            skb.add_pool_frag(pool, 0, len)?;
        }
        for piece in skb.pieces_mut() {
            for i in 0..piece.len() {
                // SAFETY: The piece may be written to, and has more bytes than `i`.
                unsafe { piece.addr().add(i).write(next) };
                next = next.wrapping_add(1);
            }
        }

        Ok(skb)
    }

    /// Reads a whole packet by its pieces, and checks that each byte is one more than that before.
    fn counts_from(skb: &SkBuff, first: u8) -> bool {
        let mut next = first;
        let mut len = 0;

        for piece in skb.pieces() {
            for i in 0..piece.len() {
                // SAFETY: The piece may be read, and has more bytes than `i`.
                if unsafe { piece.addr().add(i).read() } != next {
                    return false;
                }
                next = next.wrapping_add(1);
            }
            len += piece.len();
        }

        len == skb.len()
    }

    /// Makes `list` the list of fragments of `skb`.
    fn set_frag_list(skb: &mut SkBuff, list: SkBuff) {
        let len = list.len() as u32;
        let list = list.into_raw();
        let info = shared_info(skb.fields());

        // SAFETY: The shared description is that of a buffer which nobody shares, and which has no list.
        unsafe { (*info).frag_list = list.as_ptr() };
        let fields = skb.fields_mut();
        fields.len += len;
        fields.data_len += len;
        fields.truesize += len;
    }

    #[test]
    fn ends_once() -> Result {
        let (a, b, c, d) = (alloc(64)?, alloc(64)?, alloc(64)?, alloc(64)?);
        let a = a.into_skb();
        let b = b.into_skb();
        let c = c.into_skb();
        let e = alloc(64)?.into_skb();

        assert_eq!(frees(|| a.consume_any()), 1);
        assert_eq!(frees(|| e.consume(&bottom_half::disable())), 1);
        assert_eq!(frees(|| b.drop_any(DropReason::FullRing)), 1);
        assert_eq!(frees(|| drop(c)), 1);
        assert_eq!(frees(|| drop(d)), 1);

        Ok(())
    }

    /// XSA-424 (CVE-2022-42328, CVE-2022-42329): a packet may end where interrupts are off, and under a lock. It
    /// is freed, with whatever its sender has tied to it, when they are on again.
    ///
    /// Fails when `free` does not leave that to later (`sk_skb_reason_drop`).
    #[test]
    fn freed_where_interrupts_are_on() -> Result {
        let mut queue = Queue::new();
        queue.push_back(numbered(1)?);
        queue.push_back(numbered(2)?);
        let (a, b, c, d) = (alloc(64)?, alloc(64)?, alloc(64)?, alloc(64)?);
        let a = a.into_skb();
        let b = b.into_skb();
        pin_init::stack_pin_init!(let lock = new_spinlock_irq!(()));

        let before = FREED.load(Relaxed);
        let freed = || FREED.load(Relaxed).wrapping_sub(before);
        let guard = lock.lock();
        a.consume_any();
        b.drop_any(DropReason::DeviceNotReady);
        drop(c);
        d.drop_any(DropReason::NoMemory);
        drop(queue);
        let too_early = freed();
        drop(guard);

        assert_eq!(too_early, 0);
        for _ in 0..5000 {
            if freed() < 6 {
                fsleep(Delta::from_millis(1));
            }
        }
        assert_eq!(freed(), 6);

        Ok(())
    }

    #[test]
    fn raw_pointer_carries_ownership() -> Result {
        let skb = alloc(64)?.into_skb();
        let mut raw = NonNull::dangling();

        assert_eq!(frees(|| raw = skb.into_raw()), 0);
        // SAFETY: The pointer is from `into_raw()`, and used once.
        let skb = unsafe { SkBuff::from_raw(raw) };
        assert_eq!(frees(|| drop(skb)), 1);

        Ok(())
    }

    #[test]
    fn queue_keeps_order() -> Result {
        let mut queue = Queue::new();
        assert!(queue.is_empty());
        assert!(queue.front().is_none());
        assert!(queue.pop_front().is_none());

        // Emptied in between, so that the end is found anew.
        for round in 0..3u32 {
            for i in 0..5u32 {
                queue.push_back(numbered(10 * round + i)?);
                assert_eq!(queue.len(), i as usize + 1);
            }
            for i in 0..5u32 {
                let number = 10 * round + i;
                assert_eq!(queue.front().map(SkBuff::cb::<u32>), Some(number));
                let skb = queue.pop_front();
                assert_eq!(skb.as_ref().map(SkBuff::cb::<u32>), Some(number));
                assert_eq!(frees(|| drop(skb)), 1);
            }
            assert!(queue.is_empty());
            assert!(queue.pop_front().is_none());
        }

        Ok(())
    }

    #[test]
    fn queue_owns_its_packets() -> Result {
        let mut queue = Queue::new();
        for i in 0..4 {
            queue.push_back(numbered(i)?);
        }
        let first = queue.pop_front();
        // Goes to the end, without taking the others with it.
        if let Some(first) = first {
            assert_eq!(frees(|| queue.push_back(first)), 0);
        }
        assert_eq!(queue.len(), 4);
        assert_eq!(frees(|| queue.purge(DropReason::QueuePurge)), 4);
        assert!(queue.is_empty());

        queue.push_back(numbered(7)?);
        queue.push_back(numbered(8)?);
        assert_eq!(frees(|| drop(queue)), 2);

        Ok(())
    }

    #[test]
    fn popped_packet_is_alone() -> Result {
        let mut queue = Queue::new();
        queue.push_back(numbered(1)?);
        queue.push_back(numbered(2)?);

        let first = queue.pop_front();
        assert_eq!(frees(|| drop(first)), 1);
        assert_eq!(queue.front().map(SkBuff::cb::<u32>), Some(2));

        Ok(())
    }

    #[test]
    fn linear_part_is_limited() -> Result {
        let mut skb = alloc(128)?;
        assert!(skb.is_empty());
        assert_eq!(skb.pieces().count(), 0);

        skb.put(100)?;
        assert_eq!((skb.len(), skb.headlen(), skb.nr_frags()), (100, 100, 0));
        assert!(skb.linear().iter().all(|&byte| byte == 0));
        assert_eq!(skb.put(1 << 20), Err(ENOSPC));
        assert_eq!(skb.put(usize::MAX), Err(ENOSPC));
        assert_eq!(skb.len(), 100);

        skb.linear_mut().fill(7);
        skb.put(1)?;
        assert_eq!(skb.linear().first(), Some(&7));
        assert_eq!(skb.linear().last(), Some(&0));

        Ok(())
    }

    #[test]
    fn fragments_begin_where_they_should() -> Result {
        let mut pool = PagePool::new(8, 3)?;
        let mut skb = alloc(64)?;
        let whole = 8 * PAGE_SIZE;

        assert_eq!(pool.frag_max(), whole);
        assert_eq!(skb.add_pool_frag(&mut pool, 1, whole), Err(EINVAL));
        assert_eq!(skb.add_pool_frag(&mut pool, usize::MAX, 1), Err(EINVAL));
        // A small one that leaves the next in the middle of a page, unless that has its own.
        skb.add_pool_frag(&mut pool, 0, 100)?;
        skb.add_pool_frag(&mut pool, 70, whole - 70)?;
        skb.add_pool_frag(&mut pool, PAGE_SIZE - 1, 2)?;

        let places: [_; 3] = [(0, 100), (70, whole - 70), (PAGE_SIZE - 1, 2)];
        let mut pieces = skb.pieces();
        for (position, len) in places {
            let piece = pieces.next().ok_or(EINVAL)?;
            assert_eq!(piece.len(), len);
            assert_eq!(piece.addr().addr().get() % PAGE_SIZE, position);
        }
        assert!(skb.truesize() >= 2 * whole);
        Ok(())
    }

    #[test]
    fn fragments_are_limited() -> Result {
        let mut pool = PagePool::new(32, 0)?;
        let mut skb = alloc(64)?;

        assert_eq!(pool.frag_max(), PAGE_SIZE);
        assert_eq!(skb.add_pool_frag(&mut pool, 0, 0), Err(EINVAL));
        assert_eq!(skb.add_pool_frag(&mut pool, 0, PAGE_SIZE + 1), Err(EINVAL));
        assert_eq!(skb.nr_frags(), 0);

        for i in 0..MAX_FRAGS {
            assert_eq!(skb.nr_frags(), i);
            skb.add_pool_frag(&mut pool, 0, PAGE_SIZE)?;
        }
        assert_eq!(skb.add_pool_frag(&mut pool, 0, 1), Err(ENOSPC));
        assert_eq!(skb.len(), MAX_FRAGS * PAGE_SIZE);
        assert_eq!(skb.headlen(), 0);
        assert!(skb.truesize() >= MAX_FRAGS * PAGE_SIZE);
        assert_eq!(skb.put(1), Err(ENOSPC));

        // The memory may come back after the pool is gone.
        drop(pool);
        assert_eq!(frees(|| drop(skb)), 1);

        Ok(())
    }

    #[test]
    fn fragments_do_not_overlap() -> Result {
        let mut pool = PagePool::new(32, 0)?;
        let mut one = filled(&mut pool, 0, &[700, 900, 1300], 1)?;
        let two = filled(&mut pool, 0, &[1000, 4096, 1], 101)?;

        assert!(counts_from(&one, 1));
        assert!(counts_from(&two, 101));
        one.make_linear(2900)?;
        assert!(counts_from(&one, 1));
        assert!(counts_from(&two, 101));

        Ok(())
    }

    #[test]
    fn pool_of_larger_pages() -> Result {
        let mut pool = PagePool::new(32, 3)?;
        let skb = filled(&mut pool, 14, &[8 * PAGE_SIZE, 3 * PAGE_SIZE], 0)?;

        assert_eq!(pool.frag_max(), 8 * PAGE_SIZE);
        assert_eq!(skb.pieces().count(), 3);
        assert!(counts_from(&skb, 0));
        assert!(PagePool::new(32, 60).is_err());
        assert!(PagePool::new(32, 64).is_err());

        Ok(())
    }

    #[test]
    fn pieces_are_the_packet() -> Result {
        let mut pool = PagePool::new(32, 0)?;
        let mut skb = filled(&mut pool, 60, &[500, 3000], 3)?;
        let mut lens = [0; 4];

        for (len, piece) in lens.iter_mut().zip(skb.pieces()) {
            *len = piece.len();
        }
        assert_eq!(lens, [60, 500, 3000, 0]);
        assert!(counts_from(&skb, 3));

        let mut bytes = [0; 100];
        skb.copy_bits(20, &mut bytes)?;
        assert!((23..123).eq(bytes));
        assert_eq!(skb.copy_bits(3500, &mut bytes), Err(EFAULT));
        assert_eq!(skb.copy_bits(usize::MAX, &mut bytes), Err(EFAULT));

        assert_eq!(skb.make_linear(3561), Err(ENOSPC));
        // As pktgen has another reference.
        let mut skb = skb.into_skb();
        skb.fields_mut().users.refs.counter = 2;
        assert_eq!(skb.make_linear(200), Err(EBUSY));
        skb.fields_mut().users.refs.counter = 1;
        skb.make_linear(200)?;
        assert!(skb.headlen() >= 200);
        assert!((3..203).eq(skb.linear().iter().copied().take(200)));
        skb.make_linear(3560)?;
        assert_eq!((skb.headlen(), skb.nr_frags()), (3560, 0));
        assert_eq!(skb.pieces().count(), 1);
        assert!(counts_from(&skb, 3));

        Ok(())
    }

    #[test]
    fn pieces_of_a_list() -> Result {
        let mut pool = PagePool::new(32, 0)?;
        let mut skb = filled(&mut pool, 10, &[20], 0)?.into_skb();
        let mut second = alloc(64)?.into_skb();
        let third = filled(&mut pool, 30, &[40, 50], 30)?.into_skb();

        second.fields_mut().__bindgen_anon_1.__bindgen_anon_1.next = third.as_raw();
        let len = third.len() as u32;
        set_frag_list(&mut skb, second);
        let fields = skb.fields_mut();
        fields.len += len;
        fields.data_len += len;
        // It belongs to the list now.
        let _ = third.into_raw();

        let mut lens = [0; 6];
        for (len, piece) in lens.iter_mut().zip(skb.pieces()) {
            *len = piece.len();
        }
        assert_eq!(lens, [10, 20, 30, 40, 50, 0]);
        assert!(counts_from(&skb, 0));

        skb.flatten()?;
        assert_eq!(skb.headlen(), 10);
        assert_eq!(frees(|| drop(skb)), 3);

        Ok(())
    }

    #[test]
    fn nested_lists_are_flattened() -> Result {
        let mut pool = PagePool::new(32, 0)?;
        let mut skb = filled(&mut pool, 10, &[20], 0)?.into_skb();
        let mut middle = filled(&mut pool, 30, &[], 30)?.into_skb();
        let inner = filled(&mut pool, 40, &[50], 60)?.into_skb();

        set_frag_list(&mut middle, inner);
        set_frag_list(&mut skb, middle);
        assert_eq!(skb.len(), 150);
        assert!(!counts_from(&skb, 0));

        skb.flatten()?;
        assert_eq!((skb.len(), skb.headlen()), (150, 150));
        assert!(counts_from(&skb, 0));

        Ok(())
    }

    /// XSA-392 (CVE-2021-28715): what a packet counts for is not less than what it takes, so that a bound on the one
    /// is one on the other. TCP has pure acknowledgements count for two bytes.
    ///
    /// Fails when `truesize` is what C says.
    #[test]
    fn memory_is_counted_whatever_the_stack_says() -> Result {
        let mut pool = PagePool::new(32, 0)?;
        let mut skb = filled(&mut pool, 10, &[2000], 0)?.into_skb();
        let said = skb.truesize();
        assert_eq!(said, u32_as_usize(skb.fields().truesize));
        assert!(said > 2000 + 64);

        skb.fields_mut().truesize = 2;
        let counted = skb.truesize();
        assert!(counted > 2000 + size_of::<bindings::sk_buff>() && counted <= said);

        Ok(())
    }

    #[test]
    fn description() -> Result {
        let mut skb = alloc(64)?.into_skb();

        assert_eq!(skb.checksum(), Checksum::None);
        assert_eq!(skb.gso(), None);
        assert_eq!(skb.hash(), None);
        assert_eq!(skb.transport_offset(), None);
        assert_eq!(skb.protocol(), 0);

        let hash = Hash {
            value: 0x1234_5678,
            l4: true,
        };
        skb.set_hash(hash);
        assert_eq!(skb.hash(), Some(hash));

        skb.set_cb([5u8; 48]);
        assert_eq!(skb.cb::<[u8; 48]>(), [5; 48]);
        assert_eq!(skb.cb::<u32>(), 0x0505_0505);

        Ok(())
    }
}
