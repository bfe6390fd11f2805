// SPDX-License-Identifier: GPL-2.0

//! Features of network devices.
//!
//! C header: [`include/linux/netdev_features.h`](srctree/include/linux/netdev_features.h)

use core::ops::{
    BitAnd,
    BitOr,
    Not, //
};

use crate::bindings;

/// A set of the features of a network device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features(pub(super) u64);

impl Features {
    /// No feature.
    pub const NONE: Self = Self(0);
    /// Packets of several fragments can be sent.
    pub const SG: Self = Self::bit(bindings::NETIF_F_SG_BIT);
    /// The checksums of TCP and UDP over IPv4 can be left to be completed.
    pub const IP_CSUM: Self = Self::bit(bindings::NETIF_F_IP_CSUM_BIT);
    /// The checksums of TCP and UDP over IPv6 can be left to be completed.
    pub const IPV6_CSUM: Self = Self::bit(bindings::NETIF_F_IPV6_CSUM_BIT);
    /// Several segments of TCP over IPv4 can be sent at once.
    pub const TSO: Self = Self::bit(bindings::NETIF_F_TSO_BIT);
    /// Several segments of TCP over IPv6 can be sent at once.
    pub const TSO6: Self = Self::bit(bindings::NETIF_F_TSO6_BIT);
    /// Packets with a list of further buffers can be sent.
    pub const FRAGLIST: Self = Self::bit(bindings::NETIF_F_FRAGLIST_BIT);
    /// The checksums of received packets are looked after.
    pub const RXCSUM: Self = Self::bit(bindings::NETIF_F_RXCSUM_BIT);

    /// The set of one feature, given by its number in C.
    #[inline]
    const fn bit(bit: u32) -> Self {
        Self(1 << bit)
    }

    /// Whether every feature of `other` is in this set.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Features {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Features {
    type Output = Self;

    #[inline]
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for Features {
    type Output = Self;

    #[inline]
    fn not(self) -> Self {
        Self(!self.0)
    }
}
