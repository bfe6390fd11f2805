// SPDX-License-Identifier: GPL-2.0

//! Packets without data.

use std::{
    cell::Cell,
    collections::VecDeque, //
};

use crate::{
    bottom_half,
    time::Deadline, //
};

/// Why a packet is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    FullRing,
    QueuePurge,
    DeviceNotReady,
    TooBig,
    CopyFault,
}

#[derive(Clone, Copy)]
pub enum Checksum {
    None,
    Partial,
    Unnecessary,
    Complete,
}

#[derive(Clone, Copy)]
pub enum GsoKind {
    TcpV4,
    TcpV6,
    Other,
}

#[derive(Clone, Copy)]
pub struct Gso {
    pub kind: GsoKind,
    pub size: u16,
}

/// What became of the packets that ever were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Memory of those that exist, in bytes.
    pub held: usize,
    pub consumed: usize,
    pub dropped: usize,
    /// Dropped by what should have said why.
    pub lost: usize,
}

thread_local! {
    // All threads of a model run on one real thread, and none is interrupted between two of its steps.
    static LEDGER: Cell<Ledger> = Cell::default();
}

/// What became of the packets of this run.
pub fn ledger() -> Ledger {
    LEDGER.get()
}

/// Forgets the packets of an earlier run.
pub fn clear_ledger() {
    LEDGER.set(Ledger::default());
}

fn count(change: impl FnOnce(&mut Ledger)) {
    let mut ledger = LEDGER.get();
    change(&mut ledger);
    LEDGER.set(ledger);
}

/// An owned packet.
pub struct SkBuff {
    len: usize,
    truesize: usize,
    cb: Option<Deadline>,
    ended: bool,
}

impl SkBuff {
    pub fn new(len: usize, truesize: usize) -> Self {
        count(|ledger| ledger.held += truesize);
        Self {
            len,
            truesize,
            cb: None,
            ended: false,
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn truesize(&self) -> usize {
        self.truesize
    }

    pub fn checksum(&self) -> Checksum {
        Checksum::None
    }

    pub fn gso(&self) -> Option<Gso> {
        None
    }

    pub fn cb(&self) -> Deadline {
        self.cb.unwrap()
    }

    pub fn set_cb(&mut self, value: Deadline) {
        self.cb = Some(value);
    }

    pub fn consume(mut self, _: &bottom_half::Disabled) {
        self.ended = true;
        count(|ledger| ledger.consumed += 1);
    }

    pub fn drop_any(mut self, _: DropReason) {
        self.ended = true;
        count(|ledger| ledger.dropped += 1);
    }
}

impl Drop for SkBuff {
    fn drop(&mut self) {
        count(|ledger| {
            ledger.held -= self.truesize;
            ledger.lost += usize::from(!self.ended);
        });
    }
}

/// Packets in order.
#[derive(Default)]
pub struct Queue(VecDeque<SkBuff>);

impl Queue {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn push_back(&mut self, skb: SkBuff) {
        self.0.push_back(skb);
    }

    pub fn pop_front(&mut self) -> Option<SkBuff> {
        self.0.pop_front()
    }
}
