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

/// A packet taken off the backlog, which still counts until its memory is released.
pub(crate) struct Waiting {
    pub(crate) skb: SkBuff,
    /// When the packet is too old.
    pub(crate) deadline: Deadline,
    /// The memory that the packet counts for, in bytes, to be given to [`Backlog::release`].
    pub(crate) charge: usize,
}

/// What became of a packet that was offered.
#[must_use]
pub(crate) enum Offered {
    /// It waits, perhaps as the only one; `stop` says to stop the host.
    Queued { first: bool, stop: bool },
    /// There is no room: the packet goes back to the host, which has to be stopped.
    Full(SkBuff),
    /// The gate is not open: the packet is lost.
    Shut(SkBuff, Gate),
}

/// Packets that wait for the guest, oldest first, with the account of their memory.
///
/// # Invariants
///
/// The account is the sum of what waits and of what was taken but not released.
pub(crate) struct Backlog {
    packets: Queue,
    account: ByteLimit,
    gate: Gate,
}

impl Backlog {
    pub(crate) fn new() -> Self {
        Self {
            packets: Queue::new(),
            account: ByteLimit::new(byte_queue::LIMIT),
            gate: Gate::Closed,
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
        let first = self.packets.is_empty();
        skb.set_cb(deadline);
        self.packets.push_back(skb);
        Offered::Queued { first, stop }
    }

    /// Takes the oldest packet.
    pub(crate) fn take(&mut self) -> Option<Waiting> {
        let skb = self.packets.pop_front()?;
        Some(Waiting {
            deadline: skb.cb(),
            charge: skb.truesize(),
            skb,
        })
    }

    /// Takes `charge` off the account; returns whether to wake the host.
    #[must_use]
    pub(crate) fn release(&mut self, charge: usize) -> bool {
        self.account.release(charge)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
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
            packets: self.packets.len(),
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
