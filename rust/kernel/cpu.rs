// SPDX-License-Identifier: GPL-2.0

//! Processors.
//!
//! C header: [`include/linux/cpumask.h`](srctree/include/linux/cpumask.h)

use crate::{
    bindings,
    prelude::*, //
};

pub use kernel::cpu::*;

/// Number of processors that are online at this moment, at least 1.
pub fn num_online() -> u32 {
    // SAFETY: Reads an atomic variable.
    unsafe { bindings::num_online_cpus() }
}

/// The processor whose turn is number `turn`, when those that are online take turns.
///
/// With the same processors online, the same number leads to the same processor.
pub fn in_turn(turn: u32) -> CpuId {
    // SAFETY: Any number may be passed, and this constant stands for no preferred node.
    let cpu = unsafe { bindings::cpumask_local_spread(turn, bindings::NUMA_NO_NODE) };

    // None when processors go off line meanwhile.
    CpuId::from_u32(cpu).unwrap_or_else(CpuId::current)
}

#[kunit_tests(xen_netback_rs_cpu)]
mod tests {
    use super::*;

    #[test]
    fn all_take_turns() {
        let online = num_online();
        for turn in 0..online {
            for earlier in 0..turn {
                assert_ne!(in_turn(turn), in_turn(earlier));
            }
            assert_eq!(in_turn(turn), in_turn(turn + online));
        }
    }
}
