# SPDX-License-Identifier: GPL-2.0
"""A running guest's interface moves from this driver to the C driver and back by unbind and bind."""

from rig import driver, guest, vif
from rig.traffic import ping, settle

LIMIT = 120
ONLY_WITH = "rust"
# The C driver's directory in debugfs.
EXPECTED_MESSAGES = (r"'xen-netback' already exists in '/'",)


def run(t):
    driver.use("rust")
    link = vif.attach(guest.get("pv1"), number=2)
    driver.load("c")
    for turn in range(3):
        for source, target in (("rust", "c"), ("c", "rust")):
            link.move(source, target)
            t.equal(f"turn {turn + 1}: driven by", link.driver(), driver.BUS_NAMES[target])
            link.wait_connected()
            # The guest has not noticed: its netfront goes on with the same rings.
            settle(link.address)
            sent, received = ping(link.address, count=10)
            t.equal(f"turn {turn + 1}: ping without loss", received, sent)
