// SPDX-License-Identifier: GPL-2.0

//! Polling, by a thread for the softirq.

use loom::{
    sync::{
        Condvar,
        Mutex, //
    },
    thread, //
};

use super::{
    netdevice::Device,
    rtnl, //
};
use crate::{
    error::Result,
    sync::Arc, //
};

/// How far a poll has come.
pub enum Progress {
    More,
    Idle(usize),
}

/// What polls a queue.
pub trait Poller: 'static {
    fn poll(&mut self, cx: &mut Context<'_>) -> Progress;
}

/// What a poll is done with.
pub struct Context<'a>(usize, std::marker::PhantomData<&'a ()>);

impl Context<'_> {
    pub fn budget(&self) -> usize {
        self.0
    }
}

/// Packets per poll: so few that polls end with their budget too.
const BUDGET: usize = 1;

/// C's bits, as far as they matter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Polling is disabled, and `missed` may be set.
    Disabled,
    /// Nobody asks for a poll.
    Idle,
    /// A poll is due or under way.
    Scheduled,
}

struct Core<P> {
    state: State,
    /// Somebody asked while a poll was due or under way, or polling disabled.
    missed: bool,
    /// Somebody waits for polling to be disabled: nobody may ask any more.
    disabling: bool,
    poller: Option<P>,
}

/// What a queue is scheduled by.
pub struct Napi<P> {
    core: Mutex<Core<P>>,
    changed: Condvar,
}

impl<P> Napi<P> {
    pub fn schedule(&self) {
        let mut core = self.core.lock().unwrap();
        match core.state {
            _ if core.disabling => return,
            State::Disabled | State::Scheduled => core.missed = true,
            State::Idle => core.state = State::Scheduled,
        }
        drop(core);
        self.changed.notify_all();
    }

    pub fn schedule_from_thread(&self) {
        self.schedule();
    }
}

impl<P: Poller> Napi<P> {
    /// The softirq.
    fn run(&self) {
        let mut core = self.core.lock().unwrap();
        loop {
            match core.state {
                State::Disabled => return,
                State::Idle => core = self.changed.wait(core).unwrap(),
                State::Scheduled => {
                    let mut poller = core.poller.take().unwrap();
                    drop(core);
                    let progress = poller.poll(&mut Context(BUDGET, std::marker::PhantomData));
                    core = self.core.lock().unwrap();
                    core.poller = Some(poller);
                    let again = match progress {
                        // Who disables polling may have it, if need be.
                        Progress::More => !core.disabling,
                        Progress::Idle(done) => {
                            assert!(done < BUDGET);
                            std::mem::take(&mut core.missed)
                        }
                    };
                    if !again {
                        core.state = State::Idle;
                        self.changed.notify_all();
                    }
                }
            }
            if core.disabling && core.state == State::Idle {
                return;
            }
        }
    }
}

/// The owner of what a queue is polled through.
pub struct Instance<P: Poller> {
    napi: Arc<Napi<P>>,
    softirq: Option<thread::JoinHandle<()>>,
}

impl<P: Poller> Instance<P> {
    pub fn new<T>(_: &Device<T>) -> Result<Self> {
        Ok(Self {
            napi: Arc::new(
                Napi {
                    core: Mutex::new(Core {
                        state: State::Disabled,
                        missed: false,
                        disabling: false,
                        poller: None,
                    }),
                    changed: Condvar::new(),
                },
                crate::alloc::GFP_KERNEL,
            )?,
            softirq: None,
        })
    }

    pub fn handle(&self) -> Arc<Napi<P>> {
        self.napi.clone()
    }

    pub fn enable(&mut self, poller: P) {
        let mut core = self.napi.core.lock().unwrap();
        core.poller = Some(poller);
        core.state = State::Idle;
        drop(core);
        let napi = self.napi.clone();
        self.softirq = Some(thread::spawn(move || napi.run()));
    }

    pub fn disable(&mut self) -> Option<P> {
        let softirq = self.softirq.take()?;
        let mut core = self.napi.core.lock().unwrap();
        core.disabling = true;
        drop(core);
        self.napi.changed.notify_all();
        // What is due is polled before.
        softirq.join().unwrap();
        let mut core = self.napi.core.lock().unwrap();
        assert!(core.state == State::Idle);
        core.disabling = false;
        core.state = State::Disabled;
        core.poller.take()
    }

    pub fn show_as_receiver(&mut self, _: &rtnl::Guard, _: u16) {}

    pub fn hide(&mut self, _: &rtnl::Guard) {}
}

impl<P: Poller> Drop for Instance<P> {
    fn drop(&mut self) {
        self.disable();
    }
}
