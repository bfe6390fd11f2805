# SPDX-License-Identifier: GPL-2.0
"""A running guest's interface moves from this driver to the C driver and back by unbind and bind."""

from pathlib import Path

from rig import driver, guest, vif, xenstore
from rig.checks import run as command
from rig.traffic import ping

LIMIT = 120
ONLY_WITH = "rust"
BUS = Path("/sys/bus/xen-backend/drivers")


def move(link, source, target):
    """What an administrator does, as README.md tells."""
    device = f"vif-{link.guest.domid}-{link.handle}"
    (BUS / driver.BUS_NAMES[source] / "unbind").write_text(device)
    (BUS / driver.BUS_NAMES[target] / "bind").write_text(device)
    command("ip", "link", "set", link.name, "master", vif.BRIDGE, "up")
    xenstore.write(f"{link.backend}/hotplug-status", "connected")


def run(t):
    driver.use("rust")
    link = vif.attach(guest.get("pv1"), number=2)
    driver.load("c")
    for turn in range(3):
        for source, target in (("rust", "c"), ("c", "rust")):
            move(link, source, target)
            t.equal(f"turn {turn + 1}: driven by", link.driver(), driver.BUS_NAMES[target])
            link.wait_connected()
            # The guest has not noticed: its netfront goes on with the same rings.
            ping(link.address, count=1)
            sent, received = ping(link.address, count=10)
            t.equal(f"turn {turn + 1}: ping without loss", received, sent)
