// SPDX-License-Identifier: GPL-2.0

//! The multicast addresses which a guest wants to receive.

/// Addresses which a guest may name.
pub(crate) const MAX: usize = 64;

/// An Ethernet address.
pub(crate) type Address = [u8; 6];

/// Whether frames to `address` are for a group of receivers which is not that of all.
pub(crate) fn is_multicast(address: Address) -> bool {
    let [first, ..] = address;
    first & 1 != 0 && address != [0xff; 6]
}

/// No more addresses can be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// A set of addresses.
///
/// Any address is accepted: what no multicast frame is sent to takes up a place, and does nothing else.
///
/// # Invariants
///
/// - `len` is at most [`MAX`].
/// - The first `len` members of `list` are different from each other.
#[derive(Debug)]
pub(crate) struct Addresses {
    list: [Address; MAX],
    len: usize,
}

impl Addresses {
    /// No address.
    pub(crate) const fn new() -> Self {
        Self {
            list: [[0; 6]; MAX],
            len: 0,
        }
    }

    /// Adds an address, unless it is there already.
    pub(crate) fn add(&mut self, address: Address) -> Result<(), Full> {
        if self.contains(address) {
            return Ok(());
        }
        // INVARIANT: The address is a new one. There is no place behind the last one.
        *self.list.get_mut(self.len).ok_or(Full)? = address;
        self.len = self.len.wrapping_add(1);
        Ok(())
    }

    /// Removes an address, if it is there.
    pub(crate) fn remove(&mut self, address: Address) {
        let last = self.known().last().copied();
        let place = self.known_mut().iter_mut().find(|known| **known == address);
        if let (Some(place), Some(last)) = (place, last) {
            // INVARIANT: The last one takes the place, and is given up where it was.
            *place = last;
            self.len = self.len.wrapping_sub(1);
        }
    }

    /// Whether an address is there.
    pub(crate) fn contains(&self, address: Address) -> bool {
        self.known().contains(&address)
    }

    fn known(&self) -> &[Address] {
        self.list.get(..self.len).unwrap_or_default()
    }

    fn known_mut(&mut self) -> &mut [Address] {
        self.list.get_mut(..self.len).unwrap_or_default()
    }
}
