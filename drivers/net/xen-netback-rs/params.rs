// SPDX-License-Identifier: GPL-2.0

//! Module parameters, named and with modes in sysfs as the C driver's.

use kernel::{
    module_params,
    prelude::*, //
};

use crate::guest_tx::parse;

module_params! {
    /// Offers guests an event channel per direction; a change concerns devices attached later.
    SEPARATE_TX_RX_IRQ("separate_tx_rx_irq", 0o644): bool = true,
        "Offer separate event channels for each direction";
    /// Life of a packet for the guest, in milliseconds.
    RX_DRAIN_TIMEOUT_MSECS("rx_drain_timeout_msecs", 0o444): u32 = 10_000,
        "Milliseconds that a packet waits for the guest before it is dropped";
    /// Time without progress after which a queue is stalled, in milliseconds; 0 for never.
    RX_STALL_TIMEOUT_MSECS("rx_stall_timeout_msecs", 0o444): u32 = 60_000,
        "Milliseconds without receive buffers after which a guest is stalled, 0 for never";
    /// Queues offered to a guest; 0 stands for the number of processors, at most 8.
    MAX_QUEUES("max_queues", 0o644): u32 = 0,
        "Maximum number of queues per device";
    /// Slots beyond which a packet's sender is treated as malicious.
    FATAL_SKB_SLOTS("fatal_skb_slots", 0o444): u32 = 20,
        "Slots of a packet beyond which the guest is treated as malicious";
}

/// Queues that a guest gets at most when the administrator does not say.
const DEFAULT_QUEUES: u32 = 8;

/// Replaces what is out of range, and says so.
pub(crate) fn sanitise() {
    let slots = FATAL_SKB_SLOTS.get();
    if slots < parse::MAX_MORE_SLOTS {
        pr_info!(
            "fatal_skb_slots raised from {} to {}, which every guest may use\n",
            slots,
            parse::MAX_MORE_SLOTS
        );
        FATAL_SKB_SLOTS.set(parse::MAX_MORE_SLOTS);
    }
    if MAX_QUEUES.get() == 0 {
        MAX_QUEUES.set(kernel::cpu::num_online().min(DEFAULT_QUEUES));
    }
}
