// SPDX-License-Identifier: GPL-2.0

//! Tasks, which run when the model checker lets them.

pub const MAX_SCHEDULE_TIMEOUT: core::ffi::c_long = core::ffi::c_long::MAX;
pub const TASK_NORMAL: core::ffi::c_uint = 3;

pub fn cond_resched() {}
