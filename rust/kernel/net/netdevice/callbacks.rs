// SPDX-License-Identifier: GPL-2.0

//! The functions by which C calls the operations of a network device.

use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use super::{
    Device,
    Features,
    Operations,
    Selection,
    TxOutcome, //
};
use crate::{
    bindings,
    error::from_result,
    net::{
        rtnl,
        skbuff::{
            DropReason,
            SkBuff, //
        }, //
    },
    prelude::*, //
};

/// The operations of devices with the operations `T`.
pub(super) const fn ops<T: Operations>() -> &'static bindings::net_device_ops {
    const {
        &bindings::net_device_ops {
            ndo_open: Some(open_callback::<T>),
            ndo_stop: Some(stop_callback::<T>),
            ndo_start_xmit: Some(start_xmit_callback::<T>),
            ndo_select_queue: if T::HAS_SELECT_QUEUE {
                Some(select_queue_callback::<T>)
            } else {
                None
            },
            ndo_get_stats64: Some(get_stats64_callback::<T>),
            ndo_change_mtu: if T::HAS_CHANGE_MTU {
                Some(change_mtu_callback::<T>)
            } else {
                None
            },
            ndo_fix_features: if T::HAS_FIX_FEATURES {
                Some(fix_features_callback::<T>)
            } else {
                None
            },
            ndo_set_mac_address: Some(bindings::eth_mac_addr),
            ndo_validate_addr: Some(bindings::eth_validate_addr),
            ..pin_init::zeroed()
        }
    }
}

/// # Safety
///
/// Called by C only, with a registered device of the operations `T`.
unsafe extern "C" fn open_callback<T: Operations>(dev: *mut bindings::net_device) -> c_int {
    // SAFETY: The device is registered during the call, and has the operations `T`.
    let dev = unsafe { Device::<T>::from_raw(dev) };
    // SAFETY: C holds the lock around this call.
    let rtnl = unsafe { rtnl::Guard::borrowed() };

    from_result(|| T::open(dev, &rtnl).map(|()| 0))
}

/// # Safety
///
/// Called by C only, with a registered device of the operations `T`.
unsafe extern "C" fn stop_callback<T: Operations>(dev: *mut bindings::net_device) -> c_int {
    // SAFETY: The device is registered during the call, and has the operations `T`.
    let dev = unsafe { Device::<T>::from_raw(dev) };
    // SAFETY: C holds the lock around this call.
    let rtnl = unsafe { rtnl::Guard::borrowed() };

    T::stop(dev, &rtnl);
    0
}

/// # Safety
///
/// Called by C only, with a registered device of the operations `T`, and a buffer of which it passes a
/// reference, unless the return value is `NETDEV_TX_BUSY`.
unsafe extern "C" fn start_xmit_callback<T: Operations>(
    skb: *mut bindings::sk_buff,
    dev: *mut bindings::net_device,
) -> bindings::netdev_tx_t {
    // SAFETY: The device is registered during the call, and has the operations `T`.
    let dev = unsafe { Device::<T>::from_raw(dev) };
    // SAFETY: C passes a buffer, which is on no list.
    let owned = unsafe { NonNull::new_unchecked(skb) };
    // SAFETY: A reference is passed. Shared buffers are not sent to the device, except by pktgen, which
    // does nothing with its own reference but drop it.
    let mut owned = unsafe { SkBuff::from_raw(owned) };

    if owned.flatten().is_err() {
        owned.drop_any(DropReason::NoMemory);
        return bindings::netdev_tx_NETDEV_TX_OK;
    }

    match T::start_xmit(dev, owned) {
        // The caller keeps using the buffer that it has passed: no other can be given back.
        TxOutcome::Busy(back) if back.as_raw() == skb => {
            let _ = back.into_raw();
            bindings::netdev_tx_NETDEV_TX_BUSY
        }
        TxOutcome::Busy(_) | TxOutcome::Ok => bindings::netdev_tx_NETDEV_TX_OK,
    }
}

/// # Safety
///
/// Called by C only, with a registered device of the operations `T`, and a buffer which it owns.
unsafe extern "C" fn select_queue_callback<T: Operations>(
    dev: *mut bindings::net_device,
    skb: *mut bindings::sk_buff,
    _sb_dev: *mut bindings::net_device,
) -> u16 {
    // SAFETY: The device is registered during the call, and has the operations `T`.
    let this = unsafe { Device::<T>::from_raw(dev) };
    // SAFETY: C passes a buffer.
    let borrowed = unsafe { NonNull::new_unchecked(skb) };
    // SAFETY: A reference is the caller's, who does not use it during the call. It is given
    // back below.
    let borrowed = ManuallyDrop::new(unsafe { SkBuff::from_raw(borrowed) });

    match T::select_queue(this, &borrowed) {
        Selection::Default => {
            // SAFETY: Both pointers are valid as C has passed them.
            unsafe { bindings::netdev_pick_tx(dev, skb, core::ptr::null_mut()) }
        }
        Selection::Queue(index) => index,
    }
}

/// # Safety
///
/// Called by C only, with a registered device of the operations `T`, and statistics to be stored.
unsafe extern "C" fn get_stats64_callback<T: Operations>(
    dev: *mut bindings::net_device,
    stats: *mut bindings::rtnl_link_stats64,
) {
    // SAFETY: The device is not unregistered completely during the call, and has the operations `T`.
    let dev = unsafe { Device::<T>::from_raw(dev) };
    // SAFETY: C passes statistics of its own, which are 0.
    let stats = unsafe { &mut *stats };

    T::stats64(dev).store(stats);
}

/// # Safety
///
/// Called by C only, with a registered device of the operations `T`.
unsafe extern "C" fn change_mtu_callback<T: Operations>(
    dev: *mut bindings::net_device,
    mtu: c_int,
) -> c_int {
    // SAFETY: The device is registered during the call, and has the operations `T`.
    let this = unsafe { Device::<T>::from_raw(dev) };

    from_result(|| {
        let mtu = u32::try_from(mtu).map_err(|_| EINVAL)?;
        T::change_mtu(this, mtu)?;

        // SAFETY: The device is valid; writers of the MTU hold the lock under which C calls this.
        let field = unsafe { &raw mut (*dev).mtu };
        // SAFETY: As above. Others may be reading.
        unsafe { field.write_volatile(mtu) };
        Ok(0)
    })
}

/// # Safety
///
/// Called by C only, with a registered device of the operations `T`.
unsafe extern "C" fn fix_features_callback<T: Operations>(
    dev: *mut bindings::net_device,
    features: bindings::netdev_features_t,
) -> bindings::netdev_features_t {
    // SAFETY: The device is registered during the call, and has the operations `T`.
    let dev = unsafe { Device::<T>::from_raw(dev) };

    T::fix_features(dev, Features(features)).0
}
