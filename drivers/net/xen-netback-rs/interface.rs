// SPDX-License-Identifier: GPL-2.0

//! The network device `vifX.Y`.

use kernel::{
    device,
    fixed_vec::FixedVec,
    net::{
        netdevice::{
            self,
            netdev_info,
            Device,
            Features,
            TxOutcome, //
        },
        rtnl,
        skbuff::SkBuff,
        stats::Stats64, //
    },
    new_mutex,
    new_spinlock_irq,
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc,
        Mutex,
        SpinLockIrq, //
    },
    xen::ring, //
};

use crate::{
    guest_tx::parse,
    negotiate::{
        Agreement,
        Offloads, //
    },
    queue::{
        Queue,
        Shared, //
    },
    stats::Stats,
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

/// The private data of the network device.
///
/// Lock order: the life of the backend, rtnl, `connection`, then `link` or the lock of a queue.
#[pin_data]
pub(crate) struct Interface {
    backend: Arc<Backend>,
    /// One for each transmit queue of the device, connected or not.
    queues: FixedVec<Arc<Shared>>,
    /// The queues that are connected to the guest. Changed under rtnl.
    #[pin]
    connection: Mutex<Option<FixedVec<Queue>>>,
    #[pin]
    link: SpinLockIrq<Link>,
    /// Whether `link` has a fault, for those who ask often.
    faulty: Atomic<bool>,
    /// What the guest can receive.
    #[pin]
    offloads: SpinLockIrq<Offloads>,
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
            offloads <- new_spinlock_irq!(Offloads::UNKNOWN),
        });
        netdevice::Registration::new(&config, data)
    }

    /// What queue `index` shares; there is one for every index below [`Device::max_queues`].
    pub(crate) fn queue(&self, index: u32) -> Option<&Arc<Shared>> {
        self.queues.get(usize::try_from(index).ok()?)
    }

    /// Puts connected queues into service.
    pub(crate) fn connect(
        dev: &Device<Self>,
        agreement: &Agreement,
        queues: FixedVec<Queue>,
    ) -> Result {
        let this = dev.data();
        let count = u16::try_from(queues.len())?;

        let rtnl = rtnl::lock();
        dev.set_real_queues(&rtnl, count)?;
        *this.offloads.lock() = agreement.offloads;
        let max_mtu = agreement.offloads.max_mtu();
        if dev.mtu() > max_mtu {
            // Whoever objects gets packets that the guest refuses.
            let _ = dev.set_mtu(&rtnl, max_mtu);
        }
        dev.update_features(&rtnl);

        *this.connection.lock() = Some(queues);
        this.each_connected(|queue| {
            queue.open(this.get_ref());
            if dev.is_running() {
                queue.up();
            }
        });
        this.change_link(dev, |link| link.queues = count.into());
        dev.wake_all_queues();
        Ok(())
    }

    /// Takes the queues out of service, and forgets what went wrong with them.
    pub(crate) fn disconnect(dev: &Device<Self>) {
        let this = dev.data();
        let queues = {
            let _rtnl = rtnl::lock();
            this.change_link(dev, |link| link.queues = 0);
            this.each_connected(Queue::down);
            this.connection.lock().take()
        };
        drop(queues);
        // Up to here they could find a fault.
        this.change_link(dev, |link| *link = Link::DOWN);
    }

    /// Whether something went wrong since the guest connected.
    #[inline]
    pub(crate) fn is_faulty(&self) -> bool {
        self.faulty.load(Relaxed)
    }

    /// Stops all queues because of `fault`. May be called in any context.
    pub(crate) fn raise(&self, dev: &Device<Self>, fault: Fault) {
        self.change_link(dev, |link| {
            link.fault.get_or_insert(fault);
        });
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
        netdev_info!(dev, "Guest Rx stalled\n");
    }

    /// One queue's guest, which had stopped, receives again.
    pub(crate) fn queue_recovered(&self, dev: &Device<Self>) {
        self.change_link(dev, |link| link.stalled = link.stalled.saturating_sub(1));
        netdev_info!(dev, "Guest Rx ready\n");
    }

    fn each_connected(&self, f: impl FnMut(&mut Queue)) {
        if let Some(queues) = &mut *self.connection.lock() {
            queues.iter_mut().for_each(f);
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

    fn open(dev: &Device<Self>) -> Result {
        dev.data().each_connected(Queue::up);
        dev.start_all_queues();
        Ok(())
    }

    fn stop(dev: &Device<Self>) {
        dev.stop_all_queues();
        dev.data().each_connected(Queue::down);
    }

    fn start_xmit(dev: &Device<Self>, skb: SkBuff, more: bool) -> TxOutcome {
        match dev.data().queue(skb.queue_mapping().into()) {
            Some(queue) => queue.send(dev, skb, more),
            None => {
                skb.drop_any(kernel::net::skbuff::DropReason::DeviceNotReady);
                TxOutcome::Ok
            }
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
        let offloads = *dev.data().offloads.lock();
        [
            (offloads.sg, Features::SG),
            (offloads.gso_v4, Features::TSO),
            (offloads.gso_v6, Features::TSO6),
            (offloads.checksum_v4, Features::IP_CSUM),
            (offloads.checksum_v6, Features::IPV6_CSUM),
        ]
        .into_iter()
        .filter(|(accepted, _)| !accepted)
        .fold(features, |features, (_, refused)| features & !refused)
    }

    fn ethtool_stats(dev: &Device<Self>, out: &mut [u64]) {
        out.fill(0);
        for queue in dev.data().queues.iter() {
            let usage = queue.backlog.lock().usage();
            let gauges = [usage.packets as u64, usage.bytes as u64];
            let values = Iterator::chain(queue.stats.values(), gauges);
            for (sum, value) in out.iter_mut().zip(values) {
                *sum = sum.wrapping_add(value);
            }
            // The last one is the most that any queue ever held.
            if let Some(peak) = out.last_mut() {
                *peak = (*peak).max(usage.peak_bytes as u64);
            }
        }
    }
}
