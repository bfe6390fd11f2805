# SPDX-License-Identifier: GPL-2.0
"""A driver domain with xl devd carries another guest's network, and gives the interface up again."""

from rig import guest, traffic
from rig import driver as drivers
from rig.driver_domain import DriverDomain

LIMIT = 240
# When the debug kernel is dom0's: of the backend of the driver domain's disk, which has work on its stack and is slow,
# and of the bus, when the toolstack is faster than the kernel to remove a console.
EXPECTED_MESSAGES = (r"ODEBUG: object \w+ is on stack", r"^WARNING: lib/debugobjects\.c",
                     r"^xen-blkback: Scheduled work from previous purge is still busy",
                     r"^xen-backend console-\d+-0: xenbus: device forcefully removed from xenstore")


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
