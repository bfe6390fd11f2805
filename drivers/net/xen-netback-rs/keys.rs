// SPDX-License-Identifier: GPL-2.0

//! The keys in a directory of xenstore.

use core::cell::Cell;

use kernel::{
    prelude::*,
    str::CString,
    xen::xenstore::{
        self,
        Value,
        STORE, //
    }, //
};

use crate::params;

/// Returns what `judge` makes of the keys in `dir`, which it reads by the function that it gets; a key that does not
/// exist is [`None`].
///
/// # Errors
///
/// `ENOMEM` if there was no memory to read one of them: it is not to be taken for one that does not exist.
pub(crate) fn judge<T>(
    dir: &CStr,
    judge: impl FnOnce(&dyn Fn(&'static str) -> Option<Value>) -> T,
) -> Result<T> {
    let starved = Cell::new(false);
    let judged = judge(&|key| {
        let read = CString::try_from_fmt(fmt!("{}", key)).and_then(|key| STORE.read(dir, &key));
        if let Err(ENOMEM) = read {
            starved.set(true);
        }
        read.ok()
    });
    match starved.get() {
        true => Err(ENOMEM),
        false => Ok(judged),
    }
}

/// Writes into `dir` what a frontend may use.
pub(crate) fn offer(dir: &CStr, queues: u32, headroom: bool) -> Result {
    xenstore::transaction(|store| {
        for (key, value) in [
            (c"feature-sg", 1),
            (c"feature-gso-tcpv4", 1),
            (c"feature-gso-tcpv6", 1),
            (c"feature-ipv6-csum-offload", 1),
            (c"feature-rx-copy", 1),
            (c"feature-rx-flip", 0),
            (c"feature-ctrl-ring", 1),
            (c"feature-multicast-control", 1),
            (c"feature-dynamic-multicast-control", 1),
            (c"feature-xdp-headroom", u32::from(headroom)),
            (
                c"feature-split-event-channels",
                u32::from(params::SEPARATE_TX_RX_IRQ.get()),
            ),
            (c"multi-queue-max-queues", queues),
        ] {
            store.write(dir, key, fmt!("{}", value))?;
        }
        Ok(())
    })
}
