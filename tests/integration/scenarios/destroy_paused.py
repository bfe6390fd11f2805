# SPDX-License-Identifier: GPL-2.0
"""A paused and flooded guest is destroyed: its interface is gone soon."""

import time

from rig import driver, guest, vif
from rig.traffic import flood

LIMIT = 120
WITHIN = 30  # Seconds: the deadline of a packet, and the time that the toolstack takes.


def run(t):
    driver.use(t.driver)
    doomed = guest.get("doomed")
    link = vif.attach(doomed, number=4)
    with flood(link.address):
        time.sleep(1)
        doomed.pause()
        time.sleep(3)
        destroyed = time.monotonic()
        doomed.destroy()
        device = f"vif-{doomed.domid}-{link.handle}"
        t.eventually("interface and device are gone", WITHIN,
                     lambda: not link.exists() and device not in driver.devices())
        t.at_most("since the guest was destroyed", round(time.monotonic() - destroyed, 1), WITHIN, "s")
