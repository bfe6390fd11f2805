// SPDX-License-Identifier: GPL-2.0

//! The Xen bus, from a backend driver's side.
//!
//! A device of this bus is one end of a split driver. Both ends publish a [`State`] in xenstore and
//! follow each other's; the bus calls the driver when the other end's state changes.
//!
//! C header: [`include/xen/xenbus.h`](srctree/include/xen/xenbus.h)

use core::{
    marker::PhantomData,
    mem::offset_of,
    ptr::NonNull, //
};

use crate::{
    bindings,
    device,
    device_id::RawDeviceId,
    driver,
    error::{
        from_result,
        to_result, //
    },
    fmt,
    prelude::*,
    str::CString,
    sync::{
        aref::ARef,
        rcu, //
    },
    types::Opaque,
    xen::{
        xenstore::STORE,
        DomId, //
    }, //
};

/// State of one end of a device, as published in xenstore.
///
/// C header: [`include/xen/interface/io/xenbus.h`](srctree/include/xen/interface/io/xenbus.h)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// There is no state, or no device any more.
    Unknown = bindings::xenbus_state_XenbusStateUnknown,
    /// The toolstack has created the device.
    Initialising = bindings::xenbus_state_XenbusStateInitialising,
    /// Waits for the other end's details.
    InitWait = bindings::xenbus_state_XenbusStateInitWait,
    /// Has published its details.
    Initialised = bindings::xenbus_state_XenbusStateInitialised,
    /// In operation.
    Connected = bindings::xenbus_state_XenbusStateConnected,
    /// Going down.
    Closing = bindings::xenbus_state_XenbusStateClosing,
    /// Down.
    Closed = bindings::xenbus_state_XenbusStateClosed,
    /// Wants to change its details while connected.
    Reconfiguring = bindings::xenbus_state_XenbusStateReconfiguring,
    /// Has taken up the other end's changed details.
    Reconfigured = bindings::xenbus_state_XenbusStateReconfigured,
}

impl State {
    /// What a number in xenstore means; an error holds one outside the protocol.
    pub fn from_raw(raw: u32) -> Result<Self, u32> {
        Ok(match raw {
            bindings::xenbus_state_XenbusStateUnknown => State::Unknown,
            bindings::xenbus_state_XenbusStateInitialising => State::Initialising,
            bindings::xenbus_state_XenbusStateInitWait => State::InitWait,
            bindings::xenbus_state_XenbusStateInitialised => State::Initialised,
            bindings::xenbus_state_XenbusStateConnected => State::Connected,
            bindings::xenbus_state_XenbusStateClosing => State::Closing,
            bindings::xenbus_state_XenbusStateClosed => State::Closed,
            bindings::xenbus_state_XenbusStateReconfiguring => State::Reconfiguring,
            bindings::xenbus_state_XenbusStateReconfigured => State::Reconfigured,
            unknown => return Err(unknown),
        })
    }
}

/// What is to be done with the device after the driver has followed the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Disposition {
    /// The device stays.
    Keep,
    /// The device is gone for good: unbind the driver and remove it.
    Unregister,
}

/// A driver for the backends of one kind of device.
pub trait Driver {
    /// What the driver keeps for a device it is bound to.
    type Data: Send + Sync + 'static;

    /// The kinds of devices supported.
    const ID_TABLE: IdTable;

    /// A device appeared whose state is [`State::Initialising`], or which another driver released.
    fn probe<'a>(xdev: &'a Device<device::Core<'_>>) -> impl PinInit<Self::Data, Error> + 'a;

    /// The other end's state may have changed; an error holds a number outside the protocol. Runs
    /// in the thread that serves all watches of the system.
    fn otherend_changed(
        xdev: &Device<device::Bound>,
        data: Pin<&Self::Data>,
        state: Result<State, u32>,
    ) -> Disposition;

    /// The driver is unbound, whatever the other end does. [`Driver::otherend_changed`] is not
    /// running and will not be called again; it may never have been.
    fn unbind(xdev: &Device<device::Core<'_>>, data: Pin<&Self::Data>);
}

/// Registers a [`Driver`] for backends with the bus.
pub struct Adapter<T: Driver>(PhantomData<T>);

// SAFETY:
// - `xenbus_driver` is a C struct with the `device_driver` at the given offset.
// - `probe_callback()` stores `T::Data` as the device's driver data, and nothing else does.
unsafe impl<T: Driver> driver::DriverLayout for Adapter<T> {
    type DriverType = bindings::xenbus_driver;
    type DriverData<'bound> = T::Data;
    const DEVICE_DRIVER_OFFSET: usize = offset_of!(Self::DriverType, driver);
}

// SAFETY: `unregister()` undoes a successful `register()`, on the same object.
unsafe impl<T: Driver> driver::RegistrationOps for Adapter<T> {
    unsafe fn register(
        drv: &Opaque<Self::DriverType>,
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> Result {
        let raw = drv.get();
        // SAFETY: `drv` is not registered yet, so it is ours alone; the same holds for the fields
        // below.
        unsafe { (*raw).name = name.as_char_ptr() };
        // SAFETY: As above.
        unsafe { (*raw).ids = T::ID_TABLE.as_ptr() };
        // SAFETY: As above.
        unsafe { (*raw).allow_rebind = true };
        // SAFETY: As above.
        unsafe { (*raw).probe = Some(Self::probe_callback) };
        // SAFETY: As above.
        unsafe { (*raw).remove = Some(Self::remove_callback) };
        // SAFETY: As above.
        unsafe { (*raw).otherend_changed = Some(Self::otherend_changed_callback) };
        // SAFETY: As above.
        unsafe { (*raw).uevent = Some(Self::uevent_callback) };
        // SAFETY: `raw` is filled in, and by the caller's contract stays until `unregister()`.
        to_result(unsafe {
            bindings::__xenbus_register_backend(raw, module.as_ptr(), name.as_char_ptr())
        })
    }

    unsafe fn unregister(drv: &Opaque<Self::DriverType>) {
        // SAFETY: By the caller's contract `drv` is registered.
        unsafe { bindings::xenbus_unregister_driver(drv.get()) }
    }
}

impl<T: Driver> Adapter<T> {
    extern "C" fn probe_callback(
        xdev: *mut bindings::xenbus_device,
        _id: *const bindings::xenbus_device_id,
    ) -> c_int {
        // SAFETY: The bus calls with a valid device, locked for its binding.
        let xdev = unsafe { &*xdev.cast::<Device<device::CoreInternal<'_>>>() };

        from_result(|| {
            xdev.as_ref()
                .set_drvdata(T::probe(xdev))
                .inspect_err(|_| drop(xdev.variables().replace(None)))?;
            Ok(0)
        })
    }

    extern "C" fn remove_callback(xdev: *mut bindings::xenbus_device) {
        // SAFETY: The bus calls with a valid device, locked for its unbinding.
        let xdev = unsafe { &*xdev.cast::<Device<device::CoreInternal<'_>>>() };
        // SAFETY: `probe_callback()` was successful, so it has stored `T::Data`, which stays until
        // after this callback.
        let data = unsafe { xdev.as_ref().drvdata_borrow::<T::Data>() };

        T::unbind(xdev, data);
        drop(xdev.variables().replace(None));
    }

    extern "C" fn otherend_changed_callback(
        xdev: *mut bindings::xenbus_device,
        state: bindings::xenbus_state,
    ) {
        // SAFETY: The bus calls with a valid device, and holds a reference to it meanwhile: the watch
        // that leads here exists from after probe to before remove.
        let bound = unsafe { &*xdev.cast::<Device<device::BoundInternal>>() };
        // Unbinding by `device_unregister()` below drops what is borrowed here, so the borrow ends
        // first, and a reference keeps the device itself.
        let (disposition, xdev) = {
            // SAFETY: As above: probe was successful and has stored `T::Data`.
            let data = unsafe { bound.as_ref().drvdata_borrow::<T::Data>() };
            let disposition = T::otherend_changed(bound, data, State::from_raw(state));
            let normal: &Device = bound;
            (disposition, ARef::<Device>::from(normal))
        };
        if disposition == Disposition::Unregister {
            // SAFETY: The device is registered: only this thread, which serves all watches of the
            // bus, unregisters its devices.
            unsafe { bindings::device_unregister(&raw mut (*xdev.as_raw()).dev) };
        }
    }

    extern "C" fn uevent_callback(
        xdev: *const bindings::xenbus_device,
        env: *mut bindings::kobj_uevent_env,
    ) -> c_int {
        // SAFETY: The bus calls with a valid device.
        let xdev = unsafe { &*xdev.cast::<Device>() };
        let guard = rcu::read_lock();
        let Some(variables) = xdev.variables().read(&guard) else {
            return 0;
        };

        from_result(|| {
            for variable in variables.0.iter().flatten() {
                // SAFETY: The bus calls with a valid environment; the format consumes a string.
                to_result(unsafe {
                    bindings::add_uevent_var(env, c"%s".as_char_ptr(), variable.as_char_ptr())
                })?;
            }
            Ok(0)
        })
    }
}

/// The variables which the events of a device have beside those of the bus, each of the form `name=value`.
pub struct UeventVariables(pub [Option<CString>; 2]);

/// What happens to a device, for [`Device::announce`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// It can be configured now.
    Online,
    /// It goes away.
    Offline,
}

/// Matches a driver with a kind of device.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct DeviceId(bindings::xenbus_device_id);

impl DeviceId {
    /// An id for devices of the kind `devicetype`, of at most 31 bytes.
    #[inline]
    pub const fn new(devicetype: &'static CStr) -> Self {
        let src = devicetype.to_bytes_with_nul();
        let mut id: bindings::xenbus_device_id = pin_init::zeroed();
        let mut i = 0;
        while i < src.len() {
            id.devicetype[i] = src[i];
            i += 1;
        }
        Self(id)
    }
}

// SAFETY: `DeviceId` is a transparent wrapper of `xenbus_device_id`.
unsafe impl RawDeviceId for DeviceId {
    type RawType = bindings::xenbus_device_id;
}

/// The kinds of devices that a driver supports.
pub type IdTable = &'static dyn crate::device_id::IdTable<DeviceId, ()>;

/// A device of the Xen bus.
///
/// # Invariants
///
/// Instances are valid `struct xenbus_device` in the context `Ctx`.
#[repr(transparent)]
pub struct Device<Ctx: device::DeviceContext = device::Normal>(
    Opaque<bindings::xenbus_device>,
    PhantomData<Ctx>,
);

impl<Ctx: device::DeviceContext> Device<Ctx> {
    /// The C device.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::xenbus_device {
        self.0.get()
    }

    /// Path of this end's directory in xenstore.
    pub fn nodename(&self) -> &CStr {
        // SAFETY: By the type invariant; the name is set before the device is registered, and lives in
        // the same allocation.
        unsafe { path((*self.as_raw()).nodename) }
    }

    /// Publishes this end's state, unless it is the one published last. Sleeps. Most failures are reported
    /// by the bus.
    ///
    /// Of concurrent calls one may be lost, so drivers serialise them.
    ///
    /// # Errors
    ///
    /// `EIO` if the last state is still shown: the bus takes one that it cannot read for that of a device
    /// which is gone, and then reports nothing.
    pub fn switch_state(&self, state: State) -> Result {
        // SAFETY: By the type invariant; nobody else changes it, as calls are serialised.
        let last = unsafe { (*self.as_raw()).state };
        // SAFETY: By the type invariant. The result says no more than what was reported.
        unsafe { bindings::xenbus_switch_state(self.as_raw(), state as u32) };
        let shown = STORE.read(self.nodename(), c"state");
        match shown.as_deref() {
            Ok([digit]) if last != state as u32 && u32::from(digit.wrapping_sub(b'0')) == last => {
                Err(EIO)
            }
            _ => Ok(()),
        }
    }

    /// Reports an error in the log and in xenstore. Sleeps.
    pub fn report_error(&self, error: Error, message: fmt::Arguments<'_>) {
        // SAFETY: By the type invariant; the format consumes exactly one pointer to `fmt::Arguments`.
        unsafe {
            bindings::xenbus_dev_error(
                self.as_raw(),
                error.to_errno(),
                c"%pA".as_char_ptr(),
                core::ptr::from_ref(&message).cast::<c_void>(),
            )
        };
    }

    /// Reports an error as [`Device::report_error`] and publishes [`State::Closing`].
    pub fn report_fatal(&self, error: Error, message: fmt::Arguments<'_>) {
        // SAFETY: As in `report_error()`.
        unsafe {
            bindings::xenbus_dev_fatal(
                self.as_raw(),
                error.to_errno(),
                c"%pA".as_char_ptr(),
                core::ptr::from_ref(&message).cast::<c_void>(),
            )
        };
    }

    /// What the driver has published of [`Device::set_uevent_variables`].
    fn variables(&self) -> &rcu::Published<UeventVariables> {
        // SAFETY: By the type invariant.
        let data = unsafe { &raw mut (*self.as_raw()).dev.platform_data };

        // CAST: `Published` is a transparent wrapper of a pointer.
        //
        // SAFETY: The memory lives as long as the device. Nobody else uses it for a device of this bus: it
        // is null at first, and again when this driver is unbound.
        unsafe { &*data.cast() }
    }

    /// Replaces the variables that all events of the device have until the driver is unbound. Sleeps.
    pub fn set_uevent_variables(&self, variables: UeventVariables) -> Result {
        let variables = KBox::new(variables, GFP_KERNEL)?;
        drop(self.variables().replace(Some(variables)));
        Ok(())
    }

    /// Sends an event for user space with the bus's and the driver's variables.
    pub fn announce(&self, announcement: Announcement) -> Result {
        let action = match announcement {
            Announcement::Online => bindings::kobject_action_KOBJ_ONLINE,
            Announcement::Offline => bindings::kobject_action_KOBJ_OFFLINE,
        };
        // SAFETY: By the type invariant.
        to_result(unsafe { bindings::kobject_uevent(&raw mut (*self.as_raw()).dev.kobj, action) })
    }
}

/// A path that the bus keeps. Unlike `CStr::from_char_ptr()` it has no overflow check, which could panic.
///
/// # Safety
///
/// `path` must point to a string that lives and does not change for `'a`.
unsafe fn path<'a>(path: *const c_char) -> &'a CStr {
    // SAFETY: By this function's contract.
    let len = unsafe { bindings::strlen(path) } as usize;
    // SAFETY: The string consists of `len` bytes and its end.
    let bytes = unsafe { core::slice::from_raw_parts(path.cast(), len.wrapping_add(1)) };
    // SAFETY: None of the `len` bytes is 0, as `strlen()` says.
    unsafe { CStr::from_bytes_with_nul_unchecked(bytes) }
}

/// The details of the other end, which are known while a driver is bound.
impl Device<device::Bound> {
    /// Path of the other end's directory in xenstore.
    pub fn otherend(&self) -> &CStr {
        // SAFETY: The bus reads the other end's details before probe and frees them after remove.
        unsafe { path((*self.as_raw()).otherend) }
    }

    /// The other end's domain.
    pub fn otherend_id(&self) -> DomId {
        // SAFETY: As above.
        let id = unsafe { (*self.as_raw()).otherend_id };
        // Domain numbers have 15 bits.
        DomId(id as u16)
    }
}

// SAFETY: `dev` is the device at that offset of the C struct that `Device` wraps.
unsafe impl<Ctx: device::DeviceContext> device::AsBusDevice<Ctx> for Device<Ctx> {
    const OFFSET: usize = offset_of!(bindings::xenbus_device, dev);
}

// SAFETY: `Device` is a transparent wrapper whose context is a marker only.
kernel::impl_device_context_deref!(unsafe { Device });
kernel::impl_device_context_into_aref!(Device);

// SAFETY: The count is that of the embedded device, whose release frees the object.
unsafe impl crate::sync::aref::AlwaysRefCounted for Device {
    fn inc_ref(&self) {
        self.as_ref().inc_ref();
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        let xdev: *mut bindings::xenbus_device = obj.cast().as_ptr();
        // SAFETY: By the caller's contract a reference is given up.
        unsafe { bindings::put_device(&raw mut (*xdev).dev) }
    }
}

impl<Ctx: device::DeviceContext> AsRef<device::Device<Ctx>> for Device<Ctx> {
    fn as_ref(&self) -> &device::Device<Ctx> {
        // SAFETY: The embedded device is valid as long as `self`, and in the same context.
        unsafe { device::Device::from_raw(&raw mut (*self.as_raw()).dev) }
    }
}

// SAFETY: A device can be released from any task.
unsafe impl Send for Device {}
// SAFETY: What methods on a shared device access of it is constant, or serialised by xenstore, or the
// last published state, a word of which concurrent writers make one of their values.
unsafe impl Sync for Device {}
// SAFETY: As above.
unsafe impl Sync for Device<device::Bound> {}
