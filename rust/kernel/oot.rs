// SPDX-License-Identifier: GPL-2.0

//! What mainline needs only a line for, but a crate outside of the kernel's tree must do by itself.
//!
//! Each item names the change that would replace it.

use crate::{
    bindings,
    device,
    prelude::*, //
};

/// The C pointer of a device.
///
/// Replaced by making `device::Device::as_raw()` public.
#[inline]
pub(crate) fn device_as_raw<Ctx: device::DeviceContext>(
    dev: &device::Device<Ctx>,
) -> *mut bindings::device {
    // CAST: `Device` is a transparent wrapper of `struct device`, all of which is inside an `Opaque`.
    core::ptr::from_ref(dev).cast_mut().cast()
}

/// A reference to a module, which keeps its code from being unloaded.
///
/// Replaced by an owned reference as a counterpart of [`ThisModule`].
pub(crate) struct ModuleRef(&'static ThisModule);

impl ModuleRef {
    /// Takes a reference.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the module is being unloaded.
    pub(crate) fn new(module: &'static ThisModule) -> Result<Self> {
        // SAFETY: A `ThisModule` has the pointer of a module that is loaded, or null, which the
        // function allows.
        if !unsafe { bindings::try_module_get(module.as_ptr()) } {
            return Err(ENODEV);
        }

        Ok(Self(module))
    }

    /// Gives up the ownership of the reference: whoever takes the pointer must put it.
    pub(crate) fn into_raw(self) -> *mut bindings::module {
        core::mem::ManuallyDrop::new(self).0.as_ptr()
    }
}

impl Drop for ModuleRef {
    fn drop(&mut self) {
        // SAFETY: The reference was taken when this value was created, and is put only here.
        unsafe { bindings::module_put(self.0.as_ptr()) };
    }
}
