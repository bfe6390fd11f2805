// SPDX-License-Identifier: GPL-2.0

//! What `ethtool` shows of network devices.
//!
//! C header: [`include/linux/ethtool.h`](srctree/include/linux/ethtool.h)

// The kernel's `bindings` crate knows `struct net_device` by name only, and declares these operations
// by that type. In its own tree, both are the same.
use kernel::bindings::net_device as ForeignDevice;

use super::netdevice::{
    Device,
    Operations, //
};
use crate::{
    bindings,
    prelude::*, //
};

/// The length of the name of a statistic, in bytes.
const NAME_LEN: usize = bindings::ETH_GSTRING_LEN as usize;

/// The operations of devices with the operations `T`.
pub(super) const fn ops<T: Operations>() -> &'static bindings::ethtool_ops {
    const {
        &bindings::ethtool_ops {
            get_link: Some(bindings::ethtool_op_get_link),
            get_ts_info: Some(bindings::ethtool_op_get_ts_info),
            get_sset_count: Some(get_sset_count_callback::<T>),
            get_strings: Some(get_strings_callback::<T>),
            get_ethtool_stats: Some(get_ethtool_stats_callback::<T>),
            ..pin_init::zeroed()
        }
    }
}

/// # Safety
///
/// Called by C only, as documented in `struct ethtool_ops`.
unsafe extern "C" fn get_sset_count_callback<T: Operations>(
    _dev: *mut ForeignDevice,
    sset: c_int,
) -> c_int {
    if sset as c_uint != bindings::ethtool_stringset_ETH_SS_STATS {
        return EOPNOTSUPP.to_errno();
    }

    const { T::STAT_NAMES.len() as c_int }
}

/// # Safety
///
/// Called by C only, as documented in `struct ethtool_ops`: `data` has room for as many names as
/// [`get_sset_count_callback`] has returned for this set.
unsafe extern "C" fn get_strings_callback<T: Operations>(
    _dev: *mut ForeignDevice,
    sset: u32,
    data: *mut u8,
) {
    if sset != bindings::ethtool_stringset_ETH_SS_STATS {
        return;
    }
    let len = const { T::STAT_NAMES.len() * NAME_LEN };

    // SAFETY: The caller has allocated that many initialised bytes, which it does not access before
    // this function has returned.
    let data = unsafe { core::slice::from_raw_parts_mut(data, len) };

    store_names(data, T::STAT_NAMES);
}

/// Stores each name at the start of its field of `data`. Not inlined: a driver that is to have no
/// checked arithmetic would get it from here.
#[inline(never)]
fn store_names(data: &mut [u8], names: &[&CStr]) {
    for (field, name) in data.chunks_exact_mut(NAME_LEN).zip(names) {
        // The last byte stays 0, so that the name ends within its field.
        let (text, _) = field.split_at_mut(NAME_LEN - 1);
        for (to, &from) in text.iter_mut().zip(name.to_bytes()) {
            *to = from;
        }
    }
}

/// # Safety
///
/// Called by C only, as documented in `struct ethtool_ops`: `dev` is registered, `data` has room for
/// as many values as [`get_sset_count_callback`] has returned for the statistics.
unsafe extern "C" fn get_ethtool_stats_callback<T: Operations>(
    dev: *mut ForeignDevice,
    _stats: *mut bindings::ethtool_stats,
    data: *mut u64,
) {
    // SAFETY: This operation is installed only on devices with the operations `T`, and called only
    // while they are registered.
    let dev = unsafe { Device::<T>::from_raw(dev.cast()) };
    // SAFETY: The caller has allocated that many initialised values, which it does not access before
    // this function has returned.
    let data = unsafe { core::slice::from_raw_parts_mut(data, const { T::STAT_NAMES.len() }) };

    T::ethtool_stats(dev, data);
}
