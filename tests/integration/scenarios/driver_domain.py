# SPDX-License-Identifier: GPL-2.0
"""A driver domain with xl devd carries another guest's network, and gives the interface up again."""

from rig import guest, traffic
from rig import driver as drivers
from rig.driver_domain import DriverDomain

LIMIT = 240
# Of the backend of the driver domain's disk, when the debug kernel is dom0's: it has work on its stack.
EXPECTED_MESSAGES = (r"ODEBUG: object \w+ is on stack", r"^WARNING: lib/debugobjects\.c")


def run(t):
    domain = DriverDomain(t.driver)
    this = guest.get("pv1")
    for turn in range(2):
        link = domain.attach(this, number=2)
        t.equal("both xenbus states", link.states(), ("4", "4"))
        t.equal("driven by", link.driver(), drivers.BUS_NAMES[t.driver])
        traffic.check(t, f"turn {turn + 1}", this, link, execute=domain.command)
        link.detach()
        t.eventually("nothing is left in the driver domain", 10, lambda link=link: not link.leftovers())
    domain.unload(t.driver)
    trouble = domain.trouble()
    t.check("the driver domain's kernel log is clean", not trouble, "\n".join(trouble[:25]))
    domain.destroy()
