// SPDX-License-Identifier: GPL-2.0

//! In place of the driver's file: nobody looks at a queue.

use kernel::{
    debugfs::{
        Dir,
        File, //
    },
    error::{
        Result,
        EIO, //
    },
    net::{
        napi::Napi,
        netdevice::Device, //
    },
    sync::{
        aref::ARef,
        Arc, //
    },
    xen::ring::Observer, //
};

use crate::{
    guest_tx::poll::Poller,
    interface::Interface,
    shared::Shared, //
};

pub(crate) struct QueueView {
    pub(crate) dev: ARef<Device<Interface>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) napi: Arc<Napi<Poller>>,
    pub(crate) tx_ring: Observer,
    pub(crate) rx_ring: Observer,
}

impl QueueView {
    pub(crate) fn publish(self, _: &Dir) -> Result<File<Self>> {
        Err(EIO)
    }
}
