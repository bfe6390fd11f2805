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
    fmt,
    num::casts::u32_as_usize,
    prelude::*, //
};

/// The length of the name of a statistic, in bytes.
const NAME_LEN: usize = bindings::ETH_GSTRING_LEN as usize;

/// The sizes of what says how packets are spread over queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SteeringSize {
    /// Bytes of the key of the hash function.
    pub key: u32,
    /// Entries of the table of queues.
    pub table: u32,
}

/// How packets are hashed that are spread over queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashFunction {
    /// Not in a way that could be told.
    Unknown,
    /// By the function of Toeplitz.
    Toeplitz,
}

impl HashFunction {
    fn into_raw(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Toeplitz => 1 << bindings::ETH_RSS_HASH_TOP_BIT,
        }
    }
}

/// The operations of devices with the operations `T`.
pub(super) const fn ops<T: Operations>() -> &'static bindings::ethtool_ops {
    const {
        &bindings::ethtool_ops {
            get_link: Some(bindings::ethtool_op_get_link),
            get_ts_info: Some(bindings::ethtool_op_get_ts_info),
            get_ringparam: Some(get_ringparam_callback::<T>),
            get_channels: Some(get_channels_callback::<T>),
            get_sset_count: Some(get_sset_count_callback::<T>),
            get_strings: Some(get_strings_callback::<T>),
            get_ethtool_stats: Some(get_ethtool_stats_callback::<T>),
            get_rx_ring_count: Some(get_rx_ring_count_callback::<T>),
            get_rxfh_key_size: if T::HAS_STEERING_SIZE {
                Some(get_rxfh_key_size_callback::<T>)
            } else {
                None
            },
            get_rxfh_indir_size: if T::HAS_STEERING_SIZE {
                Some(get_rxfh_indir_size_callback::<T>)
            } else {
                None
            },
            get_rxfh: if T::HAS_STEERING {
                Some(get_rxfh_callback::<T>)
            } else {
                None
            },
            ..pin_init::zeroed()
        }
    }
}

/// # Safety
///
/// Called by C only, as documented in `struct ethtool_ops`.
unsafe extern "C" fn get_sset_count_callback<T: Operations>(
    dev: *mut ForeignDevice,
    sset: c_int,
) -> c_int {
    if sset as c_uint != bindings::ethtool_stringset_ETH_SS_STATS {
        return EOPNOTSUPP.to_errno();
    }
    // SAFETY: This operation is installed only on devices with the operations `T`, and called only
    // while they are registered.
    let dev = unsafe { Device::<T>::from_raw(dev.cast()) };

    // CAST: There are less than 2^16 queues, with a few statistics each.
    stat_count::<T>(dev) as c_int
}

/// The number of statistics: those of the device, and of each queue that it was created with, whether that
/// is in use or not, so that the number does not change.
fn stat_count<T: Operations>(dev: &Device<T>) -> usize {
    usize::from(dev.max_queues())
        .wrapping_mul(T::QUEUE_STAT_NAMES.len())
        .wrapping_add(T::STAT_NAMES.len())
}

/// # Safety
///
/// Called by C only, as documented in `struct ethtool_ops`: `data` has room for as many names as
/// [`get_sset_count_callback`] has returned for this set.
unsafe extern "C" fn get_strings_callback<T: Operations>(
    dev: *mut ForeignDevice,
    sset: u32,
    data: *mut u8,
) {
    if sset != bindings::ethtool_stringset_ETH_SS_STATS {
        return;
    }
    // SAFETY: This operation is installed only on devices with the operations `T`, and called only
    // while they are registered.
    let dev = unsafe { Device::<T>::from_raw(dev.cast()) };
    let len = stat_count::<T>(dev).wrapping_mul(NAME_LEN);
    // SAFETY: The caller has allocated that many initialised bytes, which it does not access before
    // this function has returned.
    let data = unsafe { core::slice::from_raw_parts_mut(data, len) };

    store_names(data, T::STAT_NAMES, T::QUEUE_STAT_NAMES);
}

/// Stores each name at the start of its field of `data`: those of the device, then those of one queue after
/// the other.
fn store_names(data: &mut [u8], names: &[&CStr], queue_names: &[&CStr]) {
    let mut fields = data.chunks_exact_mut(NAME_LEN);

    for (name, field) in names.iter().zip(&mut fields) {
        store_name(field, fmt!("{}", *name));
    }
    let queues = (0..u16::MAX).flat_map(|queue| queue_names.iter().map(move |name| (queue, name)));
    for ((queue, name), field) in queues.zip(fields) {
        store_name(field, fmt!("q{queue}_{}", *name));
    }
}

/// Stores a name, cut where its field ends before the last byte, which stays 0.
fn store_name(field: &mut [u8], name: fmt::Arguments<'_>) {
    struct Field<'a>(&'a mut [u8]);

    impl fmt::Write for Field<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = self.0.len().saturating_sub(1).min(text.len());
            let (text, _) = text.as_bytes().split_at(room);
            let (to, rest) = core::mem::take(&mut self.0).split_at_mut(room);
            to.copy_from_slice(text);
            self.0 = rest;
            Ok(())
        }
    }

    // Does not fail.
    let _ = fmt::Write::write_fmt(&mut Field(field), name);
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
    let data = unsafe { core::slice::from_raw_parts_mut(data, stat_count::<T>(dev)) };

    data.fill(0);
    let Some((of_device, of_queues)) = data.split_at_mut_checked(T::STAT_NAMES.len()) else {
        return;
    };
    T::ethtool_stats(dev, of_device);
    let of_queues = of_queues.chunks_exact_mut(T::QUEUE_STAT_NAMES.len().max(1));
    for (queue, out) in (0..dev.max_queues()).zip(of_queues) {
        T::ethtool_queue_stats(dev, queue, out);
    }
}

/// # Safety
///
/// Called by C only, as documented in `struct ethtool_ops`: `dev` is registered, `params` is to be stored.
unsafe extern "C" fn get_ringparam_callback<T: Operations>(
    _dev: *mut ForeignDevice,
    params: *mut bindings::ethtool_ringparam,
    _kernel_params: *mut bindings::kernel_ethtool_ringparam,
    _extack: *mut bindings::netlink_ext_ack,
) {
    // SAFETY: The caller passes a structure of its own, which is initialised.
    let params = unsafe { &mut *params };

    params.rx_max_pending = T::RING_SLOTS;
    params.tx_max_pending = T::RING_SLOTS;
    params.rx_pending = T::RING_SLOTS;
    params.tx_pending = T::RING_SLOTS;
}

/// # Safety
///
/// Called by C only, as documented in `struct ethtool_ops`: `dev` is registered, `channels` is to be stored.
unsafe extern "C" fn get_channels_callback<T: Operations>(
    dev: *mut ForeignDevice,
    channels: *mut bindings::ethtool_channels,
) {
    // SAFETY: This operation is installed only on devices with the operations `T`, and called only
    // while they are registered.
    let dev = unsafe { Device::<T>::from_raw(dev.cast()) };
    // SAFETY: The caller passes a structure of its own, which is initialised.
    let channels = unsafe { &mut *channels };

    channels.max_combined = dev.max_queues().into();
    channels.combined_count = dev.real_queues().into();
}

/// # Safety
///
/// Called by C only, as documented in `struct ethtool_ops`: `dev` is registered.
unsafe extern "C" fn get_rx_ring_count_callback<T: Operations>(dev: *mut ForeignDevice) -> u32 {
    // SAFETY: This operation is installed only on devices with the operations `T`, and called only
    // while they are registered.
    let dev = unsafe { Device::<T>::from_raw(dev.cast()) };

    // There are as many as transmit queues.
    u32::from(dev.real_queues())
}

/// # Safety
///
/// Called by C only, as documented in `struct ethtool_ops`: `dev` is registered.
unsafe extern "C" fn get_rxfh_key_size_callback<T: Operations>(dev: *mut ForeignDevice) -> u32 {
    // SAFETY: This operation is installed only on devices with the operations `T`, and called only
    // while they are registered.
    T::steering_size(unsafe { Device::<T>::from_raw(dev.cast()) }).key
}

/// # Safety
///
/// Called by C only, as documented in `struct ethtool_ops`: `dev` is registered.
unsafe extern "C" fn get_rxfh_indir_size_callback<T: Operations>(dev: *mut ForeignDevice) -> u32 {
    // SAFETY: This operation is installed only on devices with the operations `T`, and called only
    // while they are registered.
    T::steering_size(unsafe { Device::<T>::from_raw(dev.cast()) }).table
}

/// # Safety
///
/// Called by C only, as documented in `struct ethtool_ops`: `dev` is registered; each of the table and
/// the key of `param` is null, or has as many initialised elements as `param` says.
unsafe extern "C" fn get_rxfh_callback<T: Operations>(
    dev: *mut ForeignDevice,
    param: *mut bindings::ethtool_rxfh_param,
) -> c_int {
    // SAFETY: This operation is installed only on devices with the operations `T`, and called only
    // while they are registered.
    let dev = unsafe { Device::<T>::from_raw(dev.cast()) };
    // SAFETY: The caller passes a description of its own, which it does not access before this
    // function has returned.
    let param = unsafe { &mut *param };
    let table = match param.indir.is_null() {
        true => &mut [],
        // SAFETY: The caller has allocated that many initialised elements, which it does not access
        // before this function has returned.
        false => unsafe {
            core::slice::from_raw_parts_mut(param.indir, u32_as_usize(param.indir_size))
        },
    };
    let key = match param.key.is_null() {
        true => &mut [],
        // SAFETY: As above.
        false => unsafe {
            core::slice::from_raw_parts_mut(param.key, u32_as_usize(param.key_size))
        },
    };

    param.hfunc = T::steering(dev, table, key).into_raw();
    0
}
