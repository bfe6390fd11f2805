// SPDX-License-Identifier: GPL-2.0

//! Trace events of a network backend.
//!
//! Each costs a jump that is patched out as long as nobody listens. They are in tracefs, below
//! `events/xen_netback_rs`.
//!
//! C header: `rust/trace/xen_netback_rs.h`

use super::netdevice::{
    Device,
    Operations, //
};
use crate::{
    bindings,
    prelude::*, //
};

/// Declares functions that trace something about a network device, with what follows the device in C.
///
/// It is for events of the module: mainline's `declare_trace!` knows those of the kernel's own bindings.
macro_rules! events {
    ($(
        $(#[$attr:meta])*
        fn $name:ident($($arg:ident: $type:ty),*)
            = $tracepoint:ident, $trace:ident($($value:expr),*);
    )*) => { $(
        $(#[$attr])*
        #[inline(always)]
        pub fn $name<T: Operations>(dev: &Device<T>, $($arg: $type),*) {
            // SAFETY: The key is part of a tracepoint that C has defined.
            let traced = unsafe {
                kernel::jump_label::static_branch_unlikely!(
                    bindings::$tracepoint,
                    bindings::tracepoint,
                    key
                )
            };

            if traced {
                // SAFETY: The device is valid, and so is what the other values point to; C copies both.
                unsafe { bindings::$trace(dev.as_raw(), $($value),*) };
            }
        }
    )* };
}

events! {
    /// A guest's device has got an interface with this many queues at most.
    fn attach(queues: u16) = __tracepoint_netback_attach, rust_do_trace_netback_attach(queues.into());

    /// A guest was connected with this many queues.
    fn connect(queues: u16) = __tracepoint_netback_connect, rust_do_trace_netback_connect(queues.into());

    /// The guest, which was connected with this many queues, was disconnected.
    fn disconnect(queues: u16)
        = __tracepoint_netback_disconnect, rust_do_trace_netback_disconnect(queues.into());

    /// The guest has stopped receiving from a queue: `slots` have been missing for the stall timeout.
    fn stall(queue: u16, slots: u32)
        = __tracepoint_netback_stall, rust_do_trace_netback_stall(queue.into(), slots);

    /// The guest receives from a stalled queue again.
    fn recover(queue: u16) = __tracepoint_netback_recover, rust_do_trace_netback_recover(queue.into());

    /// A packet of `len` bytes for the guest has waited too long and is dropped.
    fn expire(queue: u16, len: usize)
        = __tracepoint_netback_expire, rust_do_trace_netback_expire(queue.into(), len as c_uint);

    /// The guest has broken the protocol.
    fn fault(text: &str)
        = __tracepoint_netback_fault,
        rust_do_trace_netback_fault(text.as_ptr().cast(), text.len() as c_uint);

    /// Packets are copied by a hypercall of this many operations.
    fn copy(queue: u16, to_guest: bool, packets: usize, operations: usize)
        = __tracepoint_netback_copy,
        rust_do_trace_netback_copy(queue.into(), to_guest, packets as c_uint, operations as c_uint);
}
