# SPDX-License-Identifier: GPL-2.0
"""What traffic costs a domain: processor time, hypercalls, memory, and how often its threads were woken up."""

import collections
import ctypes
import re
import signal
import struct
import subprocess
import time
from pathlib import Path

_XENTRACE = "/usr/lib/xen-4.20/bin/xentrace"

# xen/include/public/trace.h: the classes and subclasses of events to record, by the kind of the domain.
_RECORDED = {"pv": 0x0022b000, "pvh": 0x000aa000}
_PROCESSOR, _NEXT_DOMAIN = 0x0001f003, 0x0002800f
_PV_HYPERCALL, _PV_SUBCALL, _HVM_HYPERCALL = 0x0020100d, 0x0020200e, 0x00082012
_LONG_MODE = 0x100
# xen/include/public/xen.h: those in which a backend can have a part. The others are about programs and their memory.
_NAMES = {13: "multicall", 20: "grant_table_op", 23: "iret", 26: "mmuext_op", 29: "sched_op", 32: "event_channel_op"}
_GRANT_TABLE_OP = 20
# xen/include/public/grant_table.h: what a grant_table_op does. The first two come with their counterparts for
# kernels' own mappings.
_GRANT_OPERATIONS = {0: "map", 1: "unmap", 5: "copy", 7: "unmap"}


class Processor:
    """The processor time of domains, as Xen counts it."""

    def __init__(self):
        self._library = ctypes.CDLL("libxenstat.so.4.20")
        for name, result, arguments in (
                ("xenstat_init", ctypes.c_void_p, []),
                ("xenstat_get_node", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_uint]),
                ("xenstat_node_domain", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_uint]),
                ("xenstat_domain_cpu_ns", ctypes.c_ulonglong, [ctypes.c_void_p]),
                ("xenstat_free_node", None, [ctypes.c_void_p])):
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments
        self._handle = self._library.xenstat_init()

    def seconds(self, domid):
        """What the domain has used since it exists."""
        node = self._library.xenstat_get_node(self._handle, 0)
        try:
            return self._library.xenstat_domain_cpu_ns(self._library.xenstat_node_domain(node, domid)) / 1e9
        finally:
            self._library.xenstat_free_node(node)


class Hypercalls:
    """Counts the hypercalls of a domain ("pv" or "pvh") by kind while it is open, from Xen's trace buffer.

    `counts` is {name: number}, `operations` {kind of grant operation: number}: of a PV domain only, because
    Xen does not say more than the number of the hypercall about others."""

    _FILE = Path("/tmp/hypercalls.trace")

    def __init__(self, domid, kind):
        self._domid, self._kind = domid, kind
        self.counts, self.operations = collections.Counter(), collections.Counter()

    def __enter__(self):
        self._FILE.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [_XENTRACE, "-D", "-S", "2048", "-s", "50", "-e", hex(_RECORDED[self._kind]), str(self._FILE)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # It says nothing when it begins; until then nothing is counted.
        time.sleep(0.3)
        return self

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=20)
        self._count(self._FILE.read_bytes())
        self._FILE.unlink()

    def _count(self, data):
        running, processor, at = {}, 0, 0
        while at + 4 <= len(data):
            (head,) = struct.unpack_from("=I", data, at)
            event, extra = head & 0x0fffffff, head >> 28 & 7
            at += 12 if head >> 31 else 4
            if event == _PROCESSOR:
                (processor,) = struct.unpack_from("=I", data, at)
            elif event == _NEXT_DOMAIN:
                (running[processor],) = struct.unpack_from("=I", data, at)
            elif event & ~_LONG_MODE in (_PV_HYPERCALL, _PV_SUBCALL, _HVM_HYPERCALL):
                if running.get(processor) == self._domid:
                    self._one(struct.unpack_from(f"={extra}I", data, at))
            at += 4 * extra

    def _one(self, words):
        number = words[0] & 0xfffff
        self.counts[_NAMES.get(number, "other hypercalls")] += 1
        if number == _GRANT_TABLE_OP and len(words) == 3:
            self.operations[_GRANT_OPERATIONS.get(words[1], "other")] += words[2]


def switches(host):
    """How often the threads of the interfaces in the domain `host` fell asleep, and so were woken up."""
    return sum(map(int, host.run(
        r"ps -eo pid,comm | sed -nE 's,^ *([0-9]+) vif.*,/proc/\1/status,p' | "
        "xargs -r sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p'").split()))


def kernel_memory(host, settle, shrink=False):
    """Memory in KiB that the kernel of the domain `host` holds for itself: neither free, nor of programs, nor a cache.
    Read after `settle` seconds, in which what was freed gets through RCU and the work queues. With `shrink` the caches
    of its allocators give back what is empty."""
    shown = host.run(f"sleep {settle}; sync; echo 3 >/proc/sys/vm/drop_caches; "
                     f"{'for cache in /sys/kernel/slab/*/shrink; do echo 1 >$cache; done; ' if shrink else ''}"
                     "echo 1 >/proc/sys/vm/compact_memory; echo 1 >/proc/sys/vm/stat_refresh; "
                     "cat /proc/meminfo /proc/zoneinfo")
    found = {name: int(number) for name, number in re.findall(r"^(\w+):\s+(\d+) kB", shown, re.M)}
    # Free, but kept apart for one processor.
    apart = 4 * sum(map(int, re.findall(r"^\s+count:\s+(\d+)", shown, re.M)))
    return found["MemTotal"] - apart - sum(found[name] for name in (
        "MemFree", "Buffers", "Cached", "AnonPages", "SReclaimable", "PageTables"))
