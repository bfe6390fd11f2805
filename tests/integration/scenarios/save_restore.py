# SPDX-License-Identifier: GPL-2.0
"""Guests are saved and restored, or migrated to the same host; their TCP connections go on."""

import time
from pathlib import Path

from rig import driver, guest, traffic, vif
from rig.checks import run as command
from rig.traffic import Trickle, rain

LIMIT = 600
IMAGE = Path("/run/saved")
NUMBERS = 80


def save_and_restore(this):
    """Writes the guest into a file, which ends it, and makes a new one of that."""
    command("xl", "save", this.name, IMAGE, limit=90)
    time.sleep(1)
    command("xl", "restore", IMAGE, limit=90)
    IMAGE.unlink()


def migrate(this):
    """Migrates to this host: the receiving xl runs here, without a shell on another one."""
    command("xl", "migrate", "-s", "", this.name, "xl migrate-receive", limit=150)


def run(t):
    driver.use(t.driver)
    # A PV guest cannot be migrated alive by a hypervisor that is built without shadow page tables.
    moves = {"pv": [("saved and restored", save_and_restore)], "pvh": [("migrated", migrate)]}
    if t.long:
        moves["pvh"].append(("saved and restored", save_and_restore))
    for kind, ways in moves.items():
        this = guest.get(f"moved-{kind}", kind=kind)
        link = vif.attach(this, number=7)
        traffic.check(t, kind, this, link)
        for what, move in ways:
            old = link
            with rain(link.address), Trickle(this, vif.HOST, NUMBERS) as trickle:
                move(this)
                this.follow()
                link = link.again()
                t.check(f"{kind} {what}: the TCP connection of before goes on", trickle.finish())
            t.eventually(f"{kind} {what}: nothing is left of {old.name}", 10, lambda: not old.leftovers())
            traffic.check(t, f"{kind} {what}", this, link)
        link.detach()
        this.destroy()
