# SPDX-License-Identifier: GPL-2.0
"""A guest is rebooted by the toolstack and from within under traffic; its interface comes back each time."""

from rig import driver, guest, vif
from rig.checks import run as command
from rig.traffic import guest_flood, ping, rain, settle, transfer

LIMIT = 600


def by_toolstack(this):
    """As an administrator does it."""
    command("xl", "reboot", this.name, limit=180)


def from_within(this):
    """As a panicking or impatient guest does it: without a word to anyone."""
    this.start("reboot -f")


def run(t):
    driver.use(t.driver)
    ways = [("xl reboot", by_toolstack), ("reboot from within", from_within)]
    plan = {"pv": ways * 3, "pvh": ways * 3} if t.long else {"pv": [*ways, ways[0]], "pvh": ways[1:]}
    for kind, reboots in plan.items():
        this = guest.get(f"reborn-{kind}", kind=kind)
        link = vif.attach(this, number=8)
        for turn, (what, reboot) in enumerate(reboots, 1):
            old = link
            guest_flood(this, vif.HOST)
            with rain(link.address):
                reboot(this)
                this.follow()
                t.eventually(f"{kind}, {turn}, {what}: nothing is left of {old.name}", 10, lambda: not old.leftovers())
                link = link.again()
            settle(link.address)
            # A guest that has just booted may be slow, but loses nothing.
            sent, received = ping(link.address, count=5, extra=("-W", "10"))
            t.equal(f"{kind}, {turn}, {what}: ping without loss", received, sent)
        t.equal(f"{kind}: TCP streams that did not arrive whole", transfer(this, link.address), [])
        link.detach()
        this.destroy()
