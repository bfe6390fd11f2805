// SPDX-License-Identifier: GPL-2.0

//! Tests of the backend's end of a ring, with a frontend on the same page.

use crate::prelude::kunit_tests;

#[kunit_tests(xen_netback_rs_ring)]
mod cases {
    use core::cell::UnsafeCell;

    use crate::{
        prelude::*,
        xen::{
            netif::{
                Control,
                ControlResponse,
                Rx,
                Tx,
                TxEntry,
                TxReply, //
            },
            ring::{
                self,
                BackRing,
                Overflow, //
            },
            PAGE_SIZE, //
        }, //
    };

    const SLOTS: u32 = ring::slots::<Tx>();

    const REQ_PROD: usize = 0;
    const REQ_EVENT: usize = 1;
    const RSP_PROD: usize = 2;
    const RSP_EVENT: usize = 3;
    /// Where the slots begin, and the length of one, in words.
    const FIRST: usize = 16;
    const SLOT: usize = 3;

    /// What both ends write, by address.
    #[repr(C, align(4096))]
    struct Words(UnsafeCell<[u32; PAGE_SIZE / 4]>);

    /// The page, as the frontend sees it.
    struct Shared(KBox<Words>);

    impl Shared {
        fn new() -> Result<Self> {
            let words = Words(UnsafeCell::new([0; PAGE_SIZE / 4]));
            let this = Self(KBox::new(words, GFP_KERNEL)?);
            this.set(REQ_EVENT, 1);
            this.set(RSP_EVENT, 1);
            Ok(this)
        }

        fn word(&self, index: usize) -> *mut u32 {
            assert!(index < PAGE_SIZE / 4);
            self.0 .0.get().cast::<u32>().wrapping_add(index)
        }

        fn get(&self, index: usize) -> u32 {
            // SAFETY: `word()` returns an aligned address in the page.
            unsafe { self.word(index).read_volatile() }
        }

        fn set(&self, index: usize, value: u32) {
            // SAFETY: `word()` returns an aligned address in the page.
            unsafe { self.word(index).write_volatile(value) };
        }

        fn slot(index: u32) -> usize {
            FIRST + (index % SLOTS) as usize * SLOT
        }
    }

    // SAFETY: The words are as large and as aligned as a page, and stay in their box as long as they are
    // borrowed.
    unsafe impl ring::Page for &Shared {
        fn as_ptr(&self) -> *mut c_void {
            self.0 .0.get().cast()
        }
    }

    fn attach(shared: &Shared) -> Result<BackRing<Tx, &Shared>> {
        BackRing::attach(shared)
    }

    /// Puts `count` requests, numbered from the ring's position.
    fn post(shared: &Shared, count: u32) {
        let prod = shared.get(REQ_PROD);
        for index in (0..count).map(|i| prod.wrapping_add(i)) {
            shared.set(Shared::slot(index), index);
        }
        shared.set(REQ_PROD, prod.wrapping_add(count));
    }

    fn number(entry: TxEntry) -> u32 {
        let [a, b, c, d, ..] = entry.bytes();
        u32::from_ne_bytes([a, b, c, d])
    }

    #[test]
    fn requests_and_responses_in_order_over_the_wrap() -> Result {
        let shared = Shared::new()?;
        // Both the slots and the indices wrap around.
        let start = 0u32.wrapping_sub(2 * SLOTS + 3);
        shared.set(REQ_PROD, start);
        shared.set(RSP_PROD, start);
        let mut ring = attach(&shared)?;

        let mut next = start;
        for count in [1, SLOTS, 7, SLOTS, SLOTS - 1, 2] {
            post(&shared, count);
            assert_eq!(ring.unconsumed(), Ok(count));
            for _ in 0..count {
                assert_eq!(number(ring.peek(0)), next);
                assert_eq!(number(ring.take()), next);
                next = next.wrapping_add(1);
            }
            assert_eq!(ring.unconsumed(), Ok(0));
            assert_eq!(ring.owed(), count);
            for i in 0..count {
                ring.respond(TxReply([i as u8; 4]));
            }
            assert_eq!(ring.owed(), 0);
            // Nothing is visible before it is published.
            assert_eq!(shared.get(RSP_PROD), next.wrapping_sub(count));
            let _ = ring.publish();
            assert_eq!(shared.get(RSP_PROD), next);
            for i in 0..count {
                let index = next.wrapping_sub(count).wrapping_add(i);
                let slot = shared.get(Shared::slot(index));
                assert_eq!(slot, u32::from_ne_bytes([i as u8; 4]));
            }
        }
        Ok(())
    }

    #[test]
    fn claims_beyond_the_ring_are_an_overflow() -> Result {
        for (req_prod, expected) in [
            (SLOTS, Ok(SLOTS)),
            (SLOTS + 1, Err(Overflow)),
            (1 << 31, Err(Overflow)),
            (0u32.wrapping_sub(1), Err(Overflow)),
        ] {
            let shared = Shared::new()?;
            let ring = attach(&shared)?;
            shared.set(REQ_PROD, req_prod);
            assert_eq!(ring.unconsumed(), expected);
        }
        Ok(())
    }

    #[test]
    fn going_back_is_an_overflow() -> Result {
        let shared = Shared::new()?;
        let mut ring = attach(&shared)?;
        post(&shared, 5);
        ring.consume(5);
        shared.set(REQ_PROD, 4);
        assert_eq!(ring.unconsumed(), Err(Overflow));
        assert_eq!(ring.request_event(1), Err(Overflow));
        Ok(())
    }

    #[test]
    fn unanswered_requests_take_room() -> Result {
        let shared = Shared::new()?;
        let mut ring = attach(&shared)?;
        post(&shared, SLOTS);
        ring.consume(10);
        // As long as they are not answered, no slot is free for more.
        post(&shared, 1);
        assert_eq!(ring.unconsumed(), Err(Overflow));
        Ok(())
    }

    #[test]
    fn attaches_where_an_earlier_backend_left_off() -> Result {
        let shared = Shared::new()?;
        shared.set(RSP_PROD, 100);
        shared.set(REQ_PROD, 103);
        shared.set(Shared::slot(100), 4711);
        let mut ring = attach(&shared)?;
        assert_eq!(ring.unconsumed(), Ok(3));
        assert_eq!(number(ring.take()), 4711);

        shared.set(REQ_PROD, 100 + SLOTS + 1);
        assert_eq!(attach(&shared).err(), Some(EIO));
        Ok(())
    }

    #[test]
    fn events_are_asked_for_once_needed() -> Result {
        let shared = Shared::new()?;
        let mut ring = attach(&shared)?;
        assert_eq!(ring.request_event(3), Ok(false));
        assert_eq!(shared.get(REQ_EVENT), 3);
        post(&shared, 2);
        assert_eq!(ring.request_event(3), Ok(false));
        post(&shared, 1);
        assert_eq!(ring.request_event(3), Ok(true));
        ring.consume(3);
        assert_eq!(ring.request_event(1), Ok(false));
        assert_eq!(shared.get(REQ_EVENT), 4);
        Ok(())
    }

    #[test]
    fn notifies_if_and_only_if_asked() -> Result {
        let shared = Shared::new()?;
        let mut ring = attach(&shared)?;
        post(&shared, 10);
        ring.consume(10);
        let mut respond = |count| {
            for _ in 0..count {
                ring.respond(TxReply([0; 4]));
            }
            ring.publish()
        };
        // Wants the first one.
        assert!(respond(1));
        // Has had it, and asked for none since.
        assert!(!respond(2));
        shared.set(RSP_EVENT, 6);
        assert!(!respond(2));
        assert!(respond(3));
        assert!(!respond(1));
        // Nothing new is nothing to tell.
        shared.set(RSP_EVENT, 9);
        assert!(!respond(0));
        Ok(())
    }

    #[test]
    fn a_response_needs_a_request() -> Result {
        let shared = Shared::new()?;
        let mut ring = attach(&shared)?;
        post(&shared, 1);
        shared.set(Shared::slot(1), 99);
        ring.consume(1);
        ring.respond(TxReply([1; 4]));
        ring.respond(TxReply([2; 4]));
        assert_eq!(ring.owed(), 0);
        let _ = ring.publish();
        assert_eq!(shared.get(RSP_PROD), 1);
        assert_eq!(shared.get(Shared::slot(1)), 99);
        Ok(())
    }

    /// A ring of fewer and larger slots, of which a response leaves the end as it was.
    #[test]
    fn slots_of_another_size() -> Result {
        assert_eq!(ring::slots::<Tx>(), 256);
        assert_eq!(ring::slots::<Rx>(), 256);
        assert_eq!(ring::slots::<Control>(), 128);

        let word = |index: u32, word: usize| FIRST + (index % 128) as usize * 4 + word;
        let shared = Shared::new()?;
        let mut ring = BackRing::<Control, &Shared>::attach(&shared)?;
        for round in 0..3 {
            for index in (0..128).map(|i| round * 128 + i) {
                for i in 0..4 {
                    shared.set(word(index, i), index + i as u32);
                }
            }
            shared.set(REQ_PROD, (round + 1) * 128 + 1);
            assert_eq!(ring.unconsumed(), Err(Overflow));
            shared.set(REQ_PROD, (round + 1) * 128);
            assert_eq!(ring.unconsumed(), Ok(128));
            for index in (0..128).map(|i| round * 128 + i) {
                let words = [0, 1, 2, 3].map(|i| (index + i).to_ne_bytes());
                assert_eq!(ring.take().0.as_slice(), words.as_flattened());
                ring.respond(ControlResponse([0xa5; 12]));
            }
            let _ = ring.publish();
            for index in (0..128).map(|i| round * 128 + i) {
                let found = [0, 1, 2, 3].map(|i| shared.get(word(index, i)));
                assert_eq!(found, [0xa5a5_a5a5, 0xa5a5_a5a5, 0xa5a5_a5a5, index + 3]);
            }
        }
        Ok(())
    }
}
