// SPDX-License-Identifier: GPL-2.0

//! Overlay of the `kernel` crate: what a network backend needs and mainline does not have yet.
//!
//! The driver gets this crate under the name `kernel`, so that it, and every abstraction below,
//! reads as it would in the kernel's own tree. Each module here is a staging place for code until it
//! can move to the `kernel` crate, and is laid out as it would be there.

pub use kernel::*;

#[path = "../bindings/lib.rs"]
#[doc(hidden)]
pub mod bindings;
pub mod bottom_half;
pub mod cpu;
pub mod cpumask;
pub mod debugfs;
pub mod fixed_vec;
pub mod kthread;
pub mod module_param;
pub mod net;
pub mod oot;
pub mod sync;
pub mod task;
pub mod time;
pub mod xen;

/// Prefix to appear before log messages printed from within this crate.
const __LOG_PREFIX: &[u8] = b"xen_netback_rs\0";

/// Module type for the `#[vtable]` implementations of this crate, which only tests have.
#[allow(dead_code)]
struct LocalModule;

impl ModuleMetadata for LocalModule {
    const NAME: &'static str::CStr = c"xen_netback_rs";

    const THIS_MODULE: ThisModule = {
        // SAFETY: A null pointer stands for built-in code, of which no reference is counted.
        unsafe { ThisModule::from_ptr(core::ptr::null_mut()) }
    };
}
