// SPDX-License-Identifier: GPL-2.0

//! When NAPI looks at the ring from the guest, and when it stops looking.

use kernel::{
    net::{
        napi::{
            self,
            Napi,
            Progress, //
        },
        netdevice, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    time::timer::{
        self,
        Timer, //
    },
    xen::events::{
        Port,
        Waiter, //
    }, //
};

use super::incoming::Incoming;
use crate::{
    interface::{
        Fault,
        Interface, //
    },
    shared::Shared, //
};

/// Bytes after which a poll ends: the stack gets what GRO has gathered, and others have their turn.
const BYTES: u64 = 224 << 10;

/// Lets NAPI go on when the guest may send again.
struct Resume(Arc<Napi<Poller>>);

impl timer::Handler for Resume {
    fn expired(&self) {
        self.0.schedule();
    }
}

/// What NAPI owns of a queue.
pub(crate) struct Poller {
    incoming: Incoming,
    port: Arc<Port>,
    shared: Arc<Shared>,
    netdev: ARef<netdevice::Device<Interface>>,
    /// The next packet had to wait, because of the limit on what the guest sends, when the guest was last
    /// looked at.
    waiting: bool,
    /// Ends that time. Dropped where polling is disabled, which is a thread.
    resume: Pin<KBox<Timer<Resume>>>,
}

impl Poller {
    pub(crate) fn new(
        incoming: Incoming,
        port: Arc<Port>,
        shared: Arc<Shared>,
        netdev: ARef<netdevice::Device<Interface>>,
        napi: Arc<Napi<Poller>>,
    ) -> Result<Self> {
        Ok(Self {
            incoming,
            port,
            shared,
            netdev,
            waiting: false,
            resume: KBox::pin_init(Timer::new(Resume(napi)), GFP_KERNEL)?,
        })
    }

    /// Works until the ring is empty, the budget or [`BYTES`] used up, or the guest has sent as much as it may.
    fn work(&mut self, cx: &mut napi::Context<'_>) -> Result<Progress, Fault> {
        let budget = cx.budget();
        let mut done: usize = 0;
        let mut bytes: u64 = 0;
        // Of the budget. A look that finds nothing costs something too: a guest that takes its index back and
        // forth shall not keep this going.
        let mut spent: usize = 0;
        while spent < budget && bytes < BYTES {
            let round = self.incoming.round(cx, budget.saturating_sub(spent))?;
            if round.chains > 0 {
                self.port.worked();
                self.waiting = false;
            }
            done = done.saturating_add(round.chains);
            bytes = bytes.saturating_add(round.bytes);
            spent = spent.saturating_add(round.chains.max(1));
            if let Some(wait) = round.limited {
                self.resume.arm(wait);
                // The event that announced the packet had a reason. No other is asked for, so those that
                // come all the same have none.
                if !core::mem::replace(&mut self.waiting, true) {
                    self.port.worked();
                    self.shared.stats.tx_rate_limited.add(1);
                }
                return Ok(Progress::Idle(done));
            }
            // A poll that has used up its budget cannot be the last one.
            if done < budget && !self.incoming.ring.request_event(1)? {
                return Ok(Progress::Idle(done));
            }
        }
        Ok(Progress::More)
    }
}

impl napi::Poller for Poller {
    fn poll(&mut self, cx: &mut napi::Context<'_>) -> Progress {
        if self.netdev.data().is_faulty() {
            // The event stays unacknowledged: the guest cannot send another one.
            return Progress::Idle(0);
        }
        match self.work(cx) {
            Ok(progress) => {
                self.port.finish(Waiter::Receive);
                progress
            }
            Err(fault) => {
                self.netdev.data().raise(&self.netdev, fault);
                Progress::Idle(0)
            }
        }
    }
}
