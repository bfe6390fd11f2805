// SPDX-License-Identifier: GPL-2.0

//! The life of a network device.

use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};

use super::{
    callbacks,
    private_data,
    Device,
    Features,
    Operations, //
};
use crate::{
    bindings,
    device,
    error::to_result,
    module::this_module,
    net::{
        ethtool,
        stats, //
    },
    oot,
    prelude::*,
    sync::aref::ARef,
    types::ScopeGuard, //
};

/// The flag which says that a device can be sent packets that have other references.
const IFF_TX_SKB_SHARING: c_ulong = bindings::netdev_priv_flags_IFF_TX_SKB_SHARING as c_ulong;

/// What a network device is created with.
pub struct Config<'a> {
    /// The name, shorter than 16 bytes; `%d` in it stands for the first free number.
    pub name: &'a CStr,
    /// The number of transmit and of receive queues; not 0.
    pub queues: u16,
    /// The device which the network device belongs to.
    pub parent: &'a device::Device,
    /// The Ethernet address.
    pub address: [u8; bindings::ETH_ALEN as usize],
    /// The smallest MTU, in bytes.
    pub min_mtu: u32,
    /// The largest MTU, in bytes.
    pub max_mtu: u32,
    /// The features which are on at first.
    pub features: Features,
    /// The features which can be turned on and off.
    pub hw_features: Features,
}

/// The memory of a network device with its private data.
///
/// # Invariants
///
/// The device has initialised private data of the type `T`. It was never registered, or the
/// unregistration is complete, except while it is inside of a [`Registration`].
struct Allocation<T: Operations> {
    dev: NonNull<bindings::net_device>,
    /// The private data is owned, but stays where it is when this value moves.
    data: PhantomData<KBox<T>>,
}

impl<T: Operations> Allocation<T> {
    /// Allocates a device which is like any Ethernet device.
    fn new(name: &CStr, queues: u16, data: impl PinInit<T, Error>) -> Result<Self> {
        const { assert!(align_of::<T>() <= align_of::<bindings::net_device>()) };
        const { assert!(size_of::<T>() <= c_int::MAX as usize) };

        if name.to_bytes_with_nul().len() > bindings::IFNAMSIZ as usize || queues == 0 {
            return Err(EINVAL);
        }
        let queues = u32::from(queues);

        // SAFETY: The name fits, the number of queues is in the limits, and the set-up function is the
        // one which C has for this.
        let dev = NonNull::new(unsafe {
            bindings::alloc_netdev_mqs(
                const { size_of::<T>() as c_int },
                name.as_char_ptr(),
                bindings::NET_NAME_UNKNOWN as c_uchar,
                Some(bindings::ether_setup),
                queues,
                queues,
            )
        })
        .ok_or(ENOMEM)?;
        let guard = ScopeGuard::new(|| {
            // SAFETY: The device was allocated above, and nothing else knows it.
            unsafe { bindings::free_netdev(dev.as_ptr()) }
        });

        // SAFETY: The memory was allocated for a `T`, with an alignment that suffices, and is not
        // moved; when this fails, it is freed without being used.
        unsafe { pin_init::raw_try_init(private_data::<T>(dev.as_ptr()), data) }?;

        guard.dismiss();
        // INVARIANT: The private data was initialised.
        Ok(Self {
            dev,
            data: PhantomData,
        })
    }
}

impl<T: Operations> Drop for Allocation<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the private data is initialised. The operations, which could
        // use it, are not called for a device which is not registered.
        unsafe { core::ptr::drop_in_place(private_data::<T>(self.dev.as_ptr())) };

        // SAFETY: By the type invariant the device is not registered. It is this value's to free.
        unsafe { bindings::free_netdev(self.dev.as_ptr()) };
    }
}

/// A network device which is registered.
///
/// Dropping it unregisters the device, then waits until nobody has a reference to it, then drops its
/// private data. So nothing that keeps a reference, an [`ARef`] or a [`napi::Instance`], may depend on
/// that drop, or it waits for ever; in particular the private data must have none by then. Sleeps, and
/// takes the routing netlink lock.
///
/// The module of the operations cannot be unloaded as long as the value exists.
///
/// [`napi::Instance`]: crate::net::napi::Instance
///
/// # Invariants
///
/// The device is registered.
pub struct Registration<T: Operations> {
    device: Allocation<T>,
    /// `struct net_device` points to it.
    _parent: ARef<device::Device>,
    /// `struct net_device` points to its operations.
    _module: oot::ModuleRef,
}

// SAFETY: A network device belongs to no thread, and neither does its private data, which is `Send`.
unsafe impl<T: Operations> Send for Registration<T> {}

// SAFETY: A shared registration gives access to no more than the device, which is `Sync`.
unsafe impl<T: Operations> Sync for Registration<T> {}

impl<T: Operations> Registration<T> {
    /// Creates a network device without a carrier, and registers it. Sleeps, and takes the routing
    /// netlink lock.
    ///
    /// The operations may be called before this returns.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a name or a number of queues out of the limits, `EEXIST` if the name is in use,
    /// `EINTR` if the thread is being killed, `ENOMEM`, and what `data` or somebody who is notified
    /// of new devices fails with.
    pub fn new(config: &Config<'_>, data: impl PinInit<T, Error>) -> Result<Self> {
        let module = oot::ModuleRef::new(this_module::<T::OwnerModule>())?;
        let parent = ARef::from(config.parent);
        let device = Allocation::new(config.name, config.queues, data)?;
        let dev = device.dev.as_ptr();

        {
            // SAFETY: The device was allocated above, and nothing else knows it.
            let fields = unsafe { &mut *dev };

            fields.dev.parent = oot::device_as_raw(&parent);
            fields.netdev_ops = callbacks::ops::<T>();
            fields.ethtool_ops = ethtool::ops::<T>();
            fields.stat_ops = stats::ops::<T>();
            fields.features = config.features.0;
            fields.hw_features = config.hw_features.0;
            fields.min_mtu = config.min_mtu;
            fields.max_mtu = config.max_mtu;

            // SAFETY: Both variants of the union have the same members, which are initialised.
            let flags = unsafe { &mut fields.__bindgen_anon_1.__bindgen_anon_1 };
            // A packet which is given to `Operations::start_xmit` must not be sent again before it is freed.
            flags.set_priv_flags(flags.priv_flags() & !IFF_TX_SKB_SHARING);
        }

        // SAFETY: The device is valid, and has an address of that many bytes.
        unsafe {
            bindings::dev_addr_mod(dev, 0, config.address.as_ptr().cast(), config.address.len())
        };
        // SAFETY: The device is valid.
        unsafe { bindings::netif_carrier_off(dev) };

        // SAFETY: The device is set up completely, and not registered. On failure it is not
        // registered either, and everybody who knew it has forgotten it.
        to_result(unsafe { bindings::register_netdev(dev) })?;

        // INVARIANT: The device was registered just now.
        Ok(Self {
            device,
            _parent: parent,
            _module: module,
        })
    }

    /// A reference to the device.
    pub fn device(&self) -> ARef<Device<T>> {
        ARef::from(&**self)
    }
}

impl<T: Operations> Deref for Registration<T> {
    type Target = Device<T>;

    #[inline]
    fn deref(&self) -> &Device<T> {
        // SAFETY: By the type invariant the device is registered as long as this value exists, and
        // its private data was initialised before.
        unsafe { Device::from_raw(self.device.dev.as_ptr()) }
    }
}

impl<T: Operations> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: The device is registered by the type invariant.
        unsafe { bindings::unregister_netdev(self.device.dev.as_ptr()) };
    }
}
