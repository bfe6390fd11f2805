// SPDX-License-Identifier: GPL-2.0

//! Bindings to what the kernel's `bindings` crate does not cover.
//!
//! Everything that crate knows is re-exported, so that a type has one identity; items generated here
//! take precedence. The abstractions of the overlay crate wrap these items; nothing else may use
//! them.

#![allow(
    clippy::all,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    improper_ctypes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    clippy::as_underscore,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks
)]

mod bindings_raw {
    use kernel::ffi;
    use pin_init::{
        MaybeZeroable,
        Zeroable, //
    };

    pub use super::bindings_helper::*;
    pub use kernel::bindings::*;

    // Blocked in `bindgen_parameters`: Rust has them under other names.
    type __kernel_size_t = usize;
    type __kernel_ssize_t = isize;
    type __kernel_ptrdiff_t = isize;

    // SAFETY: `__BindgenBitfieldUnit<Storage>` is a newtype around `Storage`.
    unsafe impl<Storage> Zeroable for __BindgenBitfieldUnit<Storage> where Storage: Zeroable {}

    include!(concat!(
        env!("XEN_NETBACK_RS_BINDINGS"),
        "/bindings_generated.rs"
    ));
}

mod bindings_helper {
    use super::bindings_raw::*;
    use kernel::ffi;

    include!(concat!(
        env!("XEN_NETBACK_RS_BINDINGS"),
        "/bindings_helpers_generated.rs"
    ));
}

pub use bindings_raw::*;
