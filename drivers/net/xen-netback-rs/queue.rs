// SPDX-License-Identifier: GPL-2.0

//! One queue pair of an interface.
//!
//! Its state is split by who runs it. NAPI owns a [`Poller`], the thread owns a [`Worker`], both by
//! `&mut`. What they share with each other, with the host's senders and with the handlers of the
//! [`Channels`] is a [`Shared`], which lives as long as the interface.

use kernel::{
    cpu::{
        self,
        CpuId, //
    },
    debugfs,
    kthread,
    module::this_module,
    net::{
        napi,
        netdevice,
        rtnl, //
    },
    prelude::*,
    str::CString,
    sync::Arc,
    xen::{
        grant::{
            Ref,
            RingPage, //
        },
        ring::BackRing,
        DomId, //
    }, //
};

use crate::{
    channels::Channels,
    debugfs::QueueView,
    guest_rx::{
        copy::Outgoing,
        thread::Worker, //
    },
    guest_tx::{
        incoming::Incoming,
        poll::Poller, //
    },
    interface::Interface,
    negotiate::{
        Agreement,
        QueueKeys, //
    },
    shared::Shared,
    xenbus::Frontend,
    LocalModule, //
};

/// The processor on which a queue's interrupts and its thread are kept together, where there is a choice.
///
/// Queues take the processors in turn, and so do interfaces: those of one queue spread too, and one with as
/// many queues as there are processors has queue N on processor N.
fn home(frontend: &Frontend, queues: u32, index: u16) -> Option<CpuId> {
    let interface = u32::from(frontend.domid).wrapping_add(frontend.handle);
    let turn = interface.wrapping_mul(queues).wrapping_add(index.into());
    (cpu::num_online() > 1).then(|| cpu::in_turn(turn))
}

/// What made it impossible to connect a queue, or the control ring.
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
/// Dropping it disconnects, in the order of its fields: the file in debugfs goes, NAPI is disabled, the
/// thread stopped, and only then the event channels go, by which both notify the guest.
pub(crate) struct Queue {
    // Goes first: it shows the others.
    _view: Option<debugfs::File<QueueView>>,
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
        dir: Option<&debugfs::Dir>,
    ) -> Result<Self, QueueError> {
        let xdev = &frontend.xdev;
        let tx_ring = RingPage::map(xdev, Ref(keys.tx_ring_ref))
            .and_then(BackRing::attach)
            .map_err(|error| QueueError::Ring("tx-ring-ref", error))?;
        let rx_ring = RingPage::map(xdev, Ref(keys.rx_ring_ref))
            .and_then(BackRing::attach)
            .map_err(|error| QueueError::Ring("rx-ring-ref", error))?;

        shared.tx_position.set(tx_ring.position());
        shared.rx_position.set(rx_ring.position());

        let name = CString::try_from_fmt(fmt!("{}-q{}", dev.name(), shared.index))?;
        let napi = napi::Instance::new(dev)?;
        let view = QueueView {
            dev: dev.device(),
            shared: shared.clone(),
            napi: napi.handle(),
            tx_ring: tx_ring.observer(),
            rx_ring: rx_ring.observer(),
        };
        let channels = Channels::bind(xdev, &keys.ports, &name, &napi.handle(), shared)?;
        let home = home(frontend, agreement.queues, shared.index);
        if let Some(cpu) = home {
            channels.set_affinity(cpu);
        }
        let domid: DomId = frontend.domid;
        let poller = Poller::new(
            Incoming::new(tx_ring, domid, channels.tx_port(), shared.clone(), dev)?,
            channels.tx_port(),
            shared.clone(),
            dev.device(),
            napi.handle(),
        )?;
        let worker = Worker::new(
            Outgoing::new(rx_ring, domid)?,
            channels.rx_port(),
            shared.clone(),
            dev.device(),
            agreement,
        );
        let module = this_module::<LocalModule>();
        let run = move |thread: &kthread::Current| worker.run(thread);
        let thread = match home {
            Some(cpu) => kthread::spawn_on(cpu, module, fmt!("{}-guest-rx", &*name), run),
            None => kthread::spawn(module, fmt!("{}-guest-rx", &*name), run),
        }?;
        Ok(Self {
            _view: dir.and_then(|dir| view.publish(dir).ok()),
            napi,
            parked: Some(poller),
            _thread: thread,
            _channels: channels,
            shared: shared.clone(),
        })
    }

    /// The interface is up: packets from the guest are received.
    pub(crate) fn up(&mut self, rtnl: &rtnl::Guard) {
        if let Some(poller) = self.parked.take() {
            self.napi.enable(poller);
            self.napi.show_as_receiver(rtnl, self.shared.index);
            // The guest may have sent already, and its event was not served.
            self.napi.handle().schedule_from_thread();
        }
    }

    /// What kept packets of the guest waiting may not hold any more.
    pub(crate) fn look_again(&mut self) {
        self.napi.handle().schedule_from_thread();
    }

    /// The interface is down: the guest's packets stay in the ring.
    pub(crate) fn down(&mut self, rtnl: &rtnl::Guard) {
        self.napi.hide(rtnl);
        if let Some(poller) = self.napi.disable() {
            self.parked = Some(poller);
        }
    }

    /// Prefers this queue for answers to what the guest sends by it.
    pub(crate) fn attract_answers(&self, rtnl: &rtnl::Guard, dev: &netdevice::Device<Interface>) {
        // Without it, the queue is chosen by the packet's hash.
        let _ = dev.pair_queues(rtnl, self.shared.index);
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
