/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Trace events of the network backend, which rust/kernel/net/trace.rs calls.
 */

#undef TRACE_SYSTEM
#define TRACE_SYSTEM xen_netback_rs

#if !defined(_RUST_TRACE_XEN_NETBACK_RS_H) || defined(TRACE_HEADER_MULTI_READ)
#define _RUST_TRACE_XEN_NETBACK_RS_H

#include <linux/netdevice.h>
#include <linux/tracepoint.h>

/* An interface, and a number of its queues. */
DECLARE_EVENT_CLASS(netback_queues,
	TP_PROTO(const struct net_device *dev, unsigned int queues),
	TP_ARGS(dev, queues),
	TP_STRUCT__entry(
		__string(dev, dev->name)
		__field(unsigned int, queues)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->queues = queues;
	),
	TP_printk("dev=%s queues=%u", __get_str(dev), __entry->queues)
);

DEFINE_EVENT(netback_queues, netback_attach,
	TP_PROTO(const struct net_device *dev, unsigned int queues),
	TP_ARGS(dev, queues)
);

DEFINE_EVENT(netback_queues, netback_connect,
	TP_PROTO(const struct net_device *dev, unsigned int queues),
	TP_ARGS(dev, queues)
);

DEFINE_EVENT(netback_queues, netback_disconnect,
	TP_PROTO(const struct net_device *dev, unsigned int queues),
	TP_ARGS(dev, queues)
);

TRACE_EVENT(netback_stall,
	TP_PROTO(const struct net_device *dev, unsigned int queue, unsigned int slots),
	TP_ARGS(dev, queue, slots),
	TP_STRUCT__entry(
		__string(dev, dev->name)
		__field(unsigned int, queue)
		__field(unsigned int, slots)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->queue = queue;
		__entry->slots = slots;
	),
	TP_printk("dev=%s queue=%u slots=%u", __get_str(dev), __entry->queue, __entry->slots)
);

TRACE_EVENT(netback_recover,
	TP_PROTO(const struct net_device *dev, unsigned int queue),
	TP_ARGS(dev, queue),
	TP_STRUCT__entry(
		__string(dev, dev->name)
		__field(unsigned int, queue)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->queue = queue;
	),
	TP_printk("dev=%s queue=%u", __get_str(dev), __entry->queue)
);

TRACE_EVENT(netback_expire,
	TP_PROTO(const struct net_device *dev, unsigned int queue, unsigned int len),
	TP_ARGS(dev, queue, len),
	TP_STRUCT__entry(
		__string(dev, dev->name)
		__field(unsigned int, queue)
		__field(unsigned int, len)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->queue = queue;
		__entry->len = len;
	),
	TP_printk("dev=%s queue=%u len=%u", __get_str(dev), __entry->queue, __entry->len)
);

/* The text has the given length, and no zero at its end. */
TRACE_EVENT(netback_fault,
	TP_PROTO(const struct net_device *dev, const char *text, unsigned int len),
	TP_ARGS(dev, text, len),
	TP_STRUCT__entry(
		__string(dev, dev->name)
		__string_len(text, text, len)
	),
	TP_fast_assign(
		__assign_str(dev);
		__assign_str(text);
	),
	TP_printk("dev=%s fault=\"%s\"", __get_str(dev), __get_str(text))
);

TRACE_EVENT(netback_copy,
	TP_PROTO(const struct net_device *dev, unsigned int queue, bool to_guest,
		 unsigned int packets, unsigned int operations),
	TP_ARGS(dev, queue, to_guest, packets, operations),
	TP_STRUCT__entry(
		__string(dev, dev->name)
		__field(unsigned int, queue)
		__field(bool, to_guest)
		__field(unsigned int, packets)
		__field(unsigned int, operations)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->queue = queue;
		__entry->to_guest = to_guest;
		__entry->packets = packets;
		__entry->operations = operations;
	),
	TP_printk("dev=%s queue=%u %s packets=%u operations=%u", __get_str(dev), __entry->queue,
		  __entry->to_guest ? "to-guest" : "from-guest", __entry->packets,
		  __entry->operations)
);

#endif /* _RUST_TRACE_XEN_NETBACK_RS_H */

/* Outside of what is read once. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#include <trace/define_trace.h>
