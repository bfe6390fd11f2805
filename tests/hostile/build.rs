// SPDX-License-Identifier: GPL-2.0

//! Links the program against Xen's libraries as dom0 has them: by their versioned names, in the folder
//! `XEN_LIBRARIES`.

use std::env;

fn main() {
    println!("cargo:rerun-if-env-changed=XEN_LIBRARIES");
    if env::var_os("CARGO_FEATURE_XEN").is_none() {
        return;
    }
    let folder =
        env::var("XEN_LIBRARIES").expect("XEN_LIBRARIES names the folder of Xen's libraries");
    println!("cargo:rustc-link-search=native={folder}");
    // What these libraries need themselves is in the same folder.
    println!("cargo:rustc-link-arg-bins=-Wl,-rpath-link,{folder}");
    for library in ["libxengnttab.so.1", "libxenevtchn.so.1", "libxenstore.so.4"] {
        println!("cargo:rustc-link-arg-bins=-l:{library}");
    }
}
