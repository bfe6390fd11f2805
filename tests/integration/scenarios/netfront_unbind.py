# SPDX-License-Identifier: GPL-2.0
"""The guest unbinds and binds its netfront again and again under traffic; it works each time."""

from rig import driver, guest, vif
from rig.checks import wait_for
from rig.traffic import end_guest_flood, guest_flood, rain, settle

LIMIT = 320
# Each time netfront sits out two timeouts of 5 s, because it hears of the backend no more.
TIMES, LONG_TIMES = 3, 20
BUS = "/sys/bus/xen/drivers/vif"


def run(t):
    driver.use(t.driver)
    this = guest.get("pv1")
    link = vif.attach(this, number=2)
    times = LONG_TIMES if t.long else TIMES
    device = f"vif-{link.handle}"
    with rain(link.address):
        for turn in range(1, times + 1):
            guest_flood(this, vif.HOST)
            this.run(f"echo {device} >{BUS}/unbind")
            end_guest_flood(this)
            wait_for(f"turn {turn}: backend saw the frontend go", 15, lambda: link.states()[0] in ("2", "5", "6"))
            this.run(f"echo {device} >{BUS}/bind")
            link.wait_connected()
            link.configure()
            settle(link.address)
    t.check(f"traffic was back after each of {times} times", True)
