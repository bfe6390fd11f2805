# SPDX-License-Identifier: GPL-2.0
"""What is left of devices that are gone: objects, pages, grants, event channels, threads, names.

    with leftovers.none(t, "a storm of bad grants", turns=1000):
        with Peer() as peer:
            ...

Whoever runs in this block gives back everything before it ends. A frontend has to be opened within, even one that
only looks on: it keeps the pages in which it has sent packets. A trace is to be opened before: the kernel keeps its
buffer. Names, grants and channels are counted
exactly. Memory is not the driver's alone, so each kind of object may grow by a few, but not by one for each of
the `turns`, as pages may not; and not by much in bytes. What others keep on purpose after the first time (caches,
modules) shows as growth, so do a turn before the block."""

import contextlib
import os
import re
import time
from collections import Counter
from pathlib import Path

from . import driver, netlink, xenstore
from .checks import run

# Memory that is given back with a delay, and changes of caches, have this long to calm down.
PATIENCE = 12
# Objects of a kind by which the kernel's caches differ from one moment to the next.
OBJECTS = 128
# Bytes of a kind, and of all pages that are nobody's.
BYTES = 64 * 1024
PAGES = 128

_SLABS = Path("/sys/kernel/slab")
# What belongs to somebody, or to nobody.
_ACCOUNTED = ("MemFree", "Buffers", "Cached", "SwapCached", "AnonPages", "Slab", "KernelStack", "PageTables",
              "Percpu")
# Kept until there are many: addresses that were mapped once, what belongs to inodes, and what the debug
# kernel itself notes of objects.
_LAZY = {"vmap_area", "lsm_inode_cache", "debug_objects_cache", "kmemleak_object", "kmemleak_scan_area"}
# The debug kernel notes references to interfaces and namespaces, and keeps the notes of the last so many that were
# given back of each (lib/ref_tracker.c).
_REFERENCES, _KEPT, _NOTE = Path("/sys/kernel/debug/ref_tracker"), 128, "kmalloc-32"
_GRANT = re.compile(r"^\(XEN\) \[0x[0-9a-f]+\]\s+(\d+) ", re.M)
_OWNER = re.compile(r"^\(XEN\) grant-table for remote (d\d+)", re.M)


def _listing(path):
    try:
        return os.listdir(path)
    except OSError:
        return []


def _threads():
    """The kernel's threads, without those that come and go with its own work."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except OSError:
            continue
        if fields["PPid"] == "2" and not fields["Name"].startswith("kworker/"):
            yield fields["Name"]


def _grants():
    """For each page of another domain that is mapped here, whose it is: Xen's own account."""
    run("xl", "dmesg", "-c")
    run("xl", "debug-keys", "g")
    owner = None
    for line in run("xl", "dmesg", "-c").splitlines():
        if found := _OWNER.match(line):
            owner = found[1]
        elif (found := _GRANT.match(line)) and found[1] == "0":
            yield f"of {owner}"


def _ports():
    """What each event channel of dom0 is for, without the number of the other end."""
    for line in run("/usr/lib/xen-4.20/bin/lsevtchn", "0").splitlines():
        yield re.sub(r", Port \d+", "", line.split(":", 2)[-1].strip())


def _mappings():
    """Which functions have reserved addresses for memory of other domains, and for the driver."""
    for line in Path("/proc/vmallocinfo").read_text().splitlines():
        caller = line.split()[2].partition("+")[0]
        if "xen" in line.split()[2]:
            yield caller


def _page_pools():
    """The memory that is kept for packets from guests."""
    for pool in netlink.all_page_pools():
        yield f"of interface {pool.get('ifindex')}"


def _names():
    for node in ("backend/vif", "error/backend/vif"):
        for domain in xenstore.children(f"/local/domain/0/{node}"):
            for handle in xenstore.children(f"/local/domain/0/{node}/{domain}"):
                yield f"{node}/{domain}/{handle}"


_COUNTED = {
    "network interface": driver.interfaces,
    "device on the bus": driver.devices,
    "folder in debugfs": lambda: _listing("/sys/kernel/debug/xen-netback"),
    "node in xenstore": _names,
    "thread": _threads,
    "page that is mapped": _grants,
    "event channel": _ports,
    "area of addresses": _mappings,
    "page pool": _page_pools,
}


def _objects():
    """The objects in use of each kind that nobody can reclaim: {name: (number, size)}."""
    for kind in _SLABS.iterdir():
        if not kind.is_symlink():
            (kind / "shrink").write_text("1")
    found = {}
    for line in Path("/proc/slabinfo").read_text().splitlines()[2:]:
        name, active, _, size = line.split()[:4]
        reclaimed = _SLABS / name / "reclaim_account"
        if name not in _LAZY and not (reclaimed.exists() and reclaimed.read_text().strip() == "1"):
            found[name] = int(active), int(size)
    return found


def _pages():
    """The pages that are in use and that no account of the kernel covers, in KiB."""
    Path("/proc/sys/vm/stat_refresh").write_text("1")
    shown = {name: int(size) for name, size in
             re.findall(r"^(\w+):\s+(\d+)", Path("/proc/meminfo").read_text(), re.M)}
    # Free, but kept apart for one processor.
    apart = sum(map(int, re.findall(r"^\s+count:\s+(\d+)", Path("/proc/zoneinfo").read_text(), re.M)))
    return shown["MemTotal"] - 4 * apart - sum(shown[name] for name in _ACCOUNTED)


class Snapshot:
    """What there is at a moment."""

    def __init__(self):
        Path("/proc/sys/vm/drop_caches").write_text("3")
        self.counted = {kind: Counter(look()) for kind, look in _COUNTED.items()}
        self.objects = _objects()
        self.pages = _pages()

    def more(self, since, turns=1, kept=None):
        """What there is more than there was, in words; some memory is nothing, as the module tells, nor is what is
        `kept`, {words: number}."""
        kept = kept or {}
        found = [f"{kind} {name}: {number} more" for kind, now in self.counted.items()
                 for name, number in (now - since.counted[kind]).items() if number > kept.get(f"{kind} {name}", 0)]
        for name, (number, size) in self.objects.items():
            grown = number - since.objects.get(name, (0, 0))[0]
            if name == _NOTE:
                grown -= _KEPT * len(_listing(_REFERENCES))
            if grown >= max(turns, OBJECTS) or grown * size > BYTES:
                found.append(f"objects {name}: {grown} more of {size} bytes each")
        if self.pages - since.pages >= 4 * max(turns, PAGES):
            found.append(f"pages: {self.pages - since.pages} KiB more")
        return found


@contextlib.contextmanager
def none(t, what, turns=1, kept=None):
    """Checks that the block, which uses `turns` of something, has left nothing behind but what others have `kept`,
    a dictionary of words as the check's and numbers, which the block fills."""
    before = Snapshot()
    yield
    end = time.monotonic() + PATIENCE
    while (left := Snapshot().more(before, turns, kept)) and time.monotonic() < end:
        time.sleep(0.5)
    t.check(f"{what}: nothing is left", not left, "\n".join(left))
