# SPDX-License-Identifier: GPL-2.0
"""Guests with the kernels of Debian 11, 12 and 13: attach, traffic of all kinds, detach, attach again."""

from rig import driver, guest, traffic, vif
from rig.traffic import echo

LIMIT = 900
GUEST_KERNELS = True
GUESTS = (("5.10", "pv"), ("6.1", "pv"), ("6.12", "pv"), ("6.12", "pvh"))
SIZES = (1, 64, 1000, 1472, 1473, 4055, 16385, 65000)


def passes_traffic(t, what, this, link):
    """Checks that the interface carries traffic of all kinds."""
    traffic.check(t, what, this, link)
    for address in (link.address, link.address6):
        t.equal(f"{what}: UDP sizes that came back wrong from {address}", echo(address, SIZES), [])


def run(t):
    driver.use(t.driver)
    driver.parameter(t.driver, "max_queues", 2)
    for series, kind in GUESTS:
        this = guest.get(f"{kind}-{series}", kind=kind, vcpus=2, series=series)
        release = this.run("uname -r")
        t.check(f"a {kind} guest runs Linux {series}", release.startswith(f"{series}."), release)
        this.run("traffic echo 7000 >/dev/null 2>&1 </dev/null &")
        for what in ("attached", "attached again"):
            link = vif.attach(this, number=2)
            passes_traffic(t, f"{release} {kind}, {what}", this, link)
            link.detach()
            t.check(f"{release} {kind}: detached", not link.exists())
        this.destroy()
