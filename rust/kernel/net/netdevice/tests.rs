// SPDX-License-Identifier: GPL-2.0

//! Tests of network devices, which take a device of their own.

use crate::prelude::kunit_tests;

#[kunit_tests(xen_netback_rs_netdevice)]
pub(in crate::net) mod cases {
    use crate::{
        bindings, bottom_half, device,
        error::to_result,
        faux, kthread,
        module::this_module,
        net::{
            ethtool,
            netdevice::{
                callbacks,
                private_data,
                Config,
                Device,
                Features,
                Operations,
                Registration,
                Selection,
                TxOutcome, //
            },
            rtnl,
            skbuff::{
                tests::cases::{
                    alloc,
                    frees, //
                },
                SkBuff, //
            },
            stats::{
                self,
                QueueStats,
                RxQueueStats,
                Stats64,
                TxQueueStats, //
            },
        },
        prelude::*,
        str::CString,
        sync::{
            aref::ARef,
            atomic::{
                Atomic,
                Relaxed, //
            },
            Arc, //
        },
        LocalModule,
    };

    /// What [`Operations::start_xmit`] does.
    const CONSUME: u32 = 0;
    const GIVE_BACK: u32 = 1;
    const GIVE_BACK_OTHER: u32 = 2;

    /// An MTU which is refused.
    const BAD_MTU: u32 = 777;

    /// What was done with a [`Probe`].
    pub(in crate::net) struct Record {
        opens: Atomic<u32>,
        stops: Atomic<u32>,
        drops: Atomic<u32>,
        mtu: Atomic<u32>,
        how: Atomic<u32>,
    }

    /// The private data of a device for tests.
    pub(in crate::net) struct Probe(Arc<Record>);

    impl Drop for Probe {
        fn drop(&mut self) {
            self.0.drops.add(1, Relaxed);
        }
    }

    #[vtable]
    impl Operations for Probe {
        const STAT_NAMES: &'static [&'static CStr] =
            &[c"first", c"second", c"a_name_which_is_longer_than_a_field"];
        const QUEUE_STAT_NAMES: &'static [&'static CStr] = &[c"more", c"less"];
        const RING_SLOTS: u32 = 99;

        fn open(dev: &Device<Self>, _rtnl: &rtnl::Guard) -> Result {
            dev.data().0.opens.add(1, Relaxed);
            dev.start_all_queues();
            Ok(())
        }

        fn stop(dev: &Device<Self>, _rtnl: &rtnl::Guard) {
            dev.stop_all_queues();
            dev.data().0.stops.add(1, Relaxed);
        }

        fn start_xmit(dev: &Device<Self>, skb: SkBuff) -> TxOutcome {
            match dev.data().0.how.load(Relaxed) {
                GIVE_BACK => TxOutcome::Busy(skb),
                GIVE_BACK_OTHER => match alloc(64) {
                    Ok(other) => TxOutcome::Busy(other.into_skb()),
                    Err(_) => TxOutcome::Ok,
                },
                _ => {
                    skb.consume_any();
                    TxOutcome::Ok
                }
            }
        }

        fn select_queue(_dev: &Device<Self>, skb: &SkBuff) -> Selection {
            match skb.len() {
                0 => Selection::Default,
                _ => Selection::Queue(2),
            }
        }

        fn stats64(_dev: &Device<Self>) -> Stats64 {
            Stats64 {
                rx_packets: 1,
                tx_packets: 2,
                rx_bytes: 3,
                tx_bytes: 4,
                rx_errors: 5,
                tx_errors: 6,
                rx_dropped: 7,
                tx_dropped: 8,
            }
        }

        fn change_mtu(dev: &Device<Self>, mtu: u32) -> Result {
            if mtu == BAD_MTU {
                return Err(EBUSY);
            }
            dev.data().0.mtu.store(mtu, Relaxed);
            Ok(())
        }

        fn fix_features(_dev: &Device<Self>, features: Features) -> Features {
            features & !Features::TSO
        }

        fn ethtool_stats(_dev: &Device<Self>, out: &mut [u64]) {
            for (value, out) in (10..).zip(out) {
                *out = value;
            }
        }

        fn steering_size(_dev: &Device<Self>) -> ethtool::SteeringSize {
            ethtool::SteeringSize { key: 3, table: 2 }
        }

        fn steering(
            _dev: &Device<Self>,
            table: &mut [u32],
            key: &mut [u8],
        ) -> ethtool::HashFunction {
            for (number, entry) in (70..).zip(table) {
                *entry = number;
            }
            key.fill(0xab);
            ethtool::HashFunction::Toeplitz
        }

        fn ethtool_queue_stats(_dev: &Device<Self>, queue: u16, out: &mut [u64]) {
            for (value, out) in (100..).zip(out) {
                *out = value + u64::from(queue);
            }
        }

        fn queue_stats(_dev: &Device<Self>, queue: u16) -> QueueStats {
            let unit = u64::from(queue) + 1;
            QueueStats {
                rx: RxQueueStats {
                    packets: unit,
                    bytes: 2 * unit,
                    dropped: 3 * unit,
                    alloc_failures: 4 * unit,
                },
                tx: TxQueueStats {
                    packets: 5 * unit,
                    bytes: 6 * unit,
                    dropped: 7 * unit,
                },
            }
        }
    }

    /// Creates the device that network devices belong to.
    pub(in crate::net) fn parent() -> Result<faux::Registration> {
        // A test that fails leaves its device behind.
        static NUMBER: Atomic<u32> = Atomic::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);

        faux::Registration::new(&CString::try_from_fmt(fmt!("xnbtest{number}"))?, None)
    }

    /// Registers a device for tests, with four queues.
    pub(in crate::net) fn register(
        parent: &faux::Registration,
        name: &CStr,
        record: &Arc<Record>,
    ) -> Result<Registration<Probe>> {
        let parent: &faux::Device<device::Bound> = parent.as_ref();
        let hw_features = Features::SG | Features::IP_CSUM | Features::TSO;

        Registration::new(
            &Config {
                name,
                queues: 4,
                parent: parent.as_ref(),
                address: [2, 0, 0, 0, 0, 1],
                min_mtu: 68,
                max_mtu: 9000,
                features: hw_features | Features::RXCSUM,
                hw_features,
            },
            Ok(Probe(record.clone())),
        )
    }

    pub(in crate::net) fn record() -> Result<Arc<Record>> {
        let record = Record {
            opens: Atomic::new(0),
            stops: Atomic::new(0),
            drops: Atomic::new(0),
            mtu: Atomic::new(0),
            how: Atomic::new(CONSUME),
        };

        Ok(Arc::new(record, GFP_KERNEL)?)
    }

    /// Reads the features of a device.
    fn features(dev: &Device<Probe>) -> Features {
        // SAFETY: The device is valid.
        Features(unsafe { (*dev.as_raw()).features })
    }

    /// Runs `f` as the stack runs the operations that send packets.
    fn without_bottom_halves<R>(f: impl FnOnce() -> R) -> R {
        let _disabled = bottom_half::disable();
        f()
    }

    #[test]
    fn private_data_is_where_c_has_it() -> Result {
        let (parent, record) = (parent()?, record()?);
        let dev = register(&parent, c"xnbtest%d", &record)?;

        // SAFETY: The device is valid.
        let expected = unsafe { bindings::netdev_priv(dev.as_raw()) };
        assert_eq!(private_data::<c_void>(dev.as_raw()), expected);
        assert_eq!(Arc::as_ptr(&dev.data().0), Arc::as_ptr(&record));

        Ok(())
    }

    #[test]
    fn life() -> Result {
        let (parent, record) = (parent()?, record()?);
        let dev = register(&parent, c"xnbtest%d", &record)?;

        assert!(dev.name().as_bytes().starts_with(b"xnbtest"));
        assert!(!dev.is_running());
        assert!(!dev.carrier_ok());
        dev.carrier_on();
        assert!(dev.carrier_ok());
        dev.carrier_off();
        assert!(!dev.carrier_ok());

        {
            let _rtnl = rtnl::lock();
            // SAFETY: The device is valid and the lock is held.
            to_result(unsafe { bindings::dev_open(dev.as_raw(), core::ptr::null_mut()) })?;
        }
        assert!(dev.is_running());
        assert_eq!(record.opens.load(Relaxed), 1);
        assert_eq!(record.stops.load(Relaxed), 0);

        drop(dev);
        assert_eq!(record.stops.load(Relaxed), 1);
        assert_eq!(record.drops.load(Relaxed), 1);

        Ok(())
    }

    #[test]
    fn refused() -> Result {
        let (parent, record) = (parent()?, record()?);
        let dev = register(&parent, c"xnbtest%d", &record)?;

        let name = CString::try_from_fmt(fmt!("{}", dev.name()))?;
        assert_eq!(register(&parent, &name, &record).err(), Some(EEXIST));
        assert_eq!(record.drops.load(Relaxed), 1);
        assert_eq!(
            register(&parent, c"a_name_that_is_long", &record).err(),
            Some(EINVAL)
        );
        assert_eq!(record.drops.load(Relaxed), 2);

        let parent: &faux::Device<device::Bound> = parent.as_ref();
        let config = Config {
            name: c"xnbtest%d",
            queues: 1,
            parent: parent.as_ref(),
            address: [2, 0, 0, 0, 0, 1],
            min_mtu: 68,
            max_mtu: 9000,
            features: Features::NONE,
            hw_features: Features::NONE,
        };
        assert_eq!(
            Registration::<Probe>::new(&config, Err::<Probe, Error>(EPROTO)).err(),
            Some(EPROTO)
        );
        assert_eq!(
            Registration::<Probe>::new(
                &Config {
                    queues: 0,
                    ..config
                },
                Err::<Probe, Error>(EPROTO)
            )
            .err(),
            Some(EINVAL)
        );

        drop(dev);
        assert_eq!(record.drops.load(Relaxed), 3);

        Ok(())
    }

    #[test]
    fn references_delay_the_end() -> Result {
        let (parent, record) = (parent()?, record()?);
        let dev = register(&parent, c"xnbtest%d", &record)?;
        let reference: ARef<Device<Probe>> = dev.device();

        let holder = kthread::spawn(this_module::<LocalModule>(), fmt!("xnb-test-{}", "dev"), {
            move |_| {
                crate::time::delay::fsleep(crate::time::Delta::from_millis(300));
                let drops = reference.data().0.drops.load(Relaxed);
                drop(reference);
                drops
            }
        })?;
        // Waits until the thread has dropped its reference.
        drop(dev);
        assert_eq!(record.drops.load(Relaxed), 1);
        assert_eq!(holder.stop().unwrap_or(0), 0);

        Ok(())
    }

    #[test]
    fn settings() -> Result {
        let (parent, record) = (parent()?, record()?);
        let dev = register(&parent, c"xnbtest%d", &record)?;
        let rtnl = rtnl::lock();

        assert_eq!((dev.max_queues(), dev.real_queues()), (4, 4));
        dev.set_real_queues(&rtnl, 2)?;
        assert_eq!(dev.real_queues(), 2);
        assert_eq!(dev.set_real_queues(&rtnl, 0), Err(EINVAL));
        assert_eq!(dev.set_real_queues(&rtnl, 5), Err(EINVAL));
        assert_eq!((dev.max_queues(), dev.real_queues()), (4, 2));

        assert_eq!(dev.mtu(), 1500);
        dev.set_mtu(&rtnl, 9000)?;
        assert_eq!((dev.mtu(), record.mtu.load(Relaxed)), (9000, 9000));
        assert_eq!(dev.set_mtu(&rtnl, 9001), Err(EINVAL));
        assert_eq!(dev.set_mtu(&rtnl, u32::MAX), Err(EINVAL));
        assert_eq!(dev.set_mtu(&rtnl, BAD_MTU), Err(EBUSY));
        assert_eq!((dev.mtu(), record.mtu.load(Relaxed)), (9000, 9000));

        dev.update_features(&rtnl);
        assert!(features(&dev).contains(Features::SG | Features::RXCSUM));
        assert!(!features(&dev).contains(Features::TSO));

        Ok(())
    }

    #[test]
    fn queues_stop_one_by_one() -> Result {
        let (parent, record) = (parent()?, record()?);
        let dev = register(&parent, c"xnbtest%d", &record)?;
        let stopped = |index| dev.tx_queue(index).map(|queue| queue.is_stopped());

        assert_eq!(stopped(4), None);
        assert_eq!(stopped(u16::MAX), None);
        dev.start_all_queues();
        if let Some(queue) = dev.tx_queue(3) {
            queue.stop();
        }
        assert_eq!((stopped(2), stopped(3)), (Some(false), Some(true)));
        if let Some(queue) = dev.tx_queue(3) {
            queue.wake();
        }
        assert_eq!((stopped(2), stopped(3)), (Some(false), Some(false)));
        dev.stop_all_queues();
        assert_eq!((stopped(0), stopped(3)), (Some(true), Some(true)));
        dev.wake_all_queues();
        assert_eq!((stopped(0), stopped(3)), (Some(false), Some(false)));

        Ok(())
    }

    #[test]
    fn packets_end_once() -> Result {
        let (parent, record) = (parent()?, record()?);
        let dev = register(&parent, c"xnbtest%d", &record)?;
        let Some(start_xmit) = callbacks::ops::<Probe>().ndo_start_xmit else {
            return Err(EINVAL);
        };
        let send = |skb: SkBuff| {
            let skb = skb.into_raw().as_ptr();
            // SAFETY: The device is registered, and the ownership of the buffer is passed.
            without_bottom_halves(|| unsafe { start_xmit(skb, dev.as_raw()) })
        };

        let mut status = 0;
        let skb = alloc(64)?.into_skb();
        assert_eq!(frees(|| status = send(skb)), 1);
        assert_eq!(status, bindings::netdev_tx_NETDEV_TX_OK);

        record.how.store(GIVE_BACK, Relaxed);
        let skb = alloc(64)?.into_skb().into_raw();
        // SAFETY: The pointer is from `into_raw()`.
        let back = || unsafe { SkBuff::from_raw(skb) };
        assert_eq!(frees(|| status = send(back())), 0);
        assert_eq!(status, bindings::netdev_tx_NETDEV_TX_BUSY);
        assert_eq!(frees(|| drop(back())), 1);

        // Both the packet, and the one that is given back in its stead.
        record.how.store(GIVE_BACK_OTHER, Relaxed);
        let skb = alloc(64)?.into_skb();
        assert_eq!(frees(|| status = send(skb)), 2);
        assert_eq!(status, bindings::netdev_tx_NETDEV_TX_OK);

        Ok(())
    }

    #[test]
    fn selection_keeps_the_packet() -> Result {
        let (parent, record) = (parent()?, record()?);
        let dev = register(&parent, c"xnbtest%d", &record)?;
        let mut skb = alloc(64)?;
        skb.put(20)?;
        let skb = skb.into_skb();
        let Some(select_queue) = callbacks::ops::<Probe>().ndo_select_queue else {
            return Err(EINVAL);
        };
        let mut index = 0;

        assert_eq!(
            frees(|| {
                // SAFETY: The device is registered, and the buffer is valid.
                index = without_bottom_halves(|| unsafe {
                    select_queue(dev.as_raw(), skb.as_raw(), core::ptr::null_mut())
                });
            }),
            0
        );
        assert_eq!(index, 2);
        assert_eq!(frees(|| drop(skb)), 1);

        Ok(())
    }

    #[test]
    fn steering_is_shown_as_far_as_asked_for() -> Result {
        let (parent, record) = (parent()?, record()?);
        let dev = register(&parent, c"xnbtest%d", &record)?;
        let ops = ethtool::ops::<Probe>();
        let (Some(key_size), Some(table_size), Some(get)) =
            (ops.get_rxfh_key_size, ops.get_rxfh_indir_size, ops.get_rxfh)
        else {
            return Err(EINVAL);
        };
        let Some(rings) = ops.get_rx_ring_count else {
            return Err(EINVAL);
        };
        // SAFETY: The device is registered.
        assert_eq!(unsafe { rings(dev.as_raw().cast()) }, 4);
        // SAFETY: As above.
        assert_eq!(unsafe { key_size(dev.as_raw().cast()) }, 3);
        // SAFETY: As above.
        assert_eq!(unsafe { table_size(dev.as_raw().cast()) }, 2);

        let (mut table, mut key) = ([0u32; 3], [0u8; 4]);
        let mut param = bindings::ethtool_rxfh_param {
            indir_size: 2,
            indir: table.as_mut_ptr(),
            key_size: 3,
            key: key.as_mut_ptr(),
            ..pin_init::zeroed()
        };
        // SAFETY: The device is registered; table and key have more elements than is said.
        assert_eq!(unsafe { get(dev.as_raw().cast(), &mut param) }, 0);
        assert_eq!(param.hfunc, 1);
        assert_eq!(table, [70, 71, 0]);
        assert_eq!(key, [0xab, 0xab, 0xab, 0]);

        param.indir = core::ptr::null_mut();
        param.key = core::ptr::null_mut();
        // SAFETY: The device is registered, and there is neither a table nor a key.
        assert_eq!(unsafe { get(dev.as_raw().cast(), &mut param) }, 0);

        Ok(())
    }

    #[test]
    fn statistics() -> Result {
        let (parent, record) = (parent()?, record()?);
        let dev = register(&parent, c"xnbtest%d", &record)?;

        let mut stats: bindings::rtnl_link_stats64 = pin_init::zeroed();
        // SAFETY: The device is registered; the statistics are valid for writing.
        unsafe { bindings::dev_get_stats(dev.as_raw(), &mut stats) };
        assert_eq!((stats.rx_packets, stats.tx_packets), (1, 2));
        assert_eq!((stats.rx_bytes, stats.tx_bytes), (3, 4));
        assert_eq!((stats.rx_errors, stats.tx_errors), (5, 6));
        assert_eq!((stats.rx_dropped, stats.tx_dropped), (7, 8));

        let ops = ethtool::ops::<Probe>();
        let (Some(count), Some(strings), Some(values)) =
            (ops.get_sset_count, ops.get_strings, ops.get_ethtool_stats)
        else {
            return Err(EINVAL);
        };
        let foreign = dev.as_raw().cast();
        let set = bindings::ethtool_stringset_ETH_SS_STATS;

        // SAFETY: The device is registered.
        assert_eq!(unsafe { count(foreign, set as c_int) }, 3 + 4 * 2);
        // SAFETY: As above.
        let other = unsafe { count(foreign, set as c_int + 1) };
        assert_eq!(other, EOPNOTSUPP.to_errno());

        let mut names = [0u8; 11 * 32];
        // SAFETY: The device is registered; there is room for eleven names.
        unsafe { strings(foreign, set, names.as_mut_ptr()) };
        assert_eq!(&names[..6], b"first\0");
        assert_eq!(&names[32..39], b"second\0");
        assert_eq!(&names[64..96], b"a_name_which_is_longer_than_a_f\0");
        assert_eq!(&names[96..104], b"q0_more\0");
        assert_eq!(&names[10 * 32..10 * 32 + 8], b"q3_less\0");

        let mut numbers = [0u64; 11];
        let mut request = bindings::ethtool_stats::default();
        // SAFETY: The device is registered; there is room for eleven values.
        unsafe { values(foreign, &mut request, numbers.as_mut_ptr()) };
        assert_eq!(
            numbers,
            [10, 11, 12, 100, 101, 101, 102, 102, 103, 103, 104]
        );

        Ok(())
    }

    #[test]
    fn statistics_of_queues() -> Result {
        let (parent, record) = (parent()?, record()?);
        let dev = register(&parent, c"xnbtest%d", &record)?;
        dev.set_real_queues(&rtnl::lock(), 2)?;

        let ops = stats::ops::<Probe>();
        let (Some(rx_of), Some(tx_of), Some(base_of)) = (
            ops.get_queue_stats_rx,
            ops.get_queue_stats_tx,
            ops.get_base_stats,
        ) else {
            return Err(EINVAL);
        };
        let mut rx: bindings::netdev_queue_stats_rx = pin_init::zeroed();
        let mut tx: bindings::netdev_queue_stats_tx = pin_init::zeroed();

        // SAFETY: The device is registered and has this queue; the statistics are valid for writing.
        unsafe { rx_of(dev.as_raw(), 1, &mut rx) };
        assert_eq!((rx.packets, rx.bytes), (2, 4));
        assert_eq!((rx.hw_drops, rx.alloc_fail), (6, 8));
        // SAFETY: As above.
        unsafe { tx_of(dev.as_raw(), 1, &mut tx) };
        assert_eq!((tx.packets, tx.bytes, tx.hw_drops), (10, 12, 14));

        // What the two queues that are not in use have counted.
        //
        // SAFETY: As above.
        unsafe { base_of(dev.as_raw(), &mut rx, &mut tx) };
        assert_eq!((rx.packets, rx.bytes), (7, 14));
        assert_eq!((rx.hw_drops, rx.alloc_fail), (21, 28));
        assert_eq!((tx.packets, tx.bytes, tx.hw_drops), (35, 42, 49));

        Ok(())
    }

    #[test]
    fn rings_and_channels() -> Result {
        let (parent, record) = (parent()?, record()?);
        let dev = register(&parent, c"xnbtest%d", &record)?;
        dev.set_real_queues(&rtnl::lock(), 3)?;

        let ops = ethtool::ops::<Probe>();
        let (Some(rings_of), Some(channels_of)) = (ops.get_ringparam, ops.get_channels) else {
            return Err(EINVAL);
        };
        let foreign = dev.as_raw().cast();
        let mut rings: bindings::ethtool_ringparam = pin_init::zeroed();
        let mut channels: bindings::ethtool_channels = pin_init::zeroed();
        let null = core::ptr::null_mut();

        // SAFETY: The device is registered; the structure is valid for writing.
        unsafe { rings_of(foreign, &mut rings, core::ptr::null_mut(), null) };
        assert_eq!((rings.rx_pending, rings.rx_max_pending), (99, 99));
        assert_eq!((rings.tx_pending, rings.tx_max_pending), (99, 99));
        // SAFETY: As above.
        unsafe { channels_of(foreign, &mut channels) };
        assert_eq!((channels.combined_count, channels.max_combined), (3, 4));

        Ok(())
    }
}
