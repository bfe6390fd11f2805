// SPDX-License-Identifier: GPL-2.0

//! In place of the driver's file: who is connected.

use kernel::xen::{
    xenbus,
    DomId, //
};

pub(crate) struct Frontend {
    pub(crate) xdev: xenbus::Device,
    pub(crate) domid: DomId,
    pub(crate) handle: u32,
}
