// SPDX-License-Identifier: GPL-2.0

//! One processor, as far as anybody asks: nothing is bound to any.

/// A processor.
#[derive(Clone, Copy)]
pub struct CpuId;

pub fn num_online() -> u32 {
    1
}

pub fn in_turn(_: u32) -> CpuId {
    CpuId
}

pub mod cpumask {
    //! Sets of processors.

    /// A set.
    pub struct Cpumask(crate::bindings::cpumask);

    pub fn only(_: super::CpuId) -> &'static Cpumask {
        const { &Cpumask(crate::bindings::cpumask) }
    }

    impl Cpumask {
        pub fn as_raw(&self) -> *const crate::bindings::cpumask {
            &self.0
        }
    }
}
