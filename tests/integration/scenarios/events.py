# SPDX-License-Identifier: GPL-2.0
"""A guest's events under traffic are seldom taken for spurious ones, to which the kernel would react late."""

from pathlib import Path

from rig import driver, guest, vif
from rig.traffic import iperf, ping

LIMIT = 200
# An event may cross with the look that takes what it announces.
SPURIOUS = 3
DELAY = 10


def events(link):
    """What the kernel has counted for the device: (events, spurious ones, jiffies of delay for these)."""
    folder = Path(f"/sys/bus/xen-backend/devices/vif-{link.guest.domid}-{link.handle}/xenbus")
    return tuple(int((folder / name).read_text()) for name in ("events", "spurious_events", "jiffies_eoi_delayed"))


def run(t):
    driver.use(t.driver)
    this = guest.get("pv1")
    for split, what in (("Y", "two event channels"), ("N", "one event channel")):
        driver.parameter(t.driver, "separate_tx_rx_irq", split)
        this.netfront(False)
        link = vif.attach(this, number=2)
        for kind, traffic in (
                ("ping", lambda: ping(link.address, count=50, interval="0.02")),
                ("TCP to the guest", lambda: iperf(this, link, 3, True)),
                ("TCP from the guest", lambda: iperf(this, link, 3, False))):
            before = events(link)
            seen = traffic()
            came, spurious, delay = (new - old for new, old in zip(events(link), before))
            t.note(f"{what}, {kind}: {came} events, {spurious} spurious, {delay} jiffies of delay; {seen}")
            t.at_least(f"{what}, {kind}: events", came, 10)
            if t.driver == "rust":
                t.at_most(f"{what}, {kind}: spurious events", spurious, came // 20 + SPURIOUS)
                t.at_most(f"{what}, {kind}: delay of acknowledgements", delay, DELAY, "jiffies")
        link.detach()
