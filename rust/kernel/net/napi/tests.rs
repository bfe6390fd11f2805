// SPDX-License-Identifier: GPL-2.0

//! Tests of polling, which take a device of their own.

use crate::prelude::kunit_tests;

#[kunit_tests(xen_netback_rs_napi)]
mod cases {
    use crate::{
        bindings,
        net::{
            napi::{
                completed,
                Context,
                Instance,
                Napi,
                Poller,
                Progress, //
            },
            netdevice::tests::cases::{
                parent,
                record,
                register, //
            },
            page_pool::PagePool,
            skbuff::{
                Checksum,
                Gso,
                GsoKind,
                Unshared, //
            }, //
        },
        prelude::*,
        sync::{
            atomic::{
                Atomic,
                Relaxed, //
            },
            wait::WaitQueue,
            Arc, //
        },
        time::msecs_to_jiffies,
    };

    /// Counts polls.
    #[pin_data]
    struct Polls {
        #[pin]
        queue: WaitQueue,
        count: Atomic<usize>,
    }

    impl Polls {
        fn new() -> Result<Arc<Self>> {
            Arc::pin_init(
                pin_init!(Self {
                    queue <- WaitQueue::new(),
                    count: Atomic::new(0),
                }),
                GFP_KERNEL,
            )
        }

        fn count(&self) -> usize {
            self.count.fetch_add(1, Relaxed)
        }

        fn wake_after(&self) {
            self.queue.wake();
        }

        fn reaches(&self, count: usize, msecs: u32) -> bool {
            self.queue.wait_timeout(msecs_to_jiffies(msecs), || {
                self.count.load(Relaxed) >= count
            })
        }
    }

    /// Polls as it is told, one poll after the other.
    struct Script {
        polls: Arc<Polls>,
        plan: &'static [Progress],
        /// What to schedule in the first poll.
        again: Option<Arc<Napi<Script>>>,
    }

    impl Poller for Script {
        fn poll(&mut self, cx: &mut Context<'_>) -> Progress {
            let index = self.polls.count();
            if let Some(napi) = self.again.take() {
                napi.schedule();
            }
            let progress = self.plan.get(index).copied().unwrap_or(Progress::Idle(0));
            self.polls.wake_after();
            // The budget is never used up by accident.
            match progress {
                Progress::Idle(usize::MAX) => Progress::Idle(cx.budget()),
                progress => progress,
            }
        }
    }

    #[test]
    fn end_is_less_than_the_budget() {
        assert_eq!(completed(0, 64), 0);
        assert_eq!(completed(63, 64), 63);
        assert_eq!(completed(64, 64), 63);
        assert_eq!(completed(usize::MAX, 64), 63);
        assert_eq!(completed(1, 1), 0);
    }

    #[test]
    fn polls_when_scheduled() -> Result {
        let (parent, record, polls) = (parent()?, record()?, Polls::new()?);
        let dev = register(&parent, c"xnbtest%d", &record)?;
        let mut instance = Instance::<Script>::new(&dev)?;
        let napi = instance.handle();
        let script = || Script {
            polls: polls.clone(),
            plan: &[],
            again: None,
        };

        assert!(!instance.is_enabled());
        assert!(instance.disable().is_none());
        assert!(instance.enable(script()).is_none());
        assert!(instance.is_enabled());
        assert!(!polls.reaches(1, 50));
        napi.schedule_from_thread();
        assert!(polls.reaches(1, 5000));
        assert!(!polls.reaches(2, 50));
        napi.schedule_from_thread();
        assert!(polls.reaches(2, 5000));

        assert!(instance.enable(script()).is_some());
        napi.schedule_from_thread();
        assert!(polls.reaches(3, 5000));

        assert!(instance.disable().is_some());
        napi.schedule_from_thread();
        assert!(!polls.reaches(4, 50));

        drop(instance);
        drop(dev);
        // Nothing is left to be polled.
        napi.schedule_from_thread();
        assert!(!polls.reaches(4, 50));

        Ok(())
    }

    #[test]
    fn disabled_is_not_polled() -> Result {
        let (parent, record, polls) = (parent()?, record()?, Polls::new()?);
        let dev = register(&parent, c"xnbtest%d", &record)?;
        let mut instance = Instance::<Script>::new(&dev)?;
        let napi = instance.handle();

        napi.schedule_from_thread();
        assert!(!polls.reaches(1, 50));

        // What was missed by then does not make it be polled either.
        instance.enable(Script {
            polls: polls.clone(),
            plan: &[],
            again: None,
        });
        assert!(!polls.reaches(1, 50));
        napi.schedule_from_thread();
        assert!(polls.reaches(1, 5000));

        Ok(())
    }

    #[test]
    fn polls_until_idle() -> Result {
        let (parent, record, polls) = (parent()?, record()?, Polls::new()?);
        let dev = register(&parent, c"xnbtest%d", &record)?;
        let mut instance = Instance::<Script>::new(&dev)?;

        instance.enable(Script {
            polls: polls.clone(),
            plan: &[Progress::More, Progress::More, Progress::Idle(usize::MAX)],
            again: None,
        });
        instance.handle().schedule_from_thread();
        assert!(polls.reaches(3, 5000));
        assert!(!polls.reaches(4, 50));
        instance.handle().schedule_from_thread();
        assert!(polls.reaches(4, 5000));

        Ok(())
    }

    #[test]
    fn scheduled_while_polling() -> Result {
        let (parent, record, polls) = (parent()?, record()?, Polls::new()?);
        let dev = register(&parent, c"xnbtest%d", &record)?;
        let mut instance = Instance::<Script>::new(&dev)?;
        let napi = instance.handle();

        instance.enable(Script {
            polls: polls.clone(),
            plan: &[],
            again: Some(napi.clone()),
        });
        napi.schedule_from_thread();
        assert!(polls.reaches(2, 5000));
        assert!(!polls.reaches(3, 50));

        Ok(())
    }

    /// Receives packets, and keeps the line of the first check that fails.
    struct Receiver {
        polls: Arc<Polls>,
        failed: Arc<Atomic<u32>>,
        pool: PagePool,
    }

    /// An Ethernet, an IPv4 and a TCP header.
    const HEADERS: [u8; 54] = [
        2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, // Ethernet
        0x45, 0, 0, 140, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
        0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0, // TCP
    ];

    /// The checksum over the pseudo header of such a packet: 2 * 10.0.0.x, protocol 6, 120 bytes.
    const PSEUDO: u16 = 0x0a00 + 0x0a00 + 3 + 6 + 120;

    impl Receiver {
        /// Makes a packet of headers with `tags` VLAN tags, which are linear up to the end of IP's, and 100
        /// bytes more.
        fn packet(&mut self, cx: &mut Context<'_>, tags: usize) -> Result<Unshared> {
            let mut skb = cx.alloc_skb(64)?;
            skb.put(34 + 4 * tags)?;
            skb.add_pool_frag(&mut self.pool, 0, 120)?;
            let (addresses, rest) = HEADERS.split_at(12);
            let tagged = core::iter::repeat_n([0x81, 0, 0, 7], tags).flatten();
            let tagged = Iterator::chain(addresses.iter().copied(), tagged);
            let mut bytes = Iterator::chain(tagged, rest.iter().copied());
            for piece in skb.pieces_mut() {
                for i in 0..piece.len() {
                    // SAFETY: The piece may be written to, and has more bytes than `i`.
                    unsafe { piece.addr().add(i).write(bytes.next().unwrap_or(0)) };
                }
            }
            Ok(skb)
        }

        /// Partial checksums behind VLAN tags.
        fn receive_tagged(&mut self, cx: &mut Context<'_>) -> Result<(), u32> {
            let check = |good: bool, line: u32| if good { Ok(()) } else { Err(line) };

            for tags in 1..=3 {
                for recalculate in [false, true] {
                    let skb = self.packet(cx, tags).map_err(|_| line!())?;
                    let mut frame = cx.frame(skb).map_err(|_| line!())?;
                    let known = frame.setup_partial_checksum(recalculate).is_ok();
                    check(known == (tags <= 2), line!())?;
                    let partial = frame.checksum() == Checksum::Partial;
                    check(partial == known, line!())?;

                    // The packet starts with its first tag, as before.
                    check(frame.len() == 140 + 4 * tags, line!())?;
                    check(frame.protocol() == 0x8100, line!())?;
                    check(frame.linear().starts_with(&[0, 7]), line!())?;
                    let offset = known.then_some(4 * tags + 20);
                    check(frame.transport_offset() == offset, line!())?;
                    let mut sum = [0; 2];
                    let at = 4 * tags + 36;
                    frame.copy_bits(at, &mut sum).map_err(|_| line!())?;
                    let pseudo = if recalculate && known { PSEUDO } else { 0 };
                    check(u16::from_be_bytes(sum) == pseudo, line!())?;
                    cx.gro_receive(frame);
                }
            }

            Ok(())
        }

        fn receive(&mut self, cx: &mut Context<'_>) -> Result<(), u32> {
            let check = |good: bool, line: u32| if good { Ok(()) } else { Err(line) };
            let gso = |size| Gso {
                kind: GsoKind::TcpV4,
                size,
            };

            check(cx.alloc_skb(1 << 20).err() == Some(EINVAL), line!())?;

            let mut runt = cx.alloc_skb(64).map_err(|_| line!())?;
            runt.put(13).map_err(|_| line!())?;
            check(cx.frame(runt).err() == Some(ENOSPC), line!())?;

            let skb = self.packet(cx, 0).map_err(|_| line!())?;
            let mut frame = cx.frame(skb).map_err(|_| line!())?;
            check(frame.len() == 140, line!())?;
            check(frame.protocol() == 0x0800, line!())?;
            check(frame.linear().first() == Some(&0x45), line!())?;
            check(frame.transport_offset().is_none(), line!())?;
            check(frame.set_gso(gso(0), 0) == Err(EINVAL), line!())?;
            check(frame.gso().is_none(), line!())?;
            check(frame.set_gso(gso(50), 2) == Ok(()), line!())?;
            check(frame.gso() == Some(gso(50)), line!())?;
            check(frame.checksum() == Checksum::None, line!())?;
            check(frame.setup_partial_checksum(true) == Ok(()), line!())?;
            check(frame.checksum() == Checksum::Partial, line!())?;
            check(frame.transport_offset() == Some(20), line!())?;
            let mut sum = [0; 2];
            frame.copy_bits(36, &mut sum).map_err(|_| line!())?;
            check(u16::from_be_bytes(sum) == PSEUDO, line!())?;
            cx.gro_receive(frame);

            // No checksum can be completed in what is not understood.
            let mut skb = self.packet(cx, 0).map_err(|_| line!())?;
            if let Some(byte) = skb.linear_mut().get_mut(12) {
                *byte = 0x88;
            }
            let mut frame = cx.frame(skb).map_err(|_| line!())?;
            check(frame.setup_partial_checksum(true).is_err(), line!())?;
            check(frame.checksum() == Checksum::None, line!())?;
            frame.set_checksum_valid();
            check(frame.checksum() == Checksum::Unnecessary, line!())?;
            cx.gro_receive(frame);

            Ok(())
        }
    }

    impl Poller for Receiver {
        fn poll(&mut self, cx: &mut Context<'_>) -> Progress {
            let result = self.receive(cx).and_then(|()| self.receive_tagged(cx));
            self.failed.store(result.err().unwrap_or(0), Relaxed);
            self.polls.count();
            self.polls.wake_after();
            Progress::Idle(2)
        }
    }

    #[test]
    fn receives_frames() -> Result {
        let (parent, record, polls) = (parent()?, record()?, Polls::new()?);
        let dev = register(&parent, c"xnbtest%d", &record)?;
        let mut instance = Instance::<Receiver>::new(&dev)?;
        let failed = Arc::new(Atomic::new(u32::MAX), GFP_KERNEL)?;

        instance.enable(Receiver {
            polls: polls.clone(),
            failed: failed.clone(),
            pool: PagePool::new(32, 0)?,
        });
        instance.handle().schedule_from_thread();
        assert!(polls.reaches(1, 5000));
        assert_eq!(failed.load(Relaxed), 0);

        // Waits for the end of the poll, and with it for the delivery.
        drop(instance);
        let mut stats: bindings::rtnl_link_stats64 = pin_init::zeroed();
        // SAFETY: The device is registered; the statistics are valid for writing.
        unsafe { bindings::dev_get_stats(dev.as_raw(), &mut stats) };
        // Nobody takes the protocol of the second packet, beyond the 7 that the device reports.
        assert!(stats.rx_dropped + stats.rx_nohandler > 7);

        Ok(())
    }
}
