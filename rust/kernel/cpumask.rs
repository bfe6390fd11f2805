// SPDX-License-Identifier: GPL-2.0

//! Sets of processors.
//!
//! C header: [`include/linux/cpumask.h`](srctree/include/linux/cpumask.h)

use crate::{
    bindings,
    cpu::CpuId,
    prelude::*, //
};

pub use kernel::cpumask::*;

/// The set which `cpu` is the only member of.
#[inline]
pub fn only(cpu: CpuId) -> &'static Cpumask {
    // SAFETY: There is such a set for the number of every processor.
    let mask = unsafe { bindings::cpumask_of(cpu.into()) };

    // SAFETY: The set is part of a table of constants.
    unsafe { Cpumask::from_raw(mask) }
}

#[kunit_tests(xen_netback_rs_cpumask)]
mod tests {
    use super::*;

    #[test]
    fn one_member() {
        for number in 0..crate::cpu::nr_cpu_ids() {
            let cpu = CpuId::from_u32(number).unwrap();
            assert!(only(cpu).test(cpu));
            assert_eq!(only(cpu).weight(), 1);
        }
    }
}
