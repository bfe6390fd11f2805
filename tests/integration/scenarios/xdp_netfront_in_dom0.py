# SPDX-License-Identifier: GPL-2.0
"""An XDP program on a netfront of dom0 itself is attached and detached: neither end waits for what the other holds.

The frontend holds the lock of the network configuration until the backend has answered, and xenbus has one thread
for both.
"""

from pathlib import Path

from rig import driver, vif
from rig.checks import run as command, wait_for
from rig.traffic import xdp

LIMIT = 90
ONLY_WITH = "rust"  # The C driver leaves segmentation to a frontend whatever its headroom.
KERNEL = "stock"  # The debug kernel runs no such programs.
MAC = "00:16:3e:00:02:01"
BACKEND = "vif0.0"


def netfronts():
    """The interfaces of dom0's own netfront."""
    addresses = Path("/sys/class/net").glob("*/address")
    return [path.parent.name for path in addresses if path.read_text().strip() == MAC]


def run(t):
    """Fails when the host is told of the headroom before the frontend has its answer (`settle` in `frontend_changed`
    for the state Reconfiguring as well)."""
    driver.use(t.driver)
    vif.bridge()
    command("modprobe", "xen-netfront")
    command("xl", "network-attach", "0", f"mac={MAC}", f"bridge={vif.BRIDGE}")
    (netfront,) = wait_for("dom0 has a netfront", 20, netfronts)
    # It sends nothing: netfront complains of a packet that it has when it goes.
    Path("/proc/sys/net/ipv6/conf", netfront, "disable_ipv6").write_text("1")
    command("ip", "link", "set", netfront, "up")
    t.eventually("segmentation is left to it", 20, lambda: vif.segmentation(BACKEND))
    for turn in range(3):
        with xdp(netfront, "pass"):
            t.eventually(f"{turn}: segmentation with it", 10, lambda: not vif.segmentation(BACKEND))
        t.eventually(f"{turn}: segmentation without it", 10, lambda: vif.segmentation(BACKEND))
    command("xl", "network-detach", "0", "0")
    t.eventually("both ends are gone", 20, lambda: not netfronts() and not Path("/sys/class/net", BACKEND).exists())
    command("modprobe", "-r", "xen-netfront")
