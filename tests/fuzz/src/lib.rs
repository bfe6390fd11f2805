// SPDX-License-Identifier: GPL-2.0

//! What guests write, as any bytes, against what the driver promises about it.
//!
//! Each target takes bytes, makes of them what a guest could have written, gives that to the driver's own
//! file, and looks whether what comes of it keeps the rules. `corpus/TARGET` has bytes that reach far; the
//! tests replay them, `scripts/fuzz` searches for more.
//!
//! Each target found these changes to the driver:
//!
//! - `parse`: a limit of 4096 on a slot's end that leaves out the offset; an extra that is not answered.
//! - `plan`: a page more than the packet needs; a headroom that is forgotten behind the first slot.
//! - `offload`: the length of TCP's header not compared with the packet's; a number of segments rounded down.
//! - `negotiate`: a number with a sign taken; segmentation without scatter-gather.
//! - `control`: a refused mapping that stays half written; a queue number equal to the number of queues.

#![forbid(unsafe_code)]
// Of the driver's files more is compiled than the targets call.
#![allow(dead_code)]

mod control;
mod guest_rx;
mod guest_tx;
#[path = "../../../drivers/net/xen-netback-rs/headers.rs"]
mod headers;
#[path = "../../../drivers/net/xen-netback-rs/negotiate.rs"]
mod negotiate;
mod negotiate_target;
mod offload_target;
mod parse_target;
mod plan_target;
#[path = "../../../drivers/net/xen-netback-rs/steering.rs"]
mod steering;
#[path = "../../../drivers/net/xen-netback-rs/toeplitz.rs"]
mod toeplitz;
#[path = "../../../drivers/net/xen-netback-rs/wire.rs"]
mod wire;

/// Panics if what comes of the bytes breaks a rule.
pub type Target = fn(&[u8]);

/// All targets, by the names of their folders.
pub const TARGETS: [(&str, Target); 5] = [
    ("parse", parse_target::run),
    ("plan", plan_target::run),
    ("offload", offload_target::run),
    ("negotiate", negotiate_target::run),
    ("control", control::target::run),
];

/// The target of a name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS
        .iter()
        .find_map(|(other, run)| (*other == name).then_some(*run))
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::Path, //
    };

    use super::*;

    /// Replays the corpus of a target, and what is near to it: each input cut short anywhere.
    fn replay(name: &str) {
        let run = target(name).expect("there is such a target");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(name);
        let mut inputs = 0;
        for entry in fs::read_dir(folder).expect("there is a corpus") {
            let data = fs::read(entry.expect("can be listed").path()).expect("can be read");
            for end in 0..=data.len() {
                run(&data[..end]);
            }
            inputs += 1;
        }
        assert!(inputs > 0, "the corpus is empty");
    }

    #[test]
    fn parse() {
        replay("parse");
    }

    #[test]
    fn plan() {
        replay("plan");
    }

    #[test]
    fn offload() {
        replay("offload");
    }

    #[test]
    fn negotiate() {
        replay("negotiate");
    }

    #[test]
    fn control() {
        replay("control");
    }
}
