// SPDX-License-Identifier: GPL-2.0

//! One queue pair of an interface.
//!
//! Its state is split by who runs it. NAPI owns a [`Poller`], the thread owns a [`Worker`], both by
//! `&mut`. What they share with each other, with the host's senders and with the event channel's
//! handler is a [`Shared`], which lives as long as the interface.

use kernel::{
    kthread,
    module::this_module,
    net::{
        napi::{
            self,
            Napi, //
        },
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
    str::CString,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        wait::WaitQueue,
        Arc,
        SpinLockIrq, //
    },
    time::Deadline,
    xen::{
        events::{
            self,
            Channel,
            RemotePort,
            Waiter, //
        },
        grant::{
            Ref,
            RingPage, //
        },
        ring::BackRing,
        DomId, //
    }, //
};

use crate::{
    guest_rx::{
        backlog::{
            Backlog,
            Gate,
            Offered, //
        },
        copy::Outgoing,
        thread::Worker, //
    },
    guest_tx::poll::Poller,
    interface::Interface,
    negotiate::{
        Agreement,
        Ports,
        QueueKeys, //
    },
    params,
    stats::Stats,
    xenbus::Frontend,
    LocalModule, //
};

/// What all contexts of a queue share.
///
/// The lock of `backlog` is the only one; nothing else is taken while it is held.
#[pin_data]
pub(crate) struct Shared {
    index: u16,
    #[pin]
    pub(crate) backlog: SpinLockIrq<Backlog>,
    /// Where the thread sleeps.
    #[pin]
    pub(crate) wait: WaitQueue,
    pub(crate) stats: Stats,
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
            expects_event: Atomic::new(false),
        })
    }

    /// Takes a packet of the host for the guest; `more` says that another one follows at once.
    pub(crate) fn send(
        &self,
        dev: &netdevice::Device<Interface>,
        mut skb: SkBuff,
        more: bool,
    ) -> TxOutcome {
        // Calls into sockets, so it comes before the lock; a packet that goes back to the host is
        // stamped again.
        dev.tx_timestamp(&mut skb);
        let deadline = Deadline::after(params::RX_DRAIN_TIMEOUT_MSECS.get());
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
            Offered::Queued { first, stop } => {
                // The first of a burst wakes the thread too, because what follows may never come.
                if first || stop || !more {
                    self.wait.wake();
                }
                TxOutcome::Ok
            }
            Offered::Full(skb) => {
                self.wait.wake();
                TxOutcome::Busy(skb)
            }
            Offered::Shut(skb, _) => {
                skb.drop_any(DropReason::DeviceNotReady);
                TxOutcome::Ok
            }
        }
    }

    /// Gives back memory that a packet counted for, and wakes the host when that is enough.
    pub(crate) fn release(&self, dev: &netdevice::Device<Interface>, charge: usize) {
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

    fn stop_host(&self, dev: &netdevice::Device<Interface>) {
        if let Some(queue) = dev.tx_queue(self.index) {
            queue.stop();
        }
    }
}

/// Which directions an event channel serves.
#[derive(Clone, Copy)]
enum Serves {
    Tx,
    Rx,
    Both,
}

/// Passes events on to those who do the work.
struct Interrupt {
    serves: Serves,
    napi: Arc<Napi<Poller>>,
    shared: Arc<Shared>,
}

impl events::Handler for Interrupt {
    fn interrupt(&self, event: events::Event<'_>) {
        let rx = match self.serves {
            Serves::Tx => false,
            Serves::Rx => true,
            Serves::Both => self.shared.expects_event.load(Relaxed),
        };
        match (self.serves, rx) {
            (Serves::Rx, _) => event.defer(&[Waiter::Send]),
            (_, false) => event.defer(&[Waiter::Receive]),
            (_, true) => event.defer(&[Waiter::Receive, Waiter::Send]),
        }
        if rx {
            self.shared.wait.wake();
        }
        if !matches!(self.serves, Serves::Rx) {
            self.napi.schedule();
        }
    }
}

/// The event channels of a queue.
#[expect(dead_code, reason = "they are bound as long as they are kept")]
enum Channels {
    Shared(Channel<Interrupt>),
    Split {
        tx: Channel<Interrupt>,
        rx: Channel<Interrupt>,
    },
}

/// What made it impossible to connect a queue.
#[derive(Clone, Copy)]
pub(crate) enum QueueError {
    /// The grant or the contents of a ring page.
    Ring(&'static str, Error),
    /// An event channel.
    Port(&'static str, Error),
    /// Anything that is not the frontend's fault.
    Host(Error),
}

impl From<Error> for QueueError {
    fn from(error: Error) -> Self {
        QueueError::Host(error)
    }
}

impl From<kernel::alloc::AllocError> for QueueError {
    fn from(error: kernel::alloc::AllocError) -> Self {
        QueueError::Host(error.into())
    }
}

/// A queue pair that is connected to the guest.
///
/// Dropping it disconnects, in the order of its fields: NAPI is disabled, the thread stopped, and
/// only then the event channels go, by which both notify the guest.
pub(crate) struct Queue {
    napi: napi::Instance<Poller>,
    /// What NAPI owns, while the interface is down.
    parked: Option<Poller>,
    _thread: kthread::JoinHandle<()>,
    _channels: Channels,
    shared: Arc<Shared>,
}

impl Queue {
    /// Connects to what the frontend has published. Guest Rx starts at once, guest Tx when the
    /// interface is up.
    pub(crate) fn connect(
        frontend: &Frontend,
        dev: &netdevice::Registration<Interface>,
        shared: &Arc<Shared>,
        keys: &QueueKeys,
        agreement: &Agreement,
    ) -> Result<Self, QueueError> {
        let xdev = &frontend.xdev;
        let tx_ring = RingPage::map(xdev, Ref(keys.tx_ring_ref))
            .and_then(BackRing::attach)
            .map_err(|error| QueueError::Ring("tx-ring-ref", error))?;
        let rx_ring = RingPage::map(xdev, Ref(keys.rx_ring_ref))
            .and_then(BackRing::attach)
            .map_err(|error| QueueError::Ring("rx-ring-ref", error))?;

        let name = CString::try_from_fmt(fmt!("{}-q{}", dev.name(), shared.index))?;
        let napi = napi::Instance::new(dev)?;
        let bind = |key, port, serves, suffix: &str| {
            let handler = Interrupt {
                serves,
                napi: napi.handle(),
                shared: shared.clone(),
            };
            let name = CString::try_from_fmt(fmt!("{}{}", &*name, suffix))?;
            Channel::bind(xdev, RemotePort(port), name, handler)
                .map_err(|error| QueueError::Port(key, error))
        };
        let (channels, tx_port, rx_port) = match keys.ports {
            Ports::Shared(port) => {
                let channel = bind("event-channel", port, Serves::Both, "")?;
                let port = channel.port().clone();
                (Channels::Shared(channel), port.clone(), port)
            }
            Ports::Split { tx, rx } => {
                let tx = bind("event-channel-tx", tx, Serves::Tx, "-tx")?;
                let rx = bind("event-channel-rx", rx, Serves::Rx, "-rx")?;
                let ports = (tx.port().clone(), rx.port().clone());
                (Channels::Split { tx, rx }, ports.0, ports.1)
            }
        };

        let domid: DomId = frontend.domid;
        let poller = Poller::new(tx_ring, domid, tx_port, shared.clone(), dev)?;
        let worker = Worker::new(
            Outgoing::new(rx_ring, domid)?,
            rx_port,
            shared.clone(),
            dev.device(),
            agreement.headroom,
            agreement.rx_notify,
        );
        let thread = kthread::spawn(
            this_module::<LocalModule>(),
            fmt!("{}-guest-rx", &*name),
            move |thread| worker.run(thread),
        )?;
        Ok(Self {
            napi,
            parked: Some(poller),
            _thread: thread,
            _channels: channels,
            shared: shared.clone(),
        })
    }

    /// The interface is up: packets from the guest are received.
    pub(crate) fn up(&mut self) {
        if let Some(poller) = self.parked.take() {
            self.napi.enable(poller);
            // The guest may have sent already, and its event was not served.
            self.napi.handle().schedule_from_thread();
        }
    }

    /// The interface is down: the guest's packets stay in the ring.
    pub(crate) fn down(&mut self) {
        if let Some(poller) = self.napi.disable() {
            self.parked = Some(poller);
        }
    }

    /// Lets the host send, unless `interface` is faulty.
    pub(crate) fn open(&self, interface: &Interface) {
        let mut backlog = self.shared.backlog.lock();
        // Asked under the lock under which the thread closes the backlog after a fault.
        if !interface.is_faulty() {
            backlog.open();
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // The thread drops what waits when it ends, and nothing may come after.
        self.shared.backlog.lock().close();
    }
}
