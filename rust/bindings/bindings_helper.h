/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Headers of the C interfaces which the overlay crate wraps and which the
 * kernel's own bindings do not cover.
 */

/* Needed by the C headers below, which do not include it. */
#include <linux/hrtimer_types.h>

#include <linux/debugfs.h>
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/ipv6.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/moduleparam.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/seq_file.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <linux/timer.h>
#include <linux/u64_stats_sync.h>
#include <linux/wait.h>
#include <net/netdev_lock.h>
#include <net/netdev_queues.h>
#include <net/page_pool/helpers.h>
#include <net/page_pool/types.h>
#include <xen/events.h>
#include <xen/grant_table.h>
#include <xen/interface/grant_table.h>
#include <xen/interface/io/netif.h>
#include <xen/interface/io/xenbus.h>
#include <xen/page.h>
#include <xen/xen.h>
#include <xen/xenbus.h>

#include "../trace/xen_netback_rs.h"
