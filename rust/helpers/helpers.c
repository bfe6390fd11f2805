// SPDX-License-Identifier: GPL-2.0
/*
 * Functions which Rust cannot call because C has them as macros or inline
 * functions. One call each, no logic.
 */

#include <linux/compiler_types.h>

#ifdef __BINDGEN__
#define __rust_helper
#else
#define __rust_helper __always_inline
#endif

#include "bottom_half.c"
#include "cpu.c"
#include "interrupt.c"
#include "netdevice.c"
#include "page_pool.c"
#include "preempt.c"
#include "skbuff.c"
#include "task.c"
#include "xen.c"
