# SPDX-License-Identifier: GPL-2.0
"""A PV guest's interface comes with xl network-attach, carries traffic both ways, and goes."""

from rig import driver, guest, vif
from rig.traffic import iperf, largest_packets, ping

LIMIT = 150
# Far below what a loaded machine reaches: the demo measures, this only sees whether it flows.
SLOWEST = 1


def run(t):
    driver.use(t.driver)
    this = guest.get("pv1")
    link = vif.attach(this, number=2)
    t.equal("both xenbus states", link.states(), ("4", "4"))
    t.equal("driven by", link.driver(), driver.BUS_NAMES[t.driver])

    sent, received = ping(link.address, count=20)
    t.equal("ping without loss", received, sent)
    for direction, towards in (("to", True), ("from", False)):
        t.at_least(f"TCP bulk {direction} the guest", iperf(this, link, 3, towards), SLOWEST, "Mbit/s")
    for direction, largest in largest_packets(this, link).items():
        t.at_least(f"large GSO packets {direction}", largest, 60000, "bytes")

    link.detach()
    t.check("detached", not link.exists())
    t.eventually("gone from the guest", 10, lambda: "eth0" not in this.run("ls /sys/class/net"))
