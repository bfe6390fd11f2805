// SPDX-License-Identifier: GPL-2.0

//! Packets that wait for the guest.

use kernel::{
    net::skbuff::{
        Queue,
        SkBuff, //
    },
    time::Deadline, //
};

use super::byte_queue::{
    self,
    Admission,
    ByteLimit, //
};

/// Who may add packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Nobody: there is no guest. Opened by connecting.
    Closed,
    /// The host. Closed by disconnecting or a fatal error.
    Open,
    /// Nobody: the guest has stopped receiving. Opened when it receives again.
    Stalled,
}

/// What packets count for from when they are offered until [`Backlog::release`].
#[derive(Clone, Copy, Default)]
#[must_use = "a backlog whose packets go on counting is full for ever"]
pub(crate) struct Charge {
    packets: usize,
    /// Memory, in bytes.
    bytes: usize,
}

impl Charge {
    /// What both count for together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            packets: self.packets.wrapping_add(other.packets),
            bytes: self.bytes.wrapping_add(other.bytes),
        }
    }
}

/// A packet taken off the backlog.
pub(crate) struct Waiting {
    pub(crate) skb: SkBuff,
    /// When the packet is too old.
    pub(crate) deadline: Deadline,
    pub(crate) charge: Charge,
}

/// Packets taken off the backlog, oldest first.
pub(crate) struct Taken(Queue);

impl Taken {
    pub(crate) fn new() -> Self {
        Self(Queue::new())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The oldest.
    pub(crate) fn next(&mut self) -> Option<Waiting> {
        let skb = self.0.pop_front()?;
        Some(Waiting {
            deadline: skb.cb(),
            charge: Charge {
                packets: 1,
                bytes: skb.truesize(),
            },
            skb,
        })
    }
}

/// What became of a packet that was offered.
#[must_use]
pub(crate) enum Offered {
    /// It waits. `wake` says to wake the thread, `stop` to stop the host.
    Queued { wake: bool, stop: bool },
    /// There is no room: the packet goes back to the host, which has to be stopped.
    Full(SkBuff),
    /// The gate is not open: the packet is lost.
    Shut(SkBuff, Gate),
}

/// Packets that wait for the guest, oldest first, with the account of them.
///
/// # Invariants
///
/// `account` and `count` are of what waits and of what was taken but not released.
pub(crate) struct Backlog {
    packets: Queue,
    account: ByteLimit,
    count: usize,
    gate: Gate,
    /// The thread sleeps until there is a packet.
    asleep: bool,
}

impl Backlog {
    pub(crate) fn new() -> Self {
        Self {
            packets: Queue::new(),
            account: ByteLimit::new(byte_queue::LIMIT),
            count: 0,
            gate: Gate::Closed,
            asleep: false,
        }
    }

    /// Adds a packet that may wait until `deadline`.
    pub(crate) fn offer(&mut self, mut skb: SkBuff, deadline: Deadline) -> Offered {
        if self.gate != Gate::Open {
            return Offered::Shut(skb, self.gate);
        }
        let stop = match self.account.admit(skb.truesize()) {
            Admission::Accept => false,
            Admission::AcceptAndStop => true,
            Admission::Refuse => return Offered::Full(skb),
        };
        self.count = self.count.wrapping_add(1);
        skb.set_cb(deadline);
        self.packets.push_back(skb);
        Offered::Queued {
            wake: core::mem::take(&mut self.asleep),
            stop,
        }
    }

    /// Takes all packets.
    pub(crate) fn take(&mut self) -> Taken {
        Taken(core::mem::take(&mut self.packets))
    }

    /// Takes `charge` off the account; returns whether to wake the host.
    #[must_use]
    pub(crate) fn release(&mut self, charge: Charge) -> bool {
        self.count = self.count.wrapping_sub(charge.packets);
        self.account.release(charge.bytes)
    }

    /// Whether there are packets. If not, the thread is woken by the next one.
    pub(crate) fn listen(&mut self) -> bool {
        self.asleep = self.packets.is_empty();
        !self.asleep
    }

    /// Lets the host in: a guest is connected.
    pub(crate) fn open(&mut self) {
        self.gate = Gate::Open;
    }

    /// Shuts the host out for as long as no other guest is connected.
    pub(crate) fn close(&mut self) {
        self.gate = Gate::Closed;
    }

    /// Shuts the host out until the guest receives again.
    pub(crate) fn stall(&mut self) {
        if self.gate == Gate::Open {
            self.gate = Gate::Stalled;
        }
    }

    /// Undoes [`Backlog::stall`].
    pub(crate) fn recover(&mut self) {
        if self.gate == Gate::Stalled {
            self.gate = Gate::Open;
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            packets: self.count,
            bytes: self.account.queued(),
            peak_bytes: self.account.peak(),
        }
    }
}

/// How full a backlog is.
pub(crate) struct Usage {
    pub(crate) packets: usize,
    /// Memory that waits, in bytes.
    pub(crate) bytes: usize,
    /// The most memory that ever waited at once, in bytes.
    pub(crate) peak_bytes: usize,
}
