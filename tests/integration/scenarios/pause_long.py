# SPDX-License-Identifier: GPL-2.0
"""A guest is paused for longer than the stall timeout under light traffic: one stall, and it recovers at once."""

import time

from rig import driver, guest, vif
from rig.checks import wait_for
from rig.traffic import ping, rain

LIMIT = 500
# Of the long run nothing is shortened: five minutes, and the driver's own timeouts.
PAUSE, LONG_PAUSE = 20, 300
STALL, LONG_STALL = 6, 60
PARAMETERS = (f"rx_stall_timeout_msecs={STALL * 1000}", "rx_drain_timeout_msecs=2000")


def run(t):
    pause, stall, parameters = (LONG_PAUSE, LONG_STALL, ()) if t.long else (PAUSE, STALL, PARAMETERS)
    for which in ("c", "rust"):
        driver.unload(which)
    driver.load(t.driver, *parameters)
    this = guest.get("pv1")
    link = vif.attach(this, number=2)
    ping(link.address, count=2)
    changes = int(link.sysfs("carrier_changes"))

    this.pause()
    paused = time.monotonic()
    with rain(link.address, per_second=200):
        t.eventually("the carrier goes down", pause, lambda: not link.carrier())
        t.at_least("not before the stall timeout", round(time.monotonic() - paused, 1), stall, "s")
        time.sleep(max(0, paused + pause - time.monotonic()))
        if t.driver == "rust":  # The other one's carrier may come and go meanwhile.
            t.equal("carrier changes while paused", int(link.sysfs("carrier_changes")) - changes, 1)
        t.equal("both xenbus states", link.states(), ("4", "4"))
        this.unpause()
        unpaused = time.monotonic()
        wait_for("the carrier is back within 2 s", 2, link.carrier)
        t.check(f"the carrier was back after {time.monotonic() - unpaused:.1f} s", True)
    t.eventually("traffic is back", 10,
                 lambda: ping(link.address, count=1, interval="0.2", extra=("-W", "0.5"))[1])
    sent, received = ping(link.address, count=10)
    t.equal("ping without loss afterwards", received, sent)
    if t.driver == "rust":
        t.equal("carrier changes in all", int(link.sysfs("carrier_changes")) - changes, 2)
