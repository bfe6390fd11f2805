// SPDX-License-Identifier: GPL-2.0
/*
 * Defines the trace events of the network backend.
 */

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include "xen_netback_rs.h"
