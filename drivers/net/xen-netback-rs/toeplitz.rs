// SPDX-License-Identifier: GPL-2.0

//! The Toeplitz hash over the addresses and ports of a packet.
//!
//! Input and key are strings of bits, the most significant bit of each byte first. The hash is the
//! exclusive or, over all bits of the input that are set, of the 32 bits of the key that begin at the
//! same place.
//!
//! So the hash is a sum of one term for each half byte of the input, which depends on nothing but that
//! half byte and its place. A table holds all of them.

/// Bytes of a key.
pub(crate) const KEY_LEN: usize = 40;

/// Bytes of the longest input: two addresses of IPv6 and two ports.
pub(crate) const MAX_INPUT: usize = 36;

/// A key.
pub(crate) type Key = [u8; KEY_LEN];

/// What one byte of the input adds to the hash, by the value of each of its halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    high: [u32; 16],
    low: [u32; 16],
}

impl Terms {
    /// Computes the terms of the byte of which the first bit belongs to the first bit of `key`, of
    /// which 39 bits matter.
    fn new(key: [u8; 5]) -> Self {
        let [a, b, c, d, e] = key;
        let bits = u64::from_be_bytes([a, b, c, d, e, 0, 0, 0]);
        Self {
            high: half(bits),
            low: half(bits << 4),
        }
    }

    #[inline]
    fn term(&self, byte: u8) -> u32 {
        // Both indices are less than 16.
        let high = self.high.get(usize::from(byte >> 4));
        let low = self.low.get(usize::from(byte & 0xf));
        high.copied().unwrap_or(0) ^ low.copied().unwrap_or(0)
    }
}

/// The terms of half a byte of which the first bit belongs to the first bit of `key`.
fn half(key: u64) -> [u32; 16] {
    let bits = [(8u8, key), (4, key << 1), (2, key << 2), (1, key << 3)];
    let mut value = 0u8;
    [(); 16].map(|()| {
        let term = bits
            .into_iter()
            .filter(|(bit, _)| value & bit != 0)
            .fold(0, |term, (_, key)| term ^ key);
        value = value.wrapping_add(1);
        (term >> 32) as u32
    })
}

/// The table for `key`: the terms of each byte of the input, in order.
pub(crate) fn table(key: &Key) -> impl Iterator<Item = Terms> + '_ {
    key.windows(5)
        .filter_map(|window| window.try_into().ok())
        .map(Terms::new)
        .take(MAX_INPUT)
}

/// What `bytes` add to the hash of an input in which they begin at byte `at`.
///
/// The hash of an input is the exclusive or of what its parts add. Bytes beyond [`MAX_INPUT`] add
/// nothing.
#[inline]
pub(crate) fn part(table: &[Terms], at: usize, bytes: &[u8]) -> u32 {
    let terms = table.get(at..).unwrap_or_default();
    terms
        .iter()
        .zip(bytes)
        .fold(0, |hash, (terms, byte)| hash ^ terms.term(*byte))
}
