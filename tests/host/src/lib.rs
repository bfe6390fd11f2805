// SPDX-License-Identifier: GPL-2.0

//! Tests of the driver's pure logic, on the host.
//!
//! The modules under test are the driver's own files, at the same place in the module tree; the
//! tests of `x.rs` are in `x_test.rs`.

#![cfg(test)]
#![forbid(unsafe_code)]

mod frame;
#[path = "../../../drivers/net/xen-netback-rs/headers.rs"]
mod headers;
mod headers_test;
#[path = "../../../drivers/net/xen-netback-rs/lifecycle.rs"]
mod lifecycle;
mod lifecycle_test;
#[path = "../../../drivers/net/xen-netback-rs/multicast.rs"]
mod multicast;
mod multicast_test;
#[path = "../../../drivers/net/xen-netback-rs/negotiate.rs"]
mod negotiate;
mod negotiate_test;
#[path = "../../../drivers/net/xen-netback-rs/steering.rs"]
mod steering;
mod steering_test;
#[path = "../../../drivers/net/xen-netback-rs/toeplitz.rs"]
mod toeplitz;
mod toeplitz_test;
#[path = "../../../drivers/net/xen-netback-rs/wire.rs"]
mod wire;
mod wire_test;

mod control;
mod guest_rx;
mod guest_tx;
