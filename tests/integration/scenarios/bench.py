# SPDX-License-Identifier: GPL-2.0
"""What `make bench` measures in one boot: both drivers in turn, under the same running guests."""

import base64
import re
import time
import zlib
from pathlib import Path

from rig import guest
from rig.cost import Hypercalls, Processor, kernel_memory, switches
from rig.loads import Loads
from rig.paths import Dom0, Domain, Network, move

LIMIT = 12 * 3600
BOOT = "bench"
# The C driver's directory in debugfs.
EXPECTED_MESSAGES = (r"'xen-netback' already exists in '/'",)
# Between a move to the other driver and what is measured: bridge, ARP and TCP come to rest.
SETTLE = 0.3
# A measurement that takes longer with its preparation has failed.
PATIENCE = 240
# The same for everything that comes before the first: guests boot, interfaces are attached.
SETUP = 900
# How often a case is traced for each driver.
TRACED = 2


class Bench:
    """The measurements of one machine."""

    def __init__(self, t, network):
        self._t, self._network, self._host = t, network, network.host
        self._processor = Processor()
        options = t.options
        self._pairs = options["pairs"]
        self._loads = Loads(options["queues"], options["seconds"])
        self._brief = Loads(options["queues"], 1)

    def _begin(self):
        self._t.report(event="begin", limit=PATIENCE)

    def _figures(self, case, which, figures, work=(0, "")):
        self._t.report(event="figures", case=case, driver=which, figures=figures, work=work[0], unit=work[1],
                       limit=PATIENCE)

    def _in_turn(self, links):
        for turn in range(self._pairs):
            # Which one comes first changes, so that a trend of the machine's speed favours neither.
            for which in ("rust", "c") if turn % 2 == 0 else ("c", "rust"):
                move(links, which)
                time.sleep(SETTLE)
                yield turn, which

    def traffic(self, name, load):
        """One load on one path."""
        path, case = self._network.paths[name], f"{name}/{load}"
        for turn, which in self._in_turn(path.links):
            self._begin()
            used = self._processor.seconds(self._host.domid)
            figures, work = getattr(self._loads, load)(path)
            used = self._processor.seconds(self._host.domid) - used
            if work[0]:
                figures[f"{self._host.name} CPU us/{work[1]}"] = used * 1e6 / work[0]
            self._figures(case, which, figures, work)
            if turn < TRACED and load != "loaded":
                self._figures(case, which, self._traced(path, load))

    def _traced(self, path, load):
        """Counts for each unit of work, in one more measurement."""
        host, interrupts = self._host, self._network.guest_interrupts
        before, events = switches(host), interrupts()
        with Hypercalls(host.domid, host.kind) as trace:
            _, (count, unit) = getattr(self._brief, load)(path)
        count = count or 1
        figures = {"hypercalls": trace.counts.total(), "thread wake-ups": switches(host) - before,
                   "guest interrupts": interrupts() - events}
        figures.update(trace.counts)
        for name in ("copy", "map", "unmap"):
            figures[f"grant {name} operations"] = trace.operations[name]
        if host.kind != "pv":
            figures = {name: value for name, value in figures.items() if not name.startswith("grant ")}
        return {f"{name}/{unit}": value / count for name, value in figures.items()}

    def memory(self):
        """Memory of the backend's domain that each queue holds: idle, and while streams run through all."""
        links, host = self._network.links, self._host
        queues = len(links) * self._network.queues
        path = self._network.paths["guests"]

        def given_back(which, what, held, shrink):
            for link in links:
                link.unbind()
            # Bound to nobody, after and not before: the free lists of allocators are as long as they were.
            unbound = kernel_memory(host, 2, shrink)
            self._figures("queues/memory", which, {f"KiB/{what} queue": (held - unbound) / queues})

        # Before any traffic: caches that have grown by it stay as they are, and hide what a queue takes.
        for _, which in self._in_turn(links):
            self._begin()
            given_back(which, "idle", kernel_memory(host, 2, True), True)
        for _, which in self._in_turn(links):
            self._begin()
            path.source.shell.run(f"measure {self._loads.source(path, 6)} >/dev/null 2>&1 </dev/null &")
            busy = sorted(kernel_memory(host, 0.5) for _ in range(5))[2]
            time.sleep(4)
            given_back(which, "busy", busy, False)

    def ceiling(self):
        """The copies of a backend, without any network: what no backend that copies can exceed."""
        for _ in range(self._pairs):
            self._host.run(f"dmesg -C >/dev/null; insmod /mnt/copy_loop.ko domid={self._host.domid} 2>/dev/null; true")
            for line in self._host.run("dmesg").splitlines():
                found = re.search(r"copy_loop: (.*): (\d+) Mbit/s, (\d+) ns per operation", line)
                if found:
                    self._figures("ceiling/copy", "none", {f"{found[1]}, Mbit/s": int(found[2]),
                                                           f"{found[1]}, ns/operation": int(found[3])})


def run(t):
    options = t.options
    t.report(event="note", text="", limit=SETUP)
    host = Domain(options["vcpus"]) if options["backend"] == "domain" else Dom0()
    if options["symbols"]:
        symbols = Path("/proc/kallsyms").read_bytes()
        t.report(event="symbols", text=base64.b64encode(zlib.compress(symbols)).decode())
    bench = Bench(t, Network(host, options["queues"], options["vifs"]))
    for path, load in options["cases"]:
        if path == "ceiling":
            bench.ceiling()
        elif load == "memory":
            bench.memory()
        else:
            bench.traffic(path, load)
    for name in ("pv1", "pv2"):
        guest.get(name).destroy()
    if host.domid:
        host.destroy()
