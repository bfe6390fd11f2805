// SPDX-License-Identifier: GPL-2.0

//! The event channels of a queue, and who has to look because of an event.

use kernel::{
    cpu::CpuId,
    net::napi::Napi,
    prelude::*,
    str::CString,
    sync::Arc,
    xen::{
        events::{
            self,
            Channel,
            Port,
            RemotePort,
            Waiter, //
        },
        xenbus, //
    }, //
};

use crate::{
    guest_tx::poll::Poller,
    negotiate::Ports,
    queue::QueueError,
    shared::Shared, //
};

/// Which directions an event channel serves.
#[derive(Clone, Copy)]
enum Serves {
    Tx,
    Rx,
    Both,
}

/// Passes events on to those who do the work.
pub(crate) struct Interrupt {
    serves: Serves,
    napi: Arc<Napi<Poller>>,
    shared: Arc<Shared>,
}

impl events::Handler for Interrupt {
    fn interrupt(&self, event: events::Event<'_>) {
        let rx = match self.serves {
            Serves::Tx => false,
            Serves::Rx => true,
            Serves::Both => self.shared.expects_event(),
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
pub(crate) enum Channels {
    Shared(Channel<Interrupt>),
    Split {
        tx: Channel<Interrupt>,
        rx: Channel<Interrupt>,
    },
}

impl Channels {
    /// Binds what the frontend of `xdev` has published. Events arrive before this returns. Sleeps.
    ///
    /// `name` is that of the queue.
    pub(crate) fn bind(
        xdev: &xenbus::Device,
        ports: &Ports,
        name: &CStr,
        napi: &Arc<Napi<Poller>>,
        shared: &Arc<Shared>,
    ) -> Result<Self, QueueError> {
        let bind = |key, port, serves, suffix: &str| {
            let handler = Interrupt {
                serves,
                napi: napi.clone(),
                shared: shared.clone(),
            };
            let name = CString::try_from_fmt(fmt!("{}{}", name, suffix))?;
            Channel::bind(xdev, RemotePort(port), name, handler)
                .map_err(|error| QueueError::Port(key, error))
        };
        Ok(match *ports {
            Ports::Shared(port) => Channels::Shared(bind("event-channel", port, Serves::Both, "")?),
            Ports::Split { tx, rx } => Channels::Split {
                tx: bind("event-channel-tx", tx, Serves::Tx, "-tx")?,
                rx: bind("event-channel-rx", rx, Serves::Rx, "-rx")?,
            },
        })
    }

    /// By which the guest is told about its packets.
    pub(crate) fn tx_port(&self) -> Arc<Port> {
        match self {
            Channels::Shared(channel) => channel.port().clone(),
            Channels::Split { tx, .. } => tx.port().clone(),
        }
    }

    /// By which the guest is told about packets for it.
    pub(crate) fn rx_port(&self) -> Arc<Port> {
        match self {
            Channels::Shared(channel) => channel.port().clone(),
            Channels::Split { rx, .. } => rx.port().clone(),
        }
    }

    /// Has the handlers run on `cpu`, which an administrator may change. Sleeps.
    pub(crate) fn set_affinity(&self, cpu: CpuId) {
        match self {
            Channels::Shared(channel) => channel.set_affinity(cpu),
            Channels::Split { tx, rx } => {
                tx.set_affinity(cpu);
                rx.set_affinity(cpu);
            }
        }
    }
}
