# SPDX-License-Identifier: GPL-2.0
"""Either end of an interface goes down and up under traffic; two interfaces of a guest do not mix."""

from rig import driver, guest, vif
from rig.checks import run as command, wait_for
from rig.traffic import ping, rain

LIMIT = 150
TIMES = 10


def answers(link):
    """Whether the guest answers a ping through this interface."""
    return ping(link.address, count=1, interval="0.2", extra=("-W", "0.5"))[1] == 1


def run(t):
    driver.use(t.driver)
    this = guest.get("pv1")
    first = vif.attach(this, number=2)
    name = first.configure()
    with rain(first.address):
        for turn in range(TIMES):
            command("ip", "link", "set", first.name, "down")
            command("ip", "link", "set", first.name, "up")
            wait_for(f"dom0's end, turn {turn + 1}: traffic is back", 10, lambda: answers(first))
        t.check(f"dom0's end went down and up {TIMES} times", True)
        for turn in range(TIMES):
            this.run(f"ip link set {name} down; ip link set {name} up")
            wait_for(f"guest's end, turn {turn + 1}: traffic is back", 10, lambda: answers(first))
        t.check(f"the guest's end went down and up {TIMES} times", True)

    second = vif.attach(this, number=5)
    counted = int(second.sysfs("statistics/tx_bytes"))
    # The guest answers for both addresses on either interface unless it is told not to.
    this.run("for name in all default; do echo 1 >/proc/sys/net/ipv4/conf/$name/arp_ignore; done")
    command("ip", "neighbour", "flush", "all")
    sent, received = ping(second.address, count=5, size=1000)
    t.equal("second interface: ping without loss", received, sent)
    t.at_least("second interface: its own bytes", int(second.sysfs("statistics/tx_bytes")) - counted, 5000, "bytes")
    first.detach()
    # The guest answers by either interface as long as it has both.
    wait_for("the guest's end is gone", 10, lambda: this.run(f"[ -e /sys/class/net/{name} ] || echo gone"))
    sent, received = ping(second.address, count=5)
    t.equal("second interface works without the first", received, sent)
