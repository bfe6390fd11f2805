// SPDX-License-Identifier: GPL-2.0

//! The device of the frontend, by which its ring pages are found.

use std::sync::Arc;

use crate::{
    bindings,
    io::SharedPage, //
};

/// The device.
#[derive(Clone)]
pub struct Device {
    /// Ring pages, by their reference.
    pub pages: Vec<Arc<SharedPage>>,
}

impl Device {
    pub fn as_raw(&self) -> *mut bindings::xenbus_device {
        core::ptr::null_mut()
    }
}
