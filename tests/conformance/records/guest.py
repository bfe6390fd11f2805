# SPDX-License-Identifier: GPL-2.0
"""A guest's interface under the toolstack: keys, states, what its traffic counts as, its end by detach and destroy."""

import os
import re

from rig import driver, guest, vif, xenstore
from rig.checks import wait_for
from rig.traffic import ping
from rig.xenlog import Writes, settle

LIMIT = 240
PAYLOAD = 1000
PINGS = 10
# Every ping is a packet of this length, in an Ethernet frame of that one.
PACKET = PAYLOAD + 8 + 20
FRAME = PACKET + 14


def statistics(link):
    """The interface's counters in sysfs: {name: number}."""
    folder = f"/sys/class/net/{link.name}/statistics"
    return {name: int(link.sysfs(f"statistics/{name}")) for name in sorted(os.listdir(folder))}


def states(writes, link):
    """The states that the backend has gone through since the last call."""
    node = f"{link.guest.domid}/{link.handle}/state"
    return " ".join(value for name, value in writes.take() if name == node) or "none"


def pings(grown, unit):
    """Whether a counter has grown by the pings, and at most by a few packets more: the neighbours may
    have asked for each other's addresses meanwhile."""
    return grown // unit in range(PINGS, PINGS + 4)


def count(r, link, what, act):
    """What an action adds to the interface's counters."""
    before = statistics(link)
    act()
    settle()
    after = statistics(link)
    for name in after:
        grown = after[name] - before[name]
        if name.endswith("_bytes"):
            told = "frames" if pings(grown, FRAME) else "packets without headers" if pings(grown, PACKET) else ""
        else:
            told = "pings" if pings(grown, 1) else ""
        r.put(f"{what}: {name}", told or grown)


def record(r):
    this = guest.get("conforming")
    # What it says of its own when it begins to use IPv6 is not to be counted.
    this.run("for name in all default; do echo 1 >/proc/sys/net/ipv6/conf/$name/disable_ipv6; done")
    writes = Writes()
    r.step("xl network-attach")
    link = vif.attach(this, number=9)
    own = {"mac": "MAC", "frontend-id": "DOMID"}
    for key, value in xenstore.tree(link.backend).items():
        r.put(f"backend/{key}", own.get(key, re.sub(rf"(/domain/|vif){this.domid}\b", r"\1DOMID", value)))
    r.put("states", states(writes, link))
    r.put("both states", link.states())
    for name in ("carrier", "operstate", "mtu", "address", "tx_queue_len", "flags", "type"):
        r.put(name, link.sysfs(name))

    r.step("traffic")
    ping(link.address, count=2)
    count(r, link, "pings from dom0", lambda: ping(link.address, count=PINGS, size=PAYLOAD, interval="0.02"))
    count(r, link, "pings from the guest",
          lambda: this.run(f"ping -c {PINGS} -s {PAYLOAD} -i 0.05 {vif.HOST} >/dev/null"))

    r.step("reload of netfront")
    this.netfront(False)
    r.put("states of unloading", states(writes, link))
    r.put("carrier", link.carrier())
    this.netfront(True)
    link.wait_connected()
    r.put("states of loading", states(writes, link))
    r.put("packets counted before", "kept" if statistics(link)["rx_packets"] > PINGS else "forgotten")

    r.step("interface in the guest down and up")
    name = link.configure()
    this.run(f"ip link set {name} down")
    r.put("states", states(writes, link))
    this.run(f"ip link set {name} up")
    r.put("carrier", link.carrier())

    r.step("xl network-detach")
    link.detach()
    r.put("states", states(writes, link))
    r.put("backend", "there" if xenstore.children(link.backend) else "gone")

    r.step("destroyed")
    link = vif.attach(this, number=9)
    states(writes, link)
    this.destroy()
    wait_for("interface gone", 20, lambda: not link.exists())
    r.put("states", states(writes, link))
    r.put("device", "there" if driver.devices() else "gone")
