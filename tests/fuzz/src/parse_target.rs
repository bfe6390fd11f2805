// SPDX-License-Identifier: GPL-2.0

//! A ring of requests from the guest: a byte for the administrator's limit, and slots.

use crate::guest_tx::parse_reference::drain;

/// Slots of a ring.
const SLOTS: usize = 256;

pub(crate) fn run(data: &[u8]) {
    let Some((&limit, rest)) = data.split_first() else {
        return;
    };
    let slots: Vec<_> = rest
        .chunks_exact(12)
        .take(SLOTS)
        .map(|slot| slot.try_into().expect("has that length"))
        .collect();
    // Compares with the rules written down a second time.
    let answered = drain(&slots, 18 + u32::from(limit));
    assert!(answered <= slots.len(), "more was taken than was posted");
}
