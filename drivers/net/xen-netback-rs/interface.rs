// SPDX-License-Identifier: GPL-2.0

//! The network device `vifX.Y`.

use kernel::{
    device,
    fixed_vec::FixedVec,
    net::{
        ethtool::{
            HashFunction,
            SteeringSize, //
        },
        netdevice::{
            self,
            netdev_info_ratelimited,
            Device,
            Features,
            Selection,
            TxOutcome, //
        },
        rtnl,
        skbuff::{
            DropReason,
            SkBuff, //
        },
        stats::{
            QueueStats,
            RxQueueStats,
            Stats64,
            TxQueueStats, //
        },
        trace, //
    },
    new_mutex,
    new_spinlock_irq,
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        rcu::{
            self,
            Published, //
        },
        Arc,
        Mutex,
        SpinLockIrq, //
    },
    xen::{
        netif,
        ring, //
    }, //
};

use crate::{
    control::{
        Control,
        Steering, //
    },
    guest_rx::{
        filter::Filter,
        plan::Headroom, //
    },
    guest_tx::{
        credit::Limit,
        parse,
        rate::Rate, //
    },
    negotiate::{
        Agreement,
        Offloads, //
    },
    queue::Queue,
    shared::Shared,
    stats::{
        Counter,
        Faults,
        Stats, //
    },
    steering::{
        Algorithm,
        Settings, //
    },
    toeplitz::KEY_LEN,
    wire::Hash,
    xenbus::Backend, //
};

/// What made it impossible to go on serving a guest.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The indices of a ring make no sense.
    Ring,
    /// A packet of the guest makes no sense.
    Packet(parse::Fatal),
}

impl Fault {
    /// What the guest did, for the administrator.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Fault::Ring => "more requests than the ring holds",
            Fault::Packet(fatal) => fatal.describe(),
        }
    }

    /// Where it is counted.
    fn counter(self, faults: &Faults) -> &Counter {
        use parse::Fatal;

        match self {
            Fault::Ring => &faults.ring,
            Fault::Packet(Fatal::MissingExtra) => &faults.missing_extra,
            Fault::Packet(Fatal::UnknownExtra) => &faults.unknown_extra,
            Fault::Packet(Fatal::MissingData) => &faults.missing_data,
            Fault::Packet(Fatal::TooManySlots) => &faults.too_many_slots,
            Fault::Packet(Fatal::CrossesPage) => &faults.crosses_page,
            Fault::Packet(Fatal::ZeroGsoSize) => &faults.zero_gso_size,
            Fault::Packet(Fatal::UnknownGsoType) => &faults.unknown_gso_type,
        }
    }
}

impl From<ring::Overflow> for Fault {
    fn from(_: ring::Overflow) -> Self {
        Fault::Ring
    }
}

impl From<parse::Fatal> for Fault {
    fn from(fatal: parse::Fatal) -> Self {
        Fault::Packet(fatal)
    }
}

/// What the carrier depends on: it is up while a queue that has not stalled is connected, and
/// nothing went wrong.
struct Link {
    queues: u32,
    stalled: u32,
    fault: Option<Fault>,
    reported: bool,
}

impl Link {
    const DOWN: Self = Self {
        queues: 0,
        stalled: 0,
        fault: None,
        reported: false,
    };

    fn is_up(&self) -> bool {
        self.stalled < self.queues && self.fault.is_none()
    }
}

/// What is connected to the guest.
///
/// The control ring is the first to be connected and the last to be disconnected, because it says
/// which queue gets what.
struct Connection {
    queues: FixedVec<Queue>,
    _control: Option<Control>,
}

/// The private data of the network device.
///
/// Lock order: the life of the backend, rtnl, `connection`, then `link` or the lock of a queue.
#[pin_data]
pub(crate) struct Interface {
    backend: Arc<Backend>,
    /// One for each transmit queue of the device, connected or not.
    queues: FixedVec<Arc<Shared>>,
    /// Changed under rtnl.
    #[pin]
    connection: Mutex<Option<Connection>>,
    #[pin]
    link: SpinLockIrq<Link>,
    /// Whether `link` has a fault, for those who ask often.
    faulty: Atomic<bool>,
    faults: Faults,
    /// What the guest can receive.
    #[pin]
    offloads: SpinLockIrq<Offloads>,
    /// How the guest wants its packets to be spread over its queues, if it has said so.
    steering: Published<Steering>,
    /// The headroom that the guest asks for, in bytes.
    headroom: Atomic<u32>,
    /// It does so too often.
    restless: Atomic<bool>,
    /// The host was told that the guest takes packets of more than one page.
    announced: Atomic<bool>,
    /// What the guest may send.
    #[pin]
    pub(crate) rate: Rate,
    /// What the guest wants to receive.
    #[pin]
    pub(crate) filter: Filter,
}

impl Interface {
    /// The address of every backend interface: a bridge never takes it for its own.
    pub(crate) const ADDRESS: [u8; 6] = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff];

    /// The smallest MTU of IPv4.
    const MIN_MTU: u32 = 68;

    /// Creates the device with room for `queues`.
    pub(crate) fn register(
        backend: Arc<Backend>,
        parent: &device::Device,
        name: &CStr,
        queues: u16,
    ) -> Result<netdevice::Registration<Self>> {
        let mut shared = FixedVec::new(queues.into())?;
        for index in 0..queues {
            // Has room for all.
            let _ = shared.push(Arc::pin_init(Shared::new(index), GFP_KERNEL)?);
        }
        let hw_features = Features::SG
            | Features::IP_CSUM
            | Features::IPV6_CSUM
            | Features::TSO
            | Features::TSO6
            | Features::FRAGLIST;
        let config = netdevice::Config {
            name,
            queues,
            parent,
            address: Self::ADDRESS,
            min_mtu: Self::MIN_MTU,
            max_mtu: Offloads::UNKNOWN.max_mtu(),
            features: hw_features | Features::RXCSUM,
            hw_features,
        };
        let data = try_pin_init!(Self {
            backend,
            queues: shared,
            connection <- new_mutex!(None),
            link <- new_spinlock_irq!(Link::DOWN),
            faulty: Atomic::new(false),
            faults: Faults::new(),
            offloads <- new_spinlock_irq!(Offloads::UNKNOWN),
            steering: Published::new(),
            headroom: Atomic::new(0),
            restless: Atomic::new(false),
            announced: Atomic::new(true),
            rate <- Rate::new(),
            filter <- Filter::new(),
        });
        netdevice::Registration::new(&config, data)
    }

    /// What queue `index` shares; there is one for every index below [`Device::max_queues`].
    pub(crate) fn queue(&self, index: u32) -> Option<&Arc<Shared>> {
        self.queues.get(usize::try_from(index).ok()?)
    }

    /// Puts connected queues into service, and keeps the control ring that belongs to them.
    pub(crate) fn connect(
        dev: &Device<Self>,
        agreement: &Agreement,
        headroom: Headroom,
        queues: FixedVec<Queue>,
        control: Option<Control>,
    ) -> Result {
        let this = dev.data();
        let count = u16::try_from(queues.len())?;

        let rtnl = rtnl::lock();
        dev.set_real_queues(&rtnl, count)?;
        *this.offloads.lock() = agreement.offloads;
        this.headroom.store(headroom.bytes().into(), Relaxed);
        this.restless.store(false, Relaxed);
        this.announced.store(this.fills_pages(), Relaxed);
        let max_mtu = agreement.offloads.max_mtu();
        if dev.mtu() > max_mtu {
            // Whoever objects gets packets that the guest refuses.
            let _ = dev.set_mtu(&rtnl, max_mtu);
        }
        dev.update_features(&rtnl);
        if count > 1 {
            for queue in queues.iter() {
                queue.attract_answers(&rtnl, dev);
            }
        }

        *this.connection.lock() = Some(Connection {
            queues,
            _control: control,
        });
        this.each_connected(|queue| {
            queue.open(this.get_ref());
            if dev.is_running() {
                queue.up(&rtnl);
            }
        });
        this.change_link(dev, |link| link.queues = count.into());
        dev.wake_all_queues();
        trace::connect(dev, count);
        Ok(())
    }

    /// Takes the queues out of service, and forgets what went wrong with them and what the guest has
    /// configured.
    pub(crate) fn disconnect(dev: &Device<Self>) {
        let this = dev.data();
        let connection = {
            let rtnl = rtnl::lock();
            this.change_link(dev, |link| link.queues = 0);
            this.each_connected(|queue| queue.down(&rtnl));
            this.connection.lock().take()
        };
        if let Some(connection) = connection {
            let queues = connection.queues.len();
            drop(connection);
            trace::disconnect(dev, queues as u16);
        }
        this.steer(None);
        // Up to here they could find a fault, and the guest could name addresses.
        this.change_link(dev, |link| *link = Link::DOWN);
        this.filter.reset();
    }

    /// Sets another limit on what the guest sends.
    pub(crate) fn set_rate(&self, limit: Option<Limit>) {
        if self.rate.set(limit) {
            self.each_connected(Queue::look_again);
        }
    }

    /// The headroom in every page to the guest.
    pub(crate) fn headroom(&self) -> Headroom {
        Headroom::new(self.headroom.load(Relaxed))
    }

    /// Sets another headroom, for packets that are planned from now on; tells whether it is another one.
    ///
    /// What depends on there being no headroom is announced to all of the host. So a `restless` guest, which
    /// changes too often, does without until it changes when it is not.
    pub(crate) fn set_headroom(&self, headroom: Headroom, restless: bool) -> bool {
        if self.headroom() == headroom {
            return false;
        }
        self.headroom.store(headroom.bytes().into(), Relaxed);
        self.restless.store(restless, Relaxed);
        true
    }

    /// Announces what follows from the headroom, if `lock` succeeds. Sleeps.
    pub(crate) fn settle(dev: &Device<Self>, lock: impl FnOnce() -> Option<rtnl::Guard>) {
        let this = dev.data();
        let whole_pages = this.fills_pages();
        if this.announced.load(Relaxed) == whole_pages {
            return;
        }
        if let Some(rtnl) = lock() {
            this.announced.store(whole_pages, Relaxed);
            dev.update_features(&rtnl);
        }
    }

    /// Whether the guest takes packets of more than one page: with an XDP program it takes what fits into one.
    fn fills_pages(&self) -> bool {
        self.headroom() == Headroom::default() && !self.restless.load(Relaxed)
    }

    /// Whether something went wrong since the guest connected.
    #[inline]
    pub(crate) fn is_faulty(&self) -> bool {
        self.faulty.load(Relaxed)
    }

    /// Stops all queues because of `fault`. May be called in any context.
    pub(crate) fn raise(&self, dev: &Device<Self>, fault: Fault) {
        let mut first = false;
        self.change_link(dev, |link| {
            first = link.fault.is_none();
            if first {
                link.fault = Some(fault);
                fault.counter(&self.faults).add(1);
            }
        });
        if first {
            trace::fault(dev, fault.describe());
        }
        for queue in self.queues.iter() {
            queue.wait.wake();
        }
    }

    /// Reports a fault, once for all queues; returns whether that is done. It is not while the device's
    /// state is being changed, perhaps by somebody who waits for the caller. Sleeps.
    pub(crate) fn try_report_fault(&self) -> bool {
        self.backend.try_report(|| {
            let mut link = self.link.lock();
            let reported = core::mem::replace(&mut link.reported, true);
            link.fault.filter(|_| !reported)
        })
    }

    /// One queue's guest has stopped receiving.
    pub(crate) fn queue_stalled(&self, dev: &Device<Self>) {
        self.change_link(dev, |link| link.stalled = link.stalled.saturating_add(1));
        netdev_info_ratelimited!(dev, "Guest Rx stalled\n");
    }

    /// One queue's guest, which had stopped, receives again.
    pub(crate) fn queue_recovered(&self, dev: &Device<Self>) {
        self.change_link(dev, |link| link.stalled = link.stalled.saturating_sub(1));
        netdev_info_ratelimited!(dev, "Guest Rx ready\n");
    }

    /// Replaces what the guest has configured. Sleeps.
    pub(crate) fn steer(&self, steering: Option<KBox<Steering>>) {
        drop(self.steering.replace(steering));
    }

    /// The hash of a packet that goes to the guest, if the guest has asked for one.
    #[inline]
    pub(crate) fn hash(&self, skb: &SkBuff) -> Option<Hash> {
        if self.steering.is_empty() {
            return None;
        }
        self.steering.read(&rcu::read_lock())?.hash(skb)
    }

    /// What the guest has configured.
    pub(crate) fn settings(&self) -> Settings {
        let guard = rcu::read_lock();
        match self.steering.read(&guard) {
            Some(steering) => *steering.settings(),
            None => Settings::NONE,
        }
    }

    fn each_connected(&self, f: impl FnMut(&mut Queue)) {
        if let Some(connection) = &mut *self.connection.lock() {
            connection.queues.iter_mut().for_each(f);
        }
    }

    fn change_link(&self, dev: &Device<Self>, change: impl FnOnce(&mut Link)) {
        let mut link = self.link.lock();
        change(&mut link);
        self.faulty.store(link.fault.is_some(), Relaxed);
        if link.is_up() {
            dev.carrier_on();
        } else {
            dev.carrier_off();
        }
    }
}

#[vtable]
impl netdevice::Operations for Interface {
    const STAT_NAMES: &'static [&'static CStr] = Stats::NAMES;
    const QUEUE_STAT_NAMES: &'static [&'static CStr] = Stats::QUEUE_NAMES;
    const RING_SLOTS: u32 = ring::slots::<netif::Tx>();

    fn open(dev: &Device<Self>, rtnl: &rtnl::Guard) -> Result {
        dev.data().each_connected(|queue| queue.up(rtnl));
        dev.start_all_queues();
        Ok(())
    }

    fn stop(dev: &Device<Self>, rtnl: &rtnl::Guard) {
        dev.stop_all_queues();
        dev.data().each_connected(|queue| queue.down(rtnl));
    }

    #[inline]
    fn start_xmit(dev: &Device<Self>, skb: SkBuff) -> TxOutcome {
        let this = dev.data();
        let Some(queue) = this.queue(skb.queue_mapping().into()) else {
            skb.drop_any(DropReason::DeviceNotReady);
            return TxOutcome::Ok;
        };
        if !this.filter.admits(&skb) {
            queue.stats.rx_multicast_filtered.add(1);
            skb.drop_any(DropReason::Filtered);
            return TxOutcome::Ok;
        }
        queue.send(dev, skb)
    }

    fn select_queue(dev: &Device<Self>, skb: &SkBuff) -> Selection {
        let published = &dev.data().get_ref().steering;
        if published.is_empty() {
            return Selection::Default;
        }
        let guard = rcu::read_lock();
        let steering = published.read(&guard);
        match steering.and_then(|steering| steering.queue(skb, dev.real_queues())) {
            Some(index) => Selection::Queue(index),
            None => Selection::Default,
        }
    }

    fn stats64(dev: &Device<Self>) -> Stats64 {
        let mut sum = Stats64::default();
        for queue in dev.data().queues.iter() {
            let stats = &queue.stats;
            sum.rx_packets = sum.rx_packets.wrapping_add(stats.tx_packets.get());
            sum.rx_bytes = sum.rx_bytes.wrapping_add(stats.tx_bytes.get());
            sum.rx_dropped = sum.rx_dropped.wrapping_add(stats.tx_lost());
            sum.tx_packets = sum.tx_packets.wrapping_add(stats.rx_packets.get());
            sum.tx_bytes = sum.tx_bytes.wrapping_add(stats.rx_bytes.get());
            sum.tx_dropped = sum.tx_dropped.wrapping_add(stats.rx_lost());
        }
        sum
    }

    fn change_mtu(dev: &Device<Self>, mtu: u32) -> Result {
        if mtu > dev.data().offloads.lock().max_mtu() {
            return Err(EINVAL);
        }
        Ok(())
    }

    fn fix_features(dev: &Device<Self>, features: Features) -> Features {
        let this = dev.data();
        let offloads = *this.offloads.lock();
        let pages = this.announced.load(Relaxed);
        [
            (offloads.sg, Features::SG),
            (offloads.gso_v4 && pages, Features::TSO),
            (offloads.gso_v6 && pages, Features::TSO6),
            (offloads.checksum_v4, Features::IP_CSUM),
            (offloads.checksum_v6, Features::IPV6_CSUM),
        ]
        .into_iter()
        .filter(|(accepted, _)| !accepted)
        .fold(features, |features, (_, refused)| features & !refused)
    }

    fn ethtool_stats(dev: &Device<Self>, out: &mut [u64]) {
        let this = dev.data();
        let mut peak: u64 = 0;
        let mut summed: usize = 0;
        for queue in this.queues.iter() {
            let usage = queue.backlog.lock().usage();
            peak = peak.max(usage.peak_bytes as u64);
            let gauges = [usage.packets as u64, usage.bytes as u64];
            let values = Iterator::chain(queue.stats.values(), gauges);
            summed = 0;
            for (sum, value) in out.iter_mut().zip(values) {
                *sum = sum.wrapping_add(value);
                summed = summed.wrapping_add(1);
            }
        }
        // The most that any queue ever held, and what is not counted by queues.
        let rest = Iterator::chain([peak].into_iter(), this.faults.values());
        for (slot, value) in out.iter_mut().skip(summed).zip(rest) {
            *slot = value;
        }
    }

    fn ethtool_queue_stats(dev: &Device<Self>, queue: u16, out: &mut [u64]) {
        if let Some(queue) = dev.data().queue(queue.into()) {
            for (slot, value) in out.iter_mut().zip(queue.stats.of_queue()) {
                *slot = value;
            }
        }
    }

    fn steering_size(dev: &Device<Self>) -> SteeringSize {
        SteeringSize {
            key: KEY_LEN as u32,
            table: dev.data().settings().mapping.entries().len() as u32,
        }
    }

    fn steering(dev: &Device<Self>, table: &mut [u32], key: &mut [u8]) -> HashFunction {
        let settings = dev.data().settings();
        for (to, from) in table.iter_mut().zip(settings.mapping.entries()) {
            *to = u32::from(*from);
        }
        for (to, from) in key.iter_mut().zip(settings.key) {
            *to = from;
        }
        match settings.algorithm {
            Algorithm::None => HashFunction::Unknown,
            Algorithm::Toeplitz => HashFunction::Toeplitz,
        }
    }

    fn queue_stats(dev: &Device<Self>, queue: u16) -> QueueStats {
        let this = dev.data();
        let Some(queue) = this.queue(queue.into()) else {
            return QueueStats::default();
        };
        let stats = &queue.stats;
        QueueStats {
            rx: RxQueueStats {
                packets: stats.tx_packets.get(),
                bytes: stats.tx_bytes.get(),
                dropped: stats.tx_lost(),
                alloc_failures: stats.tx_no_memory.get(),
            },
            tx: TxQueueStats {
                packets: stats.rx_packets.get(),
                bytes: stats.rx_bytes.get(),
                dropped: stats.rx_lost(),
            },
        }
    }
}
