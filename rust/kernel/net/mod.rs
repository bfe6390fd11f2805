// SPDX-License-Identifier: GPL-2.0

//! Networking.

pub use kernel::net::*;

pub mod ethtool;
pub mod napi;
pub mod netdevice;
pub mod page_pool;
pub mod rtnl;
pub mod skbuff;
pub mod stats;
pub mod trace;
