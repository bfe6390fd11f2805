// SPDX-License-Identifier: GPL-2.0

//! A host and a guest with one queue between them.

use std::{
    rc::Rc,
    sync, //
};

use kernel::{
    alloc::GFP_KERNEL,
    bindings::{
        self,
        Line, //
    },
    io::SharedPage,
    net::{
        netdevice::{
            Device,
            Registration,
            TxOutcome, //
        },
        rtnl,
        skbuff::{
            self,
            Ledger,
            SkBuff, //
        }, //
    },
    sync::{
        aref::ARef,
        Arc, //
    },
    xen::{
        xenbus,
        DomId, //
    }, //
};
use loom::thread;

use crate::{
    frontend::Frontend,
    guest_rx::byte_queue,
    interface::Interface,
    negotiate::{
        Agreement,
        Offloads,
        Ports,
        QueueKeys, //
    },
    queue::Queue,
    shared::Shared, //
};

/// Where the rings begin: the indices wrap around soon.
const START: u32 = u32::MAX;

/// Runs `f` under all interleavings with at most `preemptions` switches between threads that need not be.
pub(crate) fn explore(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.expect_explicit_explore = true;
    builder.check(f);
}

/// Whether one event channel serves both directions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wiring {
    Shared,
    Split,
}

/// The host, with its guest connected, and the guest's two rings.
pub(crate) struct Machine {
    pub(crate) host: Host,
    pub(crate) queue: Option<Queue>,
    pub(crate) tx: Frontend,
    pub(crate) rx: Frontend,
    lines: Vec<Rc<Line>>,
    pages: Vec<sync::Arc<SharedPage>>,
}

impl Machine {
    pub(crate) fn new(wiring: Wiring) -> Self {
        skbuff::clear_ledger();
        let (ports, lines) = match wiring {
            Wiring::Shared => (Ports::Shared(1), bindings::power_on(1)),
            Wiring::Split => (Ports::Split { tx: 1, rx: 2 }, bindings::power_on(2)),
        };
        let pages = vec![
            sync::Arc::new(SharedPage::new(12, START)),
            sync::Arc::new(SharedPage::new(8, START)),
        ];
        let registration = Registration::new(Interface);
        let shared = Arc::pin_init(Shared::new(0), GFP_KERNEL).unwrap();
        let frontend = crate::xenbus::Frontend {
            xdev: xenbus::Device {
                pages: pages.clone(),
            },
            domid: DomId(1),
            handle: 0,
        };
        let keys = QueueKeys {
            tx_ring_ref: 0,
            rx_ring_ref: 1,
            ports,
        };
        let agreement = Agreement {
            queues: 1,
            offloads: Offloads::UNKNOWN,
            rx_notify: true,
            control: None,
        };
        let queue = Queue::connect(&frontend, &registration, &shared, &keys, &agreement, None)
            .unwrap_or_else(|_| panic!("nothing can fail"));
        queue.open(registration.data());
        Self {
            tx: Frontend::new(&pages[0], &lines[0], START),
            rx: Frontend::new(&pages[1], lines.last().unwrap(), START),
            host: Host {
                dev: registration.device(),
                shared,
            },
            queue: Some(queue),
            lines,
            pages,
        }
    }

    /// The interface is up.
    pub(crate) fn up(&mut self) {
        self.queue.as_mut().unwrap().up(&rtnl::Guard);
    }

    /// The interface is down.
    pub(crate) fn down(&mut self) {
        self.queue.as_mut().unwrap().down(&rtnl::Guard);
    }

    /// The guest's ends of the rings, for a thread of its own.
    pub(crate) fn rings(&self) -> (Frontend, Frontend) {
        (self.tx.clone(), self.rx.clone())
    }

    /// Lets everybody find out that there is nothing to do, and begins to explore.
    pub(crate) fn begin(&self) {
        thread::yield_now();
        loom::explore();
    }

    /// Ends to explore: what follows happens in one way only.
    pub(crate) fn end(&self) {
        self.settle();
        loom::stop_exploring();
    }

    /// Waits until every event was acknowledged.
    pub(crate) fn settle(&self) {
        for line in &self.lines {
            line.settle();
        }
    }

    /// Disconnects the guest as the interface does it, and looks whether anything is left.
    pub(crate) fn disconnect(&mut self) {
        let mut queue = self.queue.take().unwrap();
        queue.down(&rtnl::Guard);
        drop(queue);
        let left = self.host.shared.backlog.lock().usage();
        assert_eq!((left.packets, left.bytes), (0, 0), "packets are left");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The model checker, which has failed, cannot run what disconnecting takes.
            std::mem::forget(self.queue.take());
            return;
        }
        if self.queue.is_some() {
            self.disconnect();
        }
        bindings::power_off();
        for page in &self.pages {
            // This one, and the frontend's.
            assert_eq!(sync::Arc::strong_count(page), 2, "a ring page is left");
        }
        let Ledger { held, lost, .. } = skbuff::ledger();
        assert_eq!(
            (held, lost),
            (0, 0),
            "memory of packets is left, or a packet was lost"
        );
    }
}

/// The host's stack.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) dev: ARef<Device<Interface>>,
    pub(crate) shared: Arc<Shared>,
}

impl Host {
    /// Sends packets of `len` bytes, each of which takes `truesize` bytes of memory: as long as the queue
    /// is stopped, it waits; a packet that comes back is sent again. Returns how many came back.
    pub(crate) fn send(&self, packets: usize, len: usize, truesize: usize) -> usize {
        let mut refused = 0;
        for _ in 0..packets {
            let mut skb = SkBuff::new(len, truesize);
            loop {
                self.dev.wait_for_queue();
                match self.shared.send(&self.dev, skb) {
                    TxOutcome::Ok => break,
                    TxOutcome::Busy(back) => {
                        refused += 1;
                        skb = back;
                    }
                }
            }
            // One packet alone may take more.
            let held = skbuff::ledger().held;
            assert!(held <= byte_queue::LIMIT.max(truesize), "{held} bytes wait");
        }
        refused
    }
}
