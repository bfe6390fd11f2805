// SPDX-License-Identifier: GPL-2.0

//! The network stack.

pub mod napi;
pub mod netdevice;
pub mod skbuff;

pub mod rtnl {
    //! The lock of the network's configuration.

    /// It is held.
    pub struct Guard;
}

pub mod trace {
    //! Trace events, which nobody listens to.

    use super::netdevice::Device;

    pub fn copy<T>(_: &Device<T>, _: u16, _: bool, _: usize, _: usize) {}
    pub fn expire<T>(_: &Device<T>, _: u16, _: usize) {}
    pub fn stall<T>(_: &Device<T>, _: u16, _: u32) {}
    pub fn recover<T>(_: &Device<T>, _: u16) {}
}
