// SPDX-License-Identifier: GPL-2.0

//! Statistics of network devices.
//!
//! C headers: [`include/uapi/linux/if_link.h`](srctree/include/uapi/linux/if_link.h),
//! [`include/net/netdev_queues.h`](srctree/include/net/netdev_queues.h)

use super::netdevice::{
    Device,
    Operations, //
};
use crate::{
    bindings,
    prelude::*, //
};

/// The statistics which every network device has, since it was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats64 {
    /// Packets received from the device.
    pub rx_packets: u64,
    /// Packets sent to the device.
    pub tx_packets: u64,
    /// Bytes received from the device.
    pub rx_bytes: u64,
    /// Bytes sent to the device.
    pub tx_bytes: u64,
    /// Packets received which were not understood.
    pub rx_errors: u64,
    /// Packets which could not be sent for a fault.
    pub tx_errors: u64,
    /// Packets received which were dropped for lack of room.
    pub rx_dropped: u64,
    /// Packets which were dropped instead of being sent.
    pub tx_dropped: u64,
}

impl Stats64 {
    /// Stores the statistics where C expects them, leaving what is not known here at 0.
    pub(super) fn store(&self, to: &mut bindings::rtnl_link_stats64) {
        to.rx_packets = self.rx_packets;
        to.tx_packets = self.tx_packets;
        to.rx_bytes = self.rx_bytes;
        to.tx_bytes = self.tx_bytes;
        to.rx_errors = self.rx_errors;
        to.tx_errors = self.tx_errors;
        to.rx_dropped = self.rx_dropped;
        to.tx_dropped = self.tx_dropped;
    }
}

/// The statistics of a pair of queues with the same index, since the device was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// What was received.
    pub rx: RxQueueStats,
    /// What was sent.
    pub tx: TxQueueStats,
}

/// The statistics of a receive queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RxQueueStats {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Packets that came in and were dropped.
    pub dropped: u64,
    /// Those of them for which there was no memory.
    pub alloc_failures: u64,
}

/// The statistics of a transmit queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxQueueStats {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Packets that were dropped instead of being sent.
    pub dropped: u64,
}

impl QueueStats {
    /// Adds those of another pair of queues.
    fn add(&mut self, other: &Self) {
        let (rx, tx) = (&mut self.rx, &mut self.tx);

        rx.packets = rx.packets.wrapping_add(other.rx.packets);
        rx.bytes = rx.bytes.wrapping_add(other.rx.bytes);
        rx.dropped = rx.dropped.wrapping_add(other.rx.dropped);
        rx.alloc_failures = rx.alloc_failures.wrapping_add(other.rx.alloc_failures);
        tx.packets = tx.packets.wrapping_add(other.tx.packets);
        tx.bytes = tx.bytes.wrapping_add(other.tx.bytes);
        tx.dropped = tx.dropped.wrapping_add(other.tx.dropped);
    }
}

impl RxQueueStats {
    /// Stores the statistics where C expects them; the others stay marked as unknown.
    fn store(&self, to: &mut bindings::netdev_queue_stats_rx) {
        to.packets = self.packets;
        to.bytes = self.bytes;
        to.hw_drops = self.dropped;
        to.alloc_fail = self.alloc_failures;
    }
}

impl TxQueueStats {
    /// Stores the statistics where C expects them; the others stay marked as unknown.
    fn store(&self, to: &mut bindings::netdev_queue_stats_tx) {
        to.packets = self.packets;
        to.bytes = self.bytes;
        to.hw_drops = self.dropped;
    }
}

/// The functions by which C reads the statistics of the queues of devices with the operations `T`.
pub(super) const fn ops<T: Operations>() -> &'static bindings::netdev_stat_ops {
    const {
        &bindings::netdev_stat_ops {
            get_queue_stats_rx: Some(get_queue_stats_rx_callback::<T>),
            get_queue_stats_tx: Some(get_queue_stats_tx_callback::<T>),
            get_base_stats: Some(get_base_stats_callback::<T>),
        }
    }
}

/// # Safety
///
/// Called by C only, with a registered device of the operations `T`, one of its queues, and statistics to
/// be stored.
unsafe extern "C" fn get_queue_stats_rx_callback<T: Operations>(
    dev: *mut bindings::net_device,
    index: c_int,
    stats: *mut bindings::netdev_queue_stats_rx,
) {
    // SAFETY: The device is registered during the call, and has the operations `T`.
    let dev = unsafe { Device::<T>::from_raw(dev) };
    // SAFETY: C passes statistics of its own, which are initialised.
    let stats = unsafe { &mut *stats };

    T::queue_stats(dev, index as u16).rx.store(stats);
}

/// # Safety
///
/// Called by C only, with a registered device of the operations `T`, one of its queues, and statistics to
/// be stored.
unsafe extern "C" fn get_queue_stats_tx_callback<T: Operations>(
    dev: *mut bindings::net_device,
    index: c_int,
    stats: *mut bindings::netdev_queue_stats_tx,
) {
    // SAFETY: The device is registered during the call, and has the operations `T`.
    let dev = unsafe { Device::<T>::from_raw(dev) };
    // SAFETY: C passes statistics of its own, which are initialised.
    let stats = unsafe { &mut *stats };

    T::queue_stats(dev, index as u16).tx.store(stats);
}

/// Stores the statistics of the queues that are not in use at this time, to which C adds those that are.
///
/// # Safety
///
/// Called by C only, with a registered device of the operations `T`, and statistics to be stored.
unsafe extern "C" fn get_base_stats_callback<T: Operations>(
    dev: *mut bindings::net_device,
    rx: *mut bindings::netdev_queue_stats_rx,
    tx: *mut bindings::netdev_queue_stats_tx,
) {
    // SAFETY: The device is registered during the call, and has the operations `T`.
    let dev = unsafe { Device::<T>::from_raw(dev) };
    // SAFETY: C passes statistics of its own, which are initialised.
    let rx = unsafe { &mut *rx };
    // SAFETY: As above.
    let tx = unsafe { &mut *tx };

    let mut sum = QueueStats::default();
    for queue in dev.real_queues()..dev.max_queues() {
        sum.add(&T::queue_stats(dev, queue));
    }
    sum.rx.store(rx);
    sum.tx.store(tx);
}
