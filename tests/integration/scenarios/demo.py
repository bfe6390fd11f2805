# SPDX-License-Identifier: GPL-2.0
"""What `make demo` shows: a guest's network through the module, and through the C driver to compare."""

import re
import time
from statistics import median

from rig import driver, guest, vif
from rig.checks import run as command
from rig.traffic import iperf, largest_packets, ping

LIMIT = 240
BOOT = "demo"
ROUNDS = 5
SECONDS = 2
NAMES = {"rust": "xen-netback-rs", "c": "xen-netback (C)"}
DIRECTIONS = (("to the guest", True), ("from the guest", False))


def line(t, what, text):
    """One line of the summary."""
    t.print(f"{what:9} {text}")


def attach(t, this, which):
    """Attaches an interface that the driver `which` has."""
    driver.use(which)
    link = vif.attach(this, number=2)
    t.equal("driven by", link.driver(), driver.BUS_NAMES[which])
    return link


def measure(this, link, figures):
    """One round of bulk traffic both ways."""
    for direction, towards in DIRECTIONS:
        figures.setdefault(direction, []).append(iperf(this, link, SECONDS, towards))


def run(t):
    facts = dict(re.findall(r"^(\w+) +: (.*)$", command("xl", "info"), re.M))
    line(t, "dom0", f"kernel {facts['release']}, unmodified; Xen {facts['xen_version']}")
    line(t, "module", t.module)
    start = time.monotonic()
    this = guest.get("pv1")
    line(t, "guest", f"{this.name}, PV, up after {time.monotonic() - start:.0f} s")

    start = time.monotonic()
    link = attach(t, this, "rust")
    line(t, "attach", f"xl network-attach: {link.name} on {vif.BRIDGE}, driven by {link.driver()}, "
         f"up after {time.monotonic() - start:.1f} s")
    backend, frontend = link.states()
    t.equal("both xenbus states", (backend, frontend), ("4", "4"))
    line(t, "xenbus", f"backend state {backend}, frontend state {frontend} (4 is connected)")
    sent, received = ping(link.address, count=20)
    t.equal("ping without loss", received, sent)
    line(t, "ping", f"{sent} sent, {received} received")

    packets = largest_packets(this, link)
    for direction, largest in packets.items():
        t.at_least(f"large GSO packets {direction}", largest, 60000, "bytes")
    line(t, "GSO", ", ".join(f"{size} bytes {direction}" for direction, size in packets.items())
         + ": the largest packets seen")

    figures = {"rust": {}, "c": {}}
    line(t, "bulk", f"TCP in Mbit/s, {SECONDS} s each, the drivers in turn")
    for turn in range(ROUNDS):
        # Which one comes first changes, so that a trend of the machine's speed favours neither.
        for which in ("rust", "c") if turn % 2 == 0 else ("c", "rust"):
            if link is None:
                link = attach(t, this, which)
            measure(this, link, figures[which])
            link.detach()
            link = None
            seen = ", ".join(f"{rates[-1]} {direction}" for direction, rates in figures[which].items())
            line(t, "", f"round {turn + 1}  {NAMES[which]:16} {seen}")
    for direction, _ in DIRECTIONS:
        ours, theirs = (median(figures[which][direction]) for which in ("rust", "c"))
        line(t, "", f"{direction}: {ours / theirs:.2f} times the C driver's median")

    driver.use("rust")
    link = attach(t, this, "rust")
    link.detach()
    line(t, "detach", f"{link.name} is gone")
    driver.unload("rust")
    line(t, "unload", f"{driver.module('rust')} is unloaded")
