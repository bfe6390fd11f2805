// SPDX-License-Identifier: GPL-2.0

//! Network devices.
//!
//! A driver implements [`Operations`] for the private data of its devices. [`Registration::new`]
//! creates such a device and makes it known; as long as that value lives, so do the device and its
//! private data.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use core::{
    marker::PhantomData,
    mem::offset_of,
    ptr::NonNull, //
};

use super::{
    ethtool,
    rtnl,
    skbuff::{
        self,
        SkBuff, //
    },
    stats::{
        QueueStats,
        Stats64, //
    }, //
};
use crate::{
    bindings,
    error::{
        to_result,
        VTABLE_DEFAULT_ERROR, //
    },
    fmt,
    prelude::*,
    str::BStr,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::Opaque, //
};

mod callbacks;
mod features;
mod registration;
#[cfg(CONFIG_KUNIT = "y")]
pub(super) mod tests;

pub use self::{
    features::Features,
    registration::{
        Config,
        Registration, //
    }, //
};

/// What became of a packet which was to be sent.
#[must_use]
pub enum TxOutcome {
    /// The device has taken it, to be sent or dropped.
    Ok,
    /// The device has no room: the packet goes back to the queue it came from.
    ///
    /// The queue must have been stopped, or it is tried again at once. The packet must be the one that
    /// was to be sent; another is dropped.
    Busy(SkBuff),
}

/// Which transmit queue a packet goes to.
pub enum Selection {
    /// What the stack chooses.
    Default,
    /// The queue with this index, or the first if there is none.
    Queue(u16),
}

/// The operations of a network device, implemented by its private data.
///
/// There is one instance of the private data for each device, shared by everything that goes on with
/// it at the same time; see [`Device::data`].
#[vtable]
pub trait Operations: Send + Sync + Sized + 'static {
    /// The names of the statistics which [`Operations::ethtool_stats`] gives, each shorter than 32
    /// bytes.
    const STAT_NAMES: &'static [&'static CStr];

    /// The names of the statistics which [`Operations::ethtool_queue_stats`] gives for each queue, each
    /// shorter than 24 bytes. They are shown after the others, with `qN_` before them.
    const QUEUE_STAT_NAMES: &'static [&'static CStr];

    /// The size of the ring that each queue has for either direction, in slots.
    const RING_SLOTS: u32;

    /// The device is set up by an administrator. Sleeps.
    fn open(dev: &Device<Self>, rtnl: &rtnl::Guard) -> Result;

    /// The device is set down. Sleeps.
    ///
    /// Packets may still be on their way through [`Operations::start_xmit`].
    fn stop(dev: &Device<Self>, rtnl: &rtnl::Guard);

    /// A packet is to be sent. Must not sleep; bottom halves are off, or interrupts are.
    ///
    /// There is one call at a time for each transmit queue.
    fn start_xmit(dev: &Device<Self>, skb: SkBuff) -> TxOutcome;

    /// Chooses the transmit queue of a packet, where there are several. Must not sleep; bottom halves
    /// are off.
    fn select_queue(dev: &Device<Self>, skb: &SkBuff) -> Selection {
        let _ = (dev, skb);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reads the statistics. Must not sleep, and may run several times at the same time.
    fn stats64(dev: &Device<Self>) -> Stats64;

    /// The MTU is to be changed to `mtu` bytes. Sleeps; the routing netlink lock is held.
    ///
    /// [`Device::mtu`] changes after this has returned.
    fn change_mtu(dev: &Device<Self>, mtu: u32) -> Result {
        let _ = (dev, mtu);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Removes what cannot be offered at this time from the features which are wanted. Sleeps; the
    /// routing netlink lock is held.
    fn fix_features(dev: &Device<Self>, features: Features) -> Features {
        let _ = (dev, features);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reads the statistics named by [`Operations::STAT_NAMES`], in this order. Sleeps; the routing
    /// netlink lock is held. `out` has one element for each and is 0 before.
    fn ethtool_stats(dev: &Device<Self>, out: &mut [u64]);

    /// The length of the key and of the table which [`Operations::steering`] gives, in bytes and in
    /// entries. Sleeps.
    fn steering_size(dev: &Device<Self>) -> ethtool::SteeringSize {
        let _ = dev;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reads how packets are spread over the queues. Sleeps.
    ///
    /// What is not asked for is empty. Otherwise it has the length which
    /// [`Operations::steering_size`] has returned some time ago, and is 0 before.
    fn steering(dev: &Device<Self>, table: &mut [u32], key: &mut [u8]) -> ethtool::HashFunction {
        let _ = (dev, table, key);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reads the statistics named by [`Operations::QUEUE_STAT_NAMES`] for one of the queues that the device
    /// was created with; otherwise like [`Operations::ethtool_stats`].
    fn ethtool_queue_stats(dev: &Device<Self>, queue: u16, out: &mut [u64]);

    /// Reads the statistics that all drivers have for each queue, for one of those that the device was
    /// created with. Sleeps; the routing netlink lock is held.
    fn queue_stats(dev: &Device<Self>, queue: u16) -> QueueStats;
}

/// A network device which is registered, with private data of the type `T`.
///
/// # Invariants
///
/// The device is valid and not unregistered completely. Its private data is an initialised, pinned
/// `T`.
#[repr(transparent)]
pub struct Device<T: Operations>(Opaque<bindings::net_device>, PhantomData<T>);

// SAFETY: A network device belongs to no thread, and neither does its private data, which is `Send`.
unsafe impl<T: Operations> Send for Device<T> {}

// SAFETY: The methods of shared devices are those which C allows concurrently, or take a proof of the
// lock that they need. The private data is `Sync`.
unsafe impl<T: Operations> Sync for Device<T> {}

// SAFETY: `dev_hold()` delays the end of the unregistration, and with it that of the private data,
// until `dev_put()`.
unsafe impl<T: Operations> AlwaysRefCounted for Device<T> {
    fn inc_ref(&self) {
        // SAFETY: The device is valid by the type invariant.
        unsafe { bindings::dev_hold(self.as_raw()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller owns a reference, which ends here.
        unsafe { bindings::dev_put(obj.cast().as_ptr()) };
    }
}

impl<T: Operations> Device<T> {
    /// Converts a C pointer.
    ///
    /// # Safety
    ///
    /// `dev` must point to a network device with the operations `T`, which is valid and not
    /// unregistered completely for the lifetime `'a`, and whose private data is initialised.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(dev: *mut bindings::net_device) -> &'a Self {
        // CAST: `Self` is a transparent wrapper of `struct net_device`.
        //
        // SAFETY: The caller promises that the pointer is valid.
        unsafe { &*dev.cast() }
    }

    /// The C pointer.
    #[inline]
    pub(super) fn as_raw(&self) -> *mut bindings::net_device {
        self.0.get()
    }

    /// The private data of the device.
    #[inline]
    pub fn data(&self) -> Pin<&T> {
        // SAFETY: By the type invariant, the private data is an initialised `T`, which lives as long
        // as the device.
        let data = unsafe { &*private_data(self.as_raw()) };

        // SAFETY: The private data is never moved.
        unsafe { Pin::new_unchecked(data) }
    }

    /// The name of the device at this time.
    pub fn name(&self) -> Name {
        // SAFETY: The device is valid by the type invariant.
        let name = unsafe { &raw const (*self.as_raw()).name };

        Name(core::array::from_fn(|i| {
            // SAFETY: `i` is inside the array. The name may be changing, so that each byte has to be
            // read on its own.
            unsafe { name.cast::<u8>().add(i).read_volatile() }
        }))
    }

    /// The number of queues which the device was created with.
    #[inline]
    pub fn max_queues(&self) -> u16 {
        // SAFETY: The device is valid by the type invariant; the number does not change.
        let queues = unsafe { (*self.as_raw()).num_tx_queues };

        // CAST: C limits the number to that of 16 bits.
        queues as u16
    }

    /// The number of transmit queues in use.
    #[inline]
    pub fn real_queues(&self) -> u16 {
        // SAFETY: The device is valid by the type invariant. The number may be changing.
        let queues = unsafe { (&raw const (*self.as_raw()).real_num_tx_queues).read_volatile() };

        // CAST: C limits the number to that of 16 bits.
        queues as u16
    }

    /// Sets the number of transmit and receive queues in use. Sleeps.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `queues` is 0 or more than [`Device::max_queues`], `ENOMEM`.
    pub fn set_real_queues(&self, _rtnl: &rtnl::Guard, queues: u16) -> Result {
        let queues = u32::from(queues);

        // SAFETY: The device is valid by the type invariant, and the lock is held.
        to_result(unsafe { bindings::netif_set_real_num_queues(self.as_raw(), queues, queues) })
    }

    /// The transmit queue with the given index, of those which the device was created with.
    #[inline]
    pub fn tx_queue(&self, index: u16) -> Option<TxQueue<'_>> {
        if index >= self.max_queues() {
            return None;
        }
        // SAFETY: The device is valid by the type invariant; the array of queues does not change.
        let queues = unsafe { (*self.as_raw())._tx };

        // INVARIANT: The array lives as long as the device.
        Some(TxQueue {
            // SAFETY: The array has as many members as the device was created with.
            queue: unsafe { queues.add(usize::from(index)) },
            device: PhantomData,
        })
    }

    /// Makes the transmit queue with the given index that of the connections whose packets came by the receive
    /// queue with the same index, as far as these were recorded. Sleeps.
    ///
    /// An administrator can change it in `/sys/class/net/DEVICE/queues/tx-N/xps_rxqs`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no such queue, `ENOMEM`.
    pub fn pair_queues(&self, _rtnl: &rtnl::Guard, index: u16) -> Result {
        if index >= self.max_queues() {
            return Err(EINVAL);
        }
        const BITS: usize = c_ulong::BITS as usize;
        let mut receive = KVec::<c_ulong>::new();
        receive.resize(usize::from(self.max_queues()).div_ceil(BITS), 0, GFP_KERNEL)?;
        if let Some(word) = receive.get_mut(usize::from(index) / BITS) {
            *word = 1 << (usize::from(index) % BITS);
        }

        // SAFETY: A lock, which is given back below.
        unsafe { bindings::cpus_read_lock() };
        // SAFETY: The device is valid by the type invariant, and has the queue; it has as many receive queues, and
        // a bit for each of them is copied. The lock is held.
        let error = unsafe {
            bindings::__netif_set_xps_queue(
                self.as_raw(),
                receive.as_ptr(),
                index,
                bindings::xps_map_type_XPS_RXQS,
            )
        };
        // SAFETY: It was taken above.
        unsafe { bindings::cpus_read_unlock() };

        to_result(error)
    }

    /// Gives those who asked for it the time at which a packet was sent.
    ///
    /// To be called in [`Operations::start_xmit`] when the packet is about to be taken. Does nothing
    /// for a packet of another device.
    #[inline]
    pub fn tx_timestamp(&self, skb: &mut SkBuff) {
        if skbuff::dev(skb) != self.as_raw() {
            return;
        }

        // SAFETY: The buffer is valid, being borrowed, and its device is this one, which is valid.
        unsafe { bindings::skb_tx_timestamp(skb.as_raw()) };
    }

    /// Starts all transmit queues in use, when the device is set up.
    #[inline]
    pub fn start_all_queues(&self) {
        // SAFETY: The device is valid by the type invariant.
        unsafe { bindings::netif_tx_start_all_queues(self.as_raw()) };
    }

    /// Stops all transmit queues: after calls that are under way, none is given a packet.
    #[inline]
    pub fn stop_all_queues(&self) {
        // SAFETY: The device is valid by the type invariant.
        unsafe { bindings::netif_tx_stop_all_queues(self.as_raw()) };
    }

    /// Starts all transmit queues in use and makes those run which have packets, in any context but
    /// NMI.
    #[inline]
    pub fn wake_all_queues(&self) {
        // SAFETY: The device is valid by the type invariant.
        unsafe { bindings::netif_tx_wake_all_queues(self.as_raw()) };
    }

    /// Tells that the device has a carrier, in any context but NMI.
    #[inline]
    pub fn carrier_on(&self) {
        // SAFETY: The device is valid by the type invariant.
        unsafe { bindings::netif_carrier_on(self.as_raw()) };
    }

    /// Tells that the device has lost its carrier, in any context but NMI.
    #[inline]
    pub fn carrier_off(&self) {
        // SAFETY: The device is valid by the type invariant.
        unsafe { bindings::netif_carrier_off(self.as_raw()) };
    }

    /// Whether the device has a carrier.
    #[inline]
    pub fn carrier_ok(&self) -> bool {
        // SAFETY: The device is valid by the type invariant.
        unsafe { bindings::netif_carrier_ok(self.as_raw()) }
    }

    /// Whether the device is set up.
    ///
    /// Without the routing netlink lock, this may change at any time.
    #[inline]
    pub fn is_running(&self) -> bool {
        // SAFETY: The device is valid by the type invariant.
        unsafe { bindings::netif_running(self.as_raw()) }
    }

    /// The MTU in bytes.
    #[inline]
    pub fn mtu(&self) -> u32 {
        // SAFETY: The device is valid by the type invariant. The MTU may be changing.
        unsafe { (&raw const (*self.as_raw()).mtu).read_volatile() }
    }

    /// Changes the MTU to `mtu` bytes, by way of [`Operations::change_mtu`]. Sleeps.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is out of the limits of the device, or what somebody who uses the device or
    /// the device itself refuses it with.
    pub fn set_mtu(&self, _rtnl: &rtnl::Guard, mtu: u32) -> Result {
        let mtu = c_int::try_from(mtu).map_err(|_| EINVAL)?;

        // SAFETY: The device is valid by the type invariant, and the lock is held.
        to_result(unsafe { bindings::dev_set_mtu(self.as_raw(), mtu) })
    }

    /// Computes the features of the device anew, by way of [`Operations::fix_features`]. Sleeps.
    pub fn update_features(&self, _rtnl: &rtnl::Guard) {
        // SAFETY: The device is valid by the type invariant, and the lock is held.
        unsafe { bindings::netdev_update_features(self.as_raw()) };
    }

    /// Prints a message of the given level, with the names of the device before it.
    ///
    /// Used by the macros of this module.
    #[doc(hidden)]
    pub fn printk(&self, level: Level, args: fmt::Arguments<'_>) {
        let level: &[u8; 3] = match level {
            Level::Err => bindings::KERN_ERR,
            Level::Warning => bindings::KERN_WARNING,
            Level::Info => bindings::KERN_INFO,
        };

        // SAFETY: The level is one of the constants which C expects, ended by 0; the device is valid
        // by the type invariant; `%pA` is replaced by what the `fmt::Arguments` pointed to say.
        unsafe {
            bindings::netdev_printk(
                level.as_ptr().cast(),
                self.as_raw().cast(),
                c"%pA".as_char_ptr(),
                core::ptr::from_ref(&args).cast::<c_void>(),
            )
        };
    }
}

/// Where the private data of a device is.
#[inline]
fn private_data<T>(dev: *mut bindings::net_device) -> *mut T {
    // CAST: The private data is what follows the description of the device.
    dev.wrapping_byte_add(offset_of!(bindings::net_device, priv_))
        .cast()
}

/// A reference to a network device of whatever type.
///
/// # Invariants
///
/// The pointer is to a valid device, with a reference to it which this value owns.
pub(super) struct Hold(NonNull<bindings::net_device>);

// SAFETY: A network device belongs to no thread, and its references are counted atomically.
unsafe impl Send for Hold {}

// SAFETY: Nothing but the pointer can be had of a shared reference.
unsafe impl Sync for Hold {}

impl Hold {
    /// Takes a reference.
    pub(super) fn new<T: Operations>(dev: &Device<T>) -> Self {
        // INVARIANT: The reference of the `ARef` becomes this value's.
        Self(ARef::into_raw(ARef::from(dev)).cast())
    }

    /// The C pointer.
    pub(super) fn as_raw(&self) -> *mut bindings::net_device {
        self.0.as_ptr()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // SAFETY: The reference is owned by this value, by the type invariant.
        unsafe { bindings::dev_put(self.0.as_ptr()) };
    }
}

/// A transmit queue of a network device.
///
/// # Invariants
///
/// The pointer is to a queue of a device which lives for the lifetime `'a`.
#[derive(Clone, Copy)]
pub struct TxQueue<'a> {
    queue: *mut bindings::netdev_queue,
    device: PhantomData<&'a ()>,
}

impl TxQueue<'_> {
    /// Stops the queue: after a call that is under way, the device is given no packet of it.
    ///
    /// In any context.
    #[inline]
    pub fn stop(&self) {
        // SAFETY: The queue is valid by the type invariant.
        unsafe { bindings::netif_tx_stop_queue(self.queue) };
    }

    /// Starts the queue and makes it run if it has packets, in any context but NMI.
    #[inline]
    pub fn wake(&self) {
        // SAFETY: The queue is valid by the type invariant.
        unsafe { bindings::netif_tx_wake_queue(self.queue) };
    }

    /// Whether the device has stopped the queue.
    #[inline]
    pub fn is_stopped(&self) -> bool {
        // SAFETY: The queue is valid by the type invariant.
        unsafe { bindings::netif_tx_queue_stopped(self.queue) }
    }
}

/// The name of a network device.
#[derive(Clone, Copy)]
pub struct Name([u8; bindings::IFNAMSIZ as usize]);

impl Name {
    /// The bytes of the name, without what ends it.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|&byte| byte == 0).next().unwrap_or(&[])
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(BStr::from_bytes(self.as_bytes()), f)
    }
}

/// How much a message matters.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub enum Level {
    /// A fault.
    Err,
    /// What may become a fault.
    Warning,
    /// What is worth to know.
    Info,
}

/// Whether one more message may be printed about what others can cause to happen often.
#[doc(hidden)]
pub fn ratelimit() -> bool {
    // SAFETY: The function has no requirements.
    unsafe { bindings::net_ratelimit() != 0 }
}

/// Prints an error message about a network device.
///
/// Equivalent to the kernel's `netdev_err` function. The first argument is a
/// [`Device`](crate::net::netdevice::Device), the others are those of [`fmt!`].
#[macro_export]
macro_rules! netdev_err {
    ($dev:expr, $($arg:tt)*) => {
        $dev.printk($crate::net::netdevice::Level::Err, $crate::prelude::fmt!($($arg)*))
    };
}

/// Prints a warning about a network device; otherwise like [`netdev_err!`].
#[macro_export]
macro_rules! netdev_warn {
    ($dev:expr, $($arg:tt)*) => {
        $dev.printk($crate::net::netdevice::Level::Warning, $crate::prelude::fmt!($($arg)*))
    };
}

/// Prints an informational message about a network device; otherwise like [`netdev_err!`].
#[macro_export]
macro_rules! netdev_info {
    ($dev:expr, $($arg:tt)*) => {
        $dev.printk($crate::net::netdevice::Level::Info, $crate::prelude::fmt!($($arg)*))
    };
}

/// Prints an error message about a network device, unless there are too many messages of the kind.
///
/// For what others can cause to happen often; otherwise like [`netdev_err!`].
#[macro_export]
macro_rules! netdev_err_ratelimited {
    ($($arg:tt)*) => {
        if $crate::net::netdevice::ratelimit() {
            $crate::netdev_err!($($arg)*);
        }
    };
}

/// Prints a warning about a network device, unless there are too many messages of the kind.
///
/// For what others can cause to happen often; otherwise like [`netdev_err!`].
#[macro_export]
macro_rules! netdev_warn_ratelimited {
    ($($arg:tt)*) => {
        if $crate::net::netdevice::ratelimit() {
            $crate::netdev_warn!($($arg)*);
        }
    };
}

/// Prints an informational message about a network device, unless there are too many messages of the kind.
///
/// For what others can cause to happen often; otherwise like [`netdev_err!`].
#[macro_export]
macro_rules! netdev_info_ratelimited {
    ($($arg:tt)*) => {
        if $crate::net::netdevice::ratelimit() {
            $crate::netdev_info!($($arg)*);
        }
    };
}

pub use crate::{
    netdev_err,
    netdev_err_ratelimited,
    netdev_info,
    netdev_info_ratelimited,
    netdev_warn,
    netdev_warn_ratelimited, //
};
