// SPDX-License-Identifier: GPL-2.0

//! In place of the driver's file: every request is a packet, which is answered and goes nowhere.

use kernel::{
    error::Result,
    net::{
        napi,
        netdevice::Registration, //
    },
    sync::Arc,
    time::Jiffies,
    xen::{
        events::Port,
        netif::{
            self,
            TxReply, //
        },
        ring::BackRing,
        DomId, //
    }, //
};

use crate::{
    interface::{
        Fault,
        Interface, //
    },
    shared::Shared, //
};

pub(crate) struct Round {
    pub(crate) chains: usize,
    pub(crate) bytes: u64,
    pub(crate) limited: Option<Jiffies>,
}

pub(crate) struct Incoming {
    pub(crate) ring: BackRing<netif::Tx>,
    port: Arc<Port>,
    shared: Arc<Shared>,
}

impl Incoming {
    pub(crate) fn new(
        ring: BackRing<netif::Tx>,
        _: DomId,
        port: Arc<Port>,
        shared: Arc<Shared>,
        _: &Registration<Interface>,
    ) -> Result<Self> {
        Ok(Self { ring, port, shared })
    }

    pub(crate) fn round(
        &mut self,
        _: &mut napi::Context<'_>,
        limit: usize,
    ) -> Result<Round, Fault> {
        let chains = limit.min(self.ring.unconsumed()? as usize);
        for _ in 0..chains {
            let [id0, id1, ..] = self.ring.take().bytes();
            self.ring.respond(TxReply([id0, id1, 0, 0]));
        }
        self.shared.tx_position.set(self.ring.position());
        if self.ring.publish() {
            self.port.notify();
        }
        Ok(Round {
            chains,
            // A poll takes no more than two of them.
            bytes: (chains as u64) << 17,
            limited: None,
        })
    }
}
