// SPDX-License-Identifier: GPL-2.0

//! Statistics of network devices.
//!
//! C header: [`include/uapi/linux/if_link.h`](srctree/include/uapi/linux/if_link.h)

use crate::bindings;

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
