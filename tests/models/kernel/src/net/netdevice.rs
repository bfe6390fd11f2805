// SPDX-License-Identifier: GPL-2.0

//! A network device with one transmit queue.

use loom::sync::{
    atomic::{
        AtomicBool,
        Ordering::Relaxed, //
    },
    Condvar,
    Mutex, //
};

use super::{
    rtnl,
    skbuff::SkBuff, //
};
use crate::{
    error::Result,
    sync::aref::ARef, //
};

/// What became of a packet that the stack sent.
#[must_use]
pub enum TxOutcome {
    Ok,
    Busy(SkBuff),
}

/// The device, with its driver's data.
pub struct Device<T> {
    data: T,
    stopped: AtomicBool,
    /// Whoever sends has to look again whether the queue is stopped.
    scheduled: Mutex<bool>,
    changed: Condvar,
}

impl<T> Device<T> {
    pub fn data(&self) -> &T {
        &self.data
    }

    pub fn name(&self) {}

    pub fn tx_timestamp(&self, _: &mut SkBuff) {}

    pub fn tx_queue(&self, index: u16) -> Option<TxQueue<'_, T>> {
        (index == 0).then_some(TxQueue(self))
    }

    pub fn pair_queues(&self, _: &rtnl::Guard, _: u16) -> Result {
        Ok(())
    }

    /// Waits until the host may send: what the stack does before it passes a packet on.
    pub fn wait_for_queue(&self) {
        while self.stopped.load(Relaxed) {
            let mut scheduled = self.scheduled.lock().unwrap();
            while !*scheduled {
                scheduled = self.changed.wait(scheduled).unwrap();
            }
            *scheduled = false;
        }
    }
}

/// The transmit queue.
pub struct TxQueue<'a, T>(&'a Device<T>);

impl<T> TxQueue<'_, T> {
    pub fn stop(&self) {
        self.0.stopped.store(true, Relaxed);
    }

    pub fn wake(&self) {
        if self.0.stopped.swap(false, Relaxed) {
            *self.0.scheduled.lock().unwrap() = true;
            self.0.changed.notify_all();
        }
    }
}

/// The registration of a device.
pub struct Registration<T>(ARef<Device<T>>);

impl<T> Registration<T> {
    pub fn new(data: T) -> Self {
        Self(ARef::new(Device {
            data,
            stopped: AtomicBool::new(false),
            scheduled: Mutex::new(false),
            changed: Condvar::new(),
        }))
    }

    pub fn device(&self) -> ARef<Device<T>> {
        self.0.clone()
    }
}

impl<T> std::ops::Deref for Registration<T> {
    type Target = Device<T>;

    fn deref(&self) -> &Device<T> {
        &self.0
    }
}
