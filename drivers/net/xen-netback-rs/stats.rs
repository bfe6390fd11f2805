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
    fn new() -> Self {
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
    (
        counters { $($(#[$attr:meta])* $field:ident => $name:literal,)* }
        gauges { $($gauge:literal,)* }
        faults { $($(#[$fault_attr:meta])* $fault:ident => $fault_name:literal,)* }
        queue { $($queue_name:literal => $queue_value:expr,)* }
    ) => {
        /// The counters of one queue.
        pub(crate) struct Stats {
            $($(#[$attr])* pub(crate) $field: Counter,)*
        }

        impl Stats {
            /// Names for `ethtool -S`: those of [`Stats::values`], those of the gauges, and those of
            /// [`Faults::values`].
            pub(crate) const NAMES: &'static [&'static CStr] =
                &[$($name,)* $($gauge,)* $($fault_name),*];

            /// Names for `ethtool -S` of what is shown for each queue, as in [`Stats::of_queue`].
            pub(crate) const QUEUE_NAMES: &'static [&'static CStr] = &[$($queue_name),*];

            pub(crate) fn new() -> Self {
                Self { $($field: Counter::new(),)* }
            }

            /// The values of all counters.
            pub(crate) fn values(&self) -> impl Iterator<Item = u64> + '_ {
                [$(&self.$field),*].into_iter().map(Counter::get)
            }

            /// What is shown for each queue.
            pub(crate) fn of_queue(&self) -> impl Iterator<Item = u64> {
                let values: [fn(&Self) -> u64; Self::QUEUE_NAMES.len()] = [$($queue_value),*];
                values.map(|value| value(self)).into_iter()
            }
        }

        /// How often guests have broken the protocol, by what they did. Written under the lock of the
        /// interface's link.
        pub(crate) struct Faults {
            $($(#[$fault_attr])* pub(crate) $fault: Counter,)*
        }

        impl Faults {
            pub(crate) fn new() -> Self {
                Self { $($fault: Counter::new(),)* }
            }

            /// The values of all counters.
            pub(crate) fn values(&self) -> impl Iterator<Item = u64> + '_ {
                [$(&self.$fault),*].into_iter().map(Counter::get)
            }
        }
    };
}

counters! {
    counters {
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
        /// Multicast addresses that the guest named in excess of the most that are remembered.
        tx_multicast_full => c"guest_tx_multicast_full",
        /// Packets from the guest for which there was no memory.
        tx_no_memory => c"guest_tx_no_memory",
        /// Packets from the guest that could not be copied.
        tx_copy_failed => c"guest_tx_copy_failed",
        /// Packets from the guest whose headers contradict what it claims about them.
        tx_bad_offload => c"guest_tx_bad_offload",
        /// Times that the guest had to wait because it had sent more than the limit allows.
        tx_rate_limited => c"guest_tx_rate_limited",
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
        /// Multicast frames that the guest did not ask for. Written by the host's sender, of which there is one
        /// at a time for a queue.
        rx_multicast_filtered => c"guest_rx_multicast_filtered",
    }
    gauges {
        c"guest_rx_queued_packets",
        c"guest_rx_queued_bytes",
        c"guest_rx_queued_bytes_max",
    }
    faults {
        /// More requests than a ring holds.
        ring => c"guest_fault_ring",
        /// An extra info is announced and missing.
        missing_extra => c"guest_fault_missing_extra",
        /// An extra info of no known type.
        unknown_extra => c"guest_fault_unknown_extra",
        /// A part of a packet is announced and missing.
        missing_data => c"guest_fault_missing_data",
        /// More slots than the administrator allows.
        too_many_slots => c"guest_fault_too_many_slots",
        /// A slot reaches beyond its page.
        crosses_page => c"guest_fault_crosses_page",
        /// Segments of no size.
        zero_gso_size => c"guest_fault_zero_gso_size",
        /// Segments of no known type.
        unknown_gso_type => c"guest_fault_unknown_gso_type",
    }
    queue {
        c"guest_tx_packets" => |stats| stats.tx_packets.get(),
        c"guest_tx_bytes" => |stats| stats.tx_bytes.get(),
        c"guest_tx_dropped" => Stats::tx_lost,
        c"guest_rx_packets" => |stats| stats.rx_packets.get(),
        c"guest_rx_bytes" => |stats| stats.rx_bytes.get(),
        c"guest_rx_dropped" => Stats::rx_lost,
    }
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
            &self.rx_multicast_filtered,
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
            &self.tx_no_memory,
            &self.tx_copy_failed,
            &self.tx_bad_offload,
        ]
        .into_iter()
        .fold(0, |sum, counter| sum.wrapping_add(counter.get()))
    }
}
