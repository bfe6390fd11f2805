// SPDX-License-Identifier: GPL-2.0

//! Which multicast frames a guest gets.

use kernel::{
    net::skbuff::SkBuff,
    new_spinlock_irq,
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        SpinLockIrq, //
    }, //
};

use crate::{
    guest_tx::parse,
    multicast::{
        self,
        Addresses,
        Full, //
    }, //
};

/// What the guest asked for, by whichever of its queues.
///
/// Applies to every frame for the guest, wherever it comes from, by the address that it is sent to.
#[pin_data]
pub(crate) struct Filter {
    /// Whether there is one; without it the guest gets every frame.
    enabled: Atomic<bool>,
    /// Nothing else is locked while this is.
    #[pin]
    addresses: SpinLockIrq<Addresses>,
}

impl Filter {
    /// A filter that is off.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            enabled: Atomic::new(false),
            addresses <- new_spinlock_irq!(Addresses::new()),
        })
    }

    /// Switches the filter on or off; what it knows stays.
    pub(crate) fn enable(&self, enabled: bool) {
        self.enabled.store(enabled, Relaxed);
    }

    /// Switches the filter off and forgets all addresses.
    pub(crate) fn reset(&self) {
        self.enable(false);
        *self.addresses.lock() = Addresses::new();
    }

    /// Makes a change that the guest asks for, whether the filter is on or off.
    pub(crate) fn change(&self, change: parse::Multicast) -> Result<(), Full> {
        let mut addresses = self.addresses.lock();
        match change {
            parse::Multicast::Add(address) => addresses.add(address),
            parse::Multicast::Delete(address) => {
                addresses.remove(address);
                Ok(())
            }
        }
    }

    /// Whether the guest gets a frame.
    #[inline]
    pub(crate) fn admits(&self, skb: &SkBuff) -> bool {
        !self.enabled.load(Relaxed) || self.wants(skb)
    }

    #[inline(never)]
    fn wants(&self, skb: &SkBuff) -> bool {
        let mut address = [0; 6];
        match skb.copy_bits(0, &mut address) {
            Ok(()) if multicast::is_multicast(address) => self.addresses.lock().contains(address),
            _ => true,
        }
    }
}
