// SPDX-License-Identifier: GPL-2.0

//! The control ring, by which a guest says how its packets are to be spread over its queues.

use kernel::{
    debugfs,
    fixed_vec::FixedVec,
    kthread,
    module::this_module,
    net::{
        netdevice,
        skbuff::SkBuff, //
    },
    prelude::*,
    str::CString,
    sync::{
        aref::ARef,
        wait::WaitQueue,
        Arc, //
    },
    task,
    time::{
        msecs_to_jiffies,
        Msecs, //
    },
    xen::{
        events::{
            self,
            Channel,
            Port,
            RemotePort,
            Waiter, //
        },
        grant::{
            self,
            Ref,
            RingPage, //
        },
        netif,
        ring::{
            BackRing,
            Overflow, //
        },
        DomId, //
    }, //
};

use crate::{
    debugfs::ControlView,
    interface::Interface,
    negotiate::ControlKeys,
    queue::QueueError,
    steering::Settings,
    toeplitz::{
        self,
        Terms,
        MAX_INPUT, //
    },
    wire::{
        ControlRequest,
        Hash, //
    },
    xenbus::Frontend,
    LocalModule, //
};

mod request;

/// Bytes at the start of a frame that are looked at for a hash. What it covers is among them, unless IPv6
/// has more than 70 bytes of extension headers.
const HEADERS: usize = 128;

/// How long to wait for memory, in milliseconds.
const MEMORY_PAUSE: Msecs = 100;

/// What the guest has configured, as those use it who send packets.
///
/// # Invariants
///
/// `table` is that of the key in `settings`.
pub(crate) struct Steering {
    settings: Settings,
    table: FixedVec<Terms>,
}

impl Steering {
    /// Makes room, for [`Steering::with`].
    fn new() -> Result<KBox<Self>> {
        let steering = Self {
            settings: Settings::NONE,
            table: FixedVec::new(MAX_INPUT)?,
        };
        Ok(KBox::new(steering, GFP_KERNEL)?)
    }

    fn with(mut self: KBox<Self>, settings: Settings) -> KBox<Self> {
        self.table.clear();
        for terms in toeplitz::table(&settings.key) {
            // Has room for all.
            let _ = self.table.push(terms);
        }
        self.settings = settings;
        self
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The hash of a packet, which starts with its Ethernet header, over as much of it as the guest has
    /// enabled. It is the same however the packet lies in memory.
    pub(crate) fn hash(&self, skb: &SkBuff) -> Option<Hash> {
        // Like one whose tag is among its bytes already.
        if skb.has_vlan_tag() {
            return None;
        }
        let len = skb.len().min(HEADERS);
        if let Some(start) = skb.linear().get(..len) {
            return self.settings.hash(&self.table, start);
        }
        let mut start = [0; HEADERS];
        let start = start.get_mut(..len)?;
        skb.copy_bits(0, start).ok()?;
        self.settings.hash(&self.table, start)
    }

    /// The queue for a packet, of `queues`; [`None`] if the host is to choose.
    pub(crate) fn queue(&self, skb: &SkBuff, queues: u16) -> Option<u16> {
        self.settings.queue(self.hash(skb), queues)
    }
}

/// Wakes the thread.
struct Interrupt(Arc<WaitQueue>);

impl events::Handler for Interrupt {
    fn interrupt(&self, event: events::Event<'_>) {
        event.defer(&[Waiter::Receive]);
        self.0.wake();
    }
}

/// A control ring that is connected to the guest.
///
/// Dropping it disconnects, in the order of its fields: the file in debugfs goes, the thread is stopped,
/// and only then the event channel goes, by which it notifies the guest.
pub(crate) struct Control {
    _view: Option<debugfs::File<ControlView>>,
    _thread: kthread::JoinHandle<()>,
    _channel: Channel<Interrupt>,
}

impl Control {
    /// Connects to what the frontend has published, for a guest with `queues`, which need not be
    /// connected yet.
    pub(crate) fn connect(
        frontend: &Frontend,
        dev: &netdevice::Registration<Interface>,
        keys: ControlKeys,
        queues: u16,
        dir: Option<&debugfs::Dir>,
    ) -> Result<Self, QueueError> {
        let ring = RingPage::map(&frontend.xdev, Ref(keys.ring_ref))
            .and_then(BackRing::attach)
            .map_err(|error| QueueError::Ring("ctrl-ring-ref", error))?;
        let wait = Arc::pin_init(WaitQueue::new(), GFP_KERNEL)?;
        let channel = Channel::bind(
            &frontend.xdev,
            RemotePort(keys.port),
            CString::try_from_fmt(fmt!("xen-netback-ctrl"))?,
            Interrupt(wait.clone()),
        )
        .map_err(|error| QueueError::Port("event-channel-ctrl", error))?;
        let server = Server {
            ring,
            domid: frontend.domid,
            port: channel.port().clone(),
            wait,
            netdev: dev.device(),
            queues,
            settings: Settings::NONE,
        };
        let thread = kthread::spawn(
            this_module::<LocalModule>(),
            fmt!("{}-control", dev.name()),
            move |thread| server.run(thread),
        )?;
        Ok(Self {
            _view: dir.and_then(|dir| ControlView(dev.device()).publish(dir).ok()),
            _thread: thread,
            _channel: channel,
        })
    }
}

/// What the thread owns.
struct Server {
    ring: BackRing<netif::Control>,
    domid: DomId,
    port: Arc<Port>,
    wait: Arc<WaitQueue>,
    netdev: ARef<netdevice::Device<Interface>>,
    /// Queues of the guest.
    queues: u16,
    /// As the guest was told that they are.
    settings: Settings,
}

/// What came of a look at the ring.
enum Round {
    /// There was no request.
    Idle,
    /// Requests were answered; there may be more.
    Served,
    /// There are requests, and no memory to serve them.
    NoMemory,
}

impl Server {
    /// Serves the guest until the thread is told to stop, or something goes wrong on any ring.
    fn run(mut self, thread: &kthread::Current) {
        while !thread.should_stop() {
            // Here, because a guest can keep every turn from sleeping.
            task::cond_resched();
            if self.netdev.data().is_faulty() {
                // Without an acknowledgement the guest cannot send another event.
                self.wait.wait(|| thread.should_stop());
                continue;
            }
            match self.serve() {
                Ok(Round::Served) => self.port.worked(),
                Ok(Round::Idle) => self.sleep(thread),
                Ok(Round::NoMemory) => {
                    let pause = msecs_to_jiffies(MEMORY_PAUSE);
                    self.wait.wait_timeout(pause, || thread.should_stop());
                }
                Err(overflow) => self.netdev.data().raise(&self.netdev, overflow.into()),
            }
        }
    }

    /// Answers the requests that are there, at most as many as the ring has slots.
    ///
    /// What they change together is in force when their answers are visible.
    fn serve(&mut self) -> Result<Round, Overflow> {
        let count = self.ring.unconsumed()?;
        if count == 0 {
            return Ok(Round::Idle);
        }
        // First, because there is no answer that says that the host has no memory.
        let Ok(next) = Steering::new() else {
            return Ok(Round::NoMemory);
        };
        let mut settings = self.settings;
        for _ in 0..count {
            let request = ControlRequest::decode(&self.ring.take().0);
            let result = request::serve(&mut settings, self.queues, &request, |gref, to| {
                grant::read(self.domid, Ref(gref), to).is_ok()
            });
            self.ring
                .respond(netif::ControlResponse(request.reply(result)));
        }
        if settings != self.settings {
            self.settings = settings;
            self.netdev.data().steer(Some(next.with(settings)));
        }
        if self.ring.publish() {
            self.port.notify();
        }
        Ok(Round::Served)
    }

    /// Sleeps until there is a request.
    fn sleep(&mut self, thread: &kthread::Current) {
        let Self {
            ring,
            port,
            wait,
            netdev,
            ..
        } = self;
        wait.wait(|| {
            if thread.should_stop() || netdev.data().is_faulty() {
                return true;
            }
            // An error is found again, and dealt with, by the next look.
            if ring.request_event(1) != Ok(false) {
                return true;
            }
            port.finish(Waiter::Receive);
            false
        });
    }
}
