// SPDX-License-Identifier: GPL-2.0

//! What happened in a queue, counted since the interface exists.

use kernel::{
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    }, //
};

/// A number that only grows.
///
/// Each counter is written in one context, which its documentation names, and read anywhere; so it
/// needs no locked operation.
pub(crate) struct Counter(Atomic<u64>);

impl Counter {
    const fn new() -> Self {
        Self(Atomic::new(0))
    }

    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$attr:meta])* $field:ident => $name:literal,)* ; $($gauge:literal,)*) => {
        /// The counters of one queue.
        pub(crate) struct Stats {
            $($(#[$attr])* pub(crate) $field: Counter,)*
        }

        impl Stats {
            /// Names for `ethtool -S`: those of [`Stats::values`], then those of the gauges.
            pub(crate) const NAMES: &'static [&'static CStr] = &[$($name,)* $($gauge),*];

            pub(crate) const fn new() -> Self {
                Self { $($field: Counter::new(),)* }
            }

            /// The values of all counters.
            pub(crate) fn values(&self) -> impl Iterator<Item = u64> + '_ {
                [$(&self.$field),*].into_iter().map(Counter::get)
            }
        }
    };
}

counters! {
    /// Large packets from the guest without the checksum that such a packet needs. Written by NAPI.
    gso_checksum_fixup => c"rx_gso_checksum_fixup",
    /// Always 0, as all that follow up to the next mention: no packet shares the guest's memory. Tools
    /// expect the names.
    zerocopy_sent => c"tx_zerocopy_sent",
    zerocopy_success => c"tx_zerocopy_success",
    zerocopy_fail => c"tx_zerocopy_fail",
    frag_overflow => c"tx_frag_overflow",
    /// Packets from the guest. Written by NAPI, as all that follow up to the next mention.
    tx_packets => c"guest_tx_packets",
    /// Bytes from the guest.
    tx_bytes => c"guest_tx_bytes",
    /// Packets from the guest of more slots than a packet may have.
    tx_too_many_slots => c"guest_tx_too_many_slots",
    /// Packets from the guest whose size did not fit into 16 bits.
    tx_size_overflow => c"guest_tx_size_overflow",
    /// Packets from the guest without a complete Ethernet header in the first slot.
    tx_runt => c"guest_tx_runt",
    /// Requests from the guest for what was not offered.
    tx_unsupported => c"guest_tx_unsupported",
    /// Packets from the guest for which there was no memory.
    tx_no_memory => c"guest_tx_no_memory",
    /// Packets from the guest that could not be copied.
    tx_copy_failed => c"guest_tx_copy_failed",
    /// Packets from the guest whose headers contradict what it claims about them.
    tx_bad_offload => c"guest_tx_bad_offload",
    /// Copy hypercalls for packets from the guest.
    tx_copy_calls => c"guest_tx_copy_calls",
    /// Events sent to the guest because of packets from it.
    tx_notifications => c"guest_tx_notifications",
    /// Packets that the guest got. Written by the thread, as all that follow up to the next mention.
    rx_packets => c"guest_rx_packets",
    /// Bytes that the guest got.
    rx_bytes => c"guest_rx_bytes",
    /// Packets for the guest that waited too long.
    rx_expired => c"guest_rx_expired",
    /// Packets for the guest that waited when it stalled, disconnected or broke the protocol.
    rx_purged => c"guest_rx_purged",
    /// Packets for the guest that no number of slots can hold.
    rx_unsendable => c"guest_rx_unsendable",
    /// Packets for the guest that could not be copied.
    rx_copy_failed => c"guest_rx_copy_failed",
    /// Copy hypercalls for packets to the guest.
    rx_copy_calls => c"guest_rx_copy_calls",
    /// Events sent to the guest because of packets to it.
    rx_notifications => c"guest_rx_notifications",
    /// Times that the guest was found to have stopped receiving.
    rx_stalls => c"guest_rx_stalls",
    /// Packets that the host offered while the queue was full, and kept. Written under the backlog's
    /// lock, as all that follow.
    rx_queue_full => c"guest_rx_queue_full",
    /// Packets dropped because the guest was not connected.
    rx_not_connected => c"guest_rx_not_connected",
    /// Packets dropped because the guest had stopped receiving.
    rx_stalled_dropped => c"guest_rx_stalled_dropped",
    ;
    c"guest_rx_queued_packets",
    c"guest_rx_queued_bytes",
    c"guest_rx_queued_bytes_max",
}

impl Stats {
    /// Packets for the guest that it did not get.
    pub(crate) fn rx_lost(&self) -> u64 {
        [
            &self.rx_expired,
            &self.rx_purged,
            &self.rx_unsendable,
            &self.rx_copy_failed,
            &self.rx_not_connected,
            &self.rx_stalled_dropped,
        ]
        .into_iter()
        .fold(0, |sum, counter| sum.wrapping_add(counter.get()))
    }

    /// Packets from the guest that the host did not get.
    pub(crate) fn tx_lost(&self) -> u64 {
        [
            &self.tx_too_many_slots,
            &self.tx_size_overflow,
            &self.tx_runt,
            &self.tx_unsupported,
            &self.tx_no_memory,
            &self.tx_copy_failed,
            &self.tx_bad_offload,
        ]
        .into_iter()
        .fold(0, |sum, counter| sum.wrapping_add(counter.get()))
    }
}
