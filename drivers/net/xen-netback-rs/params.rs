// SPDX-License-Identifier: GPL-2.0

//! Module parameters, named and with modes in sysfs as the C driver's.
//!
//! What is out of range is corrected, and the log says so, whether it is given to the module or written
//! later. A device uses what holds when it appears.

use kernel::{
    module_params,
    pr_info_once,
    prelude::*, //
};

use crate::guest_tx::parse;

module_params! {
    /// Offers guests an event channel per direction; a change concerns devices attached later.
    SEPARATE_TX_RX_IRQ("separate_tx_rx_irq", 0o644): bool = true,
        "Offer separate event channels for each direction";
    /// Life of a packet for the guest, in milliseconds; not 0.
    RX_DRAIN_TIMEOUT_MSECS("rx_drain_timeout_msecs", 0o444): u32 = 10_000,
        "Milliseconds that a packet waits for the guest before it is dropped",
        corrected by drain_timeout;
    /// Time without progress after which a queue is stalled, in milliseconds; 0 for never.
    RX_STALL_TIMEOUT_MSECS("rx_stall_timeout_msecs", 0o444): u32 = 60_000,
        "Milliseconds without receive buffers after which a guest is stalled, 0 for never";
    /// Queues offered to a guest: 1 to [`MAX_QUEUES_LIMIT`] once the module is loaded.
    MAX_QUEUES("max_queues", 0o644): u32 = 0,
        "Maximum number of queues per device, 0 for the number of processors up to 8",
        corrected by max_queues;
    /// Slots beyond which a packet's sender is treated as malicious.
    FATAL_SKB_SLOTS("fatal_skb_slots", 0o444): u32 = 20,
        "Slots of a packet beyond which the guest is treated as malicious",
        corrected by fatal_slots;
    /// Has no effect.
    HASH_CACHE_SIZE("hash_cache_size", 0o644): u32 = HASH_CACHE_SIZE_DEFAULT,
        "Accepted for compatibility: hashes are computed, not cached",
        corrected by hash_cache_size;
    /// Offers guests headroom for XDP programs; a change concerns devices attached later.
    PROVIDES_XDP_HEADROOM("provides_xdp_headroom", 0o644): bool = true,
        "Offer headroom for XDP programs of the guest";
}

/// Queues that a guest gets at most when the administrator does not say.
const DEFAULT_QUEUES: u32 = 8;

/// The most that the administrator can allow.
pub(crate) const MAX_QUEUES_LIMIT: u32 = 256;

const HASH_CACHE_SIZE_DEFAULT: u32 = 64;

/// Fills in what depends on the machine.
pub(crate) fn init() {
    if MAX_QUEUES.get() == 0 {
        MAX_QUEUES.set(default_queues());
    }
}

fn default_queues() -> u32 {
    kernel::cpu::num_online().min(DEFAULT_QUEUES)
}

fn drain_timeout(value: u32) -> u32 {
    if value == 0 {
        pr_info!("rx_drain_timeout_msecs raised from 0 to 1: no packet could reach a guest\n");
    }
    value.max(1)
}

fn max_queues(value: u32) -> u32 {
    let corrected = match value {
        0 => default_queues(),
        _ => value.min(MAX_QUEUES_LIMIT),
    };
    if corrected != value {
        pr_info!("max_queues is {} instead of {}\n", corrected, value);
    }
    corrected
}

fn fatal_slots(value: u32) -> u32 {
    let least = parse::MAX_MORE_SLOTS;
    if value < least {
        pr_info!(
            "fatal_skb_slots raised from {} to {}, which every guest may use\n",
            value,
            least
        );
    }
    value.max(least)
}

fn hash_cache_size(value: u32) -> u32 {
    if value != HASH_CACHE_SIZE_DEFAULT {
        pr_info_once!("hash_cache_size has no effect: hashes are computed, not cached\n");
    }
    value
}
