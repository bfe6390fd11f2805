# SPDX-License-Identifier: GPL-2.0
"""A PVH guest: attach, traffic both ways, detach."""

from rig import driver, guest, vif
from rig.traffic import iperf, ping

LIMIT = 150
SLOWEST = 1  # As in the scenario attach.


def run(t):
    driver.use(t.driver)
    this = guest.get("pvh1", kind="pvh")
    link = vif.attach(this, number=6)
    t.equal("both xenbus states", link.states(), ("4", "4"))
    sent, received = ping(link.address, count=20)
    t.equal("ping without loss", received, sent)
    for direction, towards in (("to", True), ("from", False)):
        t.at_least(f"TCP bulk {direction} the guest", iperf(this, link, 2, towards), SLOWEST, "Mbit/s")
    link.detach()
    t.check("detached", not link.exists())
    this.destroy()
