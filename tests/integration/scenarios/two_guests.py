# SPDX-License-Identifier: GPL-2.0
"""Two guests copy data to each other both ways at once through a bridge; every byte arrives."""

import time

from rig import driver, guest, vif

LIMIT = 600
BYTES = 64 << 20
LONG_BYTES = 1 << 30


def run(t):
    driver.use(t.driver)
    size = LONG_BYTES if t.long else BYTES
    guests = guest.get("pv1"), guest.get("pv2")
    links = vif.attach(guests[0], number=2), vif.attach(guests[1], number=3)
    limit = LIMIT - 60
    for this in guests:
        this.run(f"traffic receive 6000 {size} 7 >/tmp/received 2>&1 </dev/null &")
    start = time.monotonic()
    for this, peer in zip(guests, reversed(links)):
        this.run(f"traffic send {peer.address} 6000 {size} 7 >/tmp/sent 2>&1 </dev/null &")
    for this in guests:
        t.eventually(f"{this.name} has received everything", limit, lambda this=this: this.run("cat /tmp/received"))
        t.equal(f"{this.name} received", this.run("cat /tmp/received"), f"ok {size}")
    rate = 2 * size * 8 / (time.monotonic() - start) / 1e6
    t.note(f"{2 * size >> 20} MiB in all, {rate:.0f} Mbit/s")
    for this in guests:
        t.equal(f"{this.name} sent without an error", this.run("cat /tmp/sent"), "")
