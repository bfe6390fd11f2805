// SPDX-License-Identifier: GPL-2.0

//! Queues of packets.

use core::ptr::NonNull;

use super::{
    next,
    DropReason,
    SkBuff, //
};
use crate::bindings;

/// A queue of packets, first in first out, without a lock of its own.
///
/// It allocates nothing: the packets are linked with each other. What is left in it when it is
/// dropped is lost with [`DropReason::QueuePurge`].
///
/// # Invariants
///
/// From `head`, the `next` pointers lead through `len` buffers which this queue owns, to `tail`,
/// whose `next` pointer is null. `head` and `tail` are [`None`] if `len` is 0.
pub struct Queue {
    head: Option<SkBuff>,
    tail: Option<NonNull<bindings::sk_buff>>,
    len: usize,
}

// SAFETY: `tail` points to one of the buffers which the queue owns, and these may be sent.
unsafe impl Send for Queue {}

impl Queue {
    /// Creates an empty queue.
    #[inline]
    pub const fn new() -> Self {
        // INVARIANT: Nothing is linked.
        Self {
            head: None,
            tail: None,
            len: 0,
        }
    }

    /// The number of packets.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no packet.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// The packet which arrived first.
    #[inline]
    pub fn front(&self) -> Option<&SkBuff> {
        self.head.as_ref()
    }

    /// Appends a packet.
    #[inline]
    pub fn push_back(&mut self, mut skb: SkBuff) {
        set_next(skb.fields_mut(), None);
        let new = skb.0;

        match self.tail {
            Some(mut tail) => {
                // SAFETY: `tail` is a buffer which the queue owns, and the queue is borrowed
                // exclusively.
                set_next(unsafe { tail.as_mut() }, Some(skb));
            }
            None => self.head = Some(skb),
        }

        // INVARIANT: The new buffer is linked last.
        self.tail = Some(new);
        self.len = self.len.wrapping_add(1);
    }

    /// Removes the packet which arrived first.
    #[inline]
    pub fn pop_front(&mut self) -> Option<SkBuff> {
        let mut skb = self.head.take()?;
        let second = NonNull::new(next(skb.fields()));
        set_next(skb.fields_mut(), None);

        // INVARIANT: The second buffer is now the first; without one, the removed was the last.
        self.head = second.map(|second| {
            // SAFETY: The queue owns the buffer that its first one is linked to. The link, by which
            // it was owned, was cleared above.
            unsafe { SkBuff::from_raw(second) }
        });
        if self.head.is_none() {
            self.tail = None;
        }
        self.len = self.len.wrapping_sub(1);

        Some(skb)
    }

    /// Drops every packet for the given reason.
    pub fn purge(&mut self, reason: DropReason) {
        while let Some(skb) = self.pop_front() {
            skb.drop_any(reason);
        }
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.purge(DropReason::QueuePurge);
    }
}

/// Links a buffer to the one that follows, which it owns from then on.
#[inline]
fn set_next(skb: &mut bindings::sk_buff, next: Option<SkBuff>) {
    let next = next.map_or(core::ptr::null_mut(), |next| next.into_raw().as_ptr());

    skb.__bindgen_anon_1.__bindgen_anon_1.next = next;
}
