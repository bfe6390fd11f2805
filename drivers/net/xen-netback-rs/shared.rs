// SPDX-License-Identifier: GPL-2.0

//! What the contexts of a queue share: the host's senders, the thread, NAPI, and the handlers of the
//! event channels.

use kernel::{
    net::{
        netdevice::{
            self,
            TxOutcome, //
        },
        skbuff::{
            DropReason,
            SkBuff, //
        }, //
    },
    new_spinlock_irq,
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        wait::WaitQueue,
        SpinLockIrq, //
    },
    time::{
        msecs_to_jiffies,
        Deadline,
        Jiffies, //
    }, //
};

use crate::{
    guest_rx::backlog::{
        Backlog,
        Charge,
        Gate,
        Offered, //
    },
    interface::Interface,
    params,
    stats::Stats, //
};

/// What all contexts of a queue share.
///
/// The lock of `backlog` is the only one; nothing else is taken while it is held.
#[pin_data]
pub(crate) struct Shared {
    pub(crate) index: u16,
    #[pin]
    pub(crate) backlog: SpinLockIrq<Backlog>,
    /// Where the thread sleeps.
    #[pin]
    pub(crate) wait: WaitQueue,
    pub(crate) stats: Stats,
    /// How long a packet waits for the guest. The parameter does not change once the module is loaded.
    drain_timeout: Jiffies,
    /// How far the ring from the guest was served. Written by NAPI.
    pub(crate) tx_position: Position,
    /// How far the ring to the guest was served. Written by the thread.
    pub(crate) rx_position: Position,
    /// The thread waits for the guest to offer slots.
    expects_event: Atomic<bool>,
}

impl Shared {
    pub(crate) fn new(index: u16) -> impl PinInit<Self> {
        pin_init!(Self {
            index,
            backlog <- new_spinlock_irq!(Backlog::new()),
            wait <- WaitQueue::new(),
            stats: Stats::new(),
            drain_timeout: msecs_to_jiffies(params::RX_DRAIN_TIMEOUT_MSECS.get()),
            tx_position: Position::new(),
            rx_position: Position::new(),
            expects_event: Atomic::new(false),
        })
    }

    /// Takes a packet of the host for the guest.
    pub(crate) fn send(&self, dev: &netdevice::Device<Interface>, mut skb: SkBuff) -> TxOutcome {
        // Calls into sockets, so it comes before the lock; a packet that goes back to the host is
        // stamped again.
        dev.tx_timestamp(&mut skb);
        let deadline = Deadline::after_jiffies(self.drain_timeout);
        let mut backlog = self.backlog.lock();
        let offered = backlog.offer(skb, deadline);
        match &offered {
            Offered::Queued { stop: false, .. } => {}
            Offered::Queued { stop: true, .. } => self.stop_host(dev),
            Offered::Full(_) => {
                self.stop_host(dev);
                self.stats.rx_queue_full.add(1);
            }
            Offered::Shut(_, Gate::Stalled) => self.stats.rx_stalled_dropped.add(1),
            Offered::Shut(_, _) => self.stats.rx_not_connected.add(1),
        }
        drop(backlog);

        match offered {
            Offered::Queued { wake, .. } => {
                if wake {
                    self.wait.wake();
                }
                TxOutcome::Ok
            }
            Offered::Full(skb) => TxOutcome::Busy(skb),
            Offered::Shut(skb, gate) => {
                skb.drop_any(match gate {
                    Gate::Stalled => DropReason::FullRing,
                    Gate::Closed | Gate::Open => DropReason::DeviceNotReady,
                });
                TxOutcome::Ok
            }
        }
    }

    /// Gives back what packets counted for, and wakes the host when that is enough.
    pub(crate) fn release(&self, dev: &netdevice::Device<Interface>, charge: Charge) {
        let mut backlog = self.backlog.lock();
        if backlog.release(charge) {
            if let Some(queue) = dev.tx_queue(self.index) {
                queue.wake();
            }
        }
    }

    /// Says whether the thread waits for an event of the guest, before it asks for one.
    pub(crate) fn expect_event(&self, expected: bool) {
        self.expects_event.store(expected, Relaxed);
    }

    /// Whether the thread waits for an event of the guest.
    pub(crate) fn expects_event(&self) -> bool {
        self.expects_event.load(Relaxed)
    }

    fn stop_host(&self, dev: &netdevice::Device<Interface>) {
        if let Some(queue) = dev.tx_queue(self.index) {
            queue.stop();
        }
    }
}

/// How far a ring was served: the index after the last request that was taken and answered, to be shown.
pub(crate) struct Position(Atomic<u32>);

impl Position {
    fn new() -> Self {
        Self(Atomic::new(0))
    }

    #[inline]
    pub(crate) fn set(&self, index: u32) {
        self.0.store(index, Relaxed);
    }

    pub(crate) fn get(&self) -> u32 {
        self.0.load(Relaxed)
    }
}
