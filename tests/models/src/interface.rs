// SPDX-License-Identifier: GPL-2.0

//! In place of the driver's file: an interface whose guest asks for nothing and breaks nothing.

use kernel::{
    net::{
        netdevice::Device,
        skbuff::SkBuff, //
    },
    xen::ring::Overflow, //
};

use crate::{
    guest_rx::plan::Headroom,
    wire::Hash, //
};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault;

impl From<Overflow> for Fault {
    fn from(_: Overflow) -> Self {
        Fault
    }
}

pub(crate) struct Interface;

impl Interface {
    pub(crate) fn is_faulty(&self) -> bool {
        false
    }

    pub(crate) fn raise(&self, _: &Device<Self>, _: Fault) {
        panic!("the frontend breaks no rule");
    }

    pub(crate) fn try_report_fault(&self) -> bool {
        true
    }

    pub(crate) fn queue_stalled(&self, _: &Device<Self>) {}

    pub(crate) fn queue_recovered(&self, _: &Device<Self>) {}

    pub(crate) fn hash(&self, _: &SkBuff) -> Option<Hash> {
        None
    }

    pub(crate) fn headroom(&self) -> Headroom {
        Headroom::default()
    }
}
