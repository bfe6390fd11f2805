// SPDX-License-Identifier: GPL-2.0

//! The search: libFuzzer's program, for the target that FUZZ_TARGET names.

#![no_main]

use std::sync::OnceLock;

use xen_netback_rs_fuzz::{
    target,
    Target, //
};

static TARGET: OnceLock<Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let run = TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
        target(&name).expect("there is such a target")
    });
    run(data);
});
