# SPDX-License-Identifier: GPL-2.0
"""A guest's VLANs, one within another as well, carry what an interface without tags carries."""

from rig import driver, guest, vif
from rig.checks import run as command
from rig.traffic import echo, ping, transfer

LIMIT = 120
STREAM = 1 << 20
SIZES = (1, 17, 500, 1472)
MODULES = ("llc", "stp", "garp", "mrp", "8021q")


def run(t):
    driver.use(t.driver)
    this = guest.get("pv1")
    link = vif.attach(this, number=2)
    name = link.configure()
    command("modprobe", "8021q")
    for module in MODULES:
        this.run(f"[ -e /sys/module/{module} ] || insmod /lib/{module}.ko")
    this.run("traffic echo 7000 >/dev/null 2>&1 </dev/null &")

    # The bridge passes tags on as they are; its own interface is dom0's end.
    for place, lowest in ((command, vif.BRIDGE), (lambda *words: this.run(" ".join(words)), name)):
        here = "1" if lowest == vif.BRIDGE else "2"
        for lower, upper, protocol, number, subnet in ((lowest, "tagged", "802.1q", "100", "100"),
                                                       (lowest, "outer", "802.1ad", "200", "200"),
                                                       ("outer", "inner", "802.1q", "300", "201")):
            place("ip", "link", "add", "link", lower, "name", upper, "type", "vlan", "protocol", protocol, "id", number)
            place("ip", "address", "add", f"10.9.{subnet}.{here}/24", "dev", upper)
            place("ip", "link", "set", upper, "up")

    for what, subnet in (("a VLAN", 100), ("a service VLAN", 200), ("a VLAN in a service VLAN", 201)):
        outside, inside = f"10.9.{subnet}.1", f"10.9.{subnet}.2"
        sent, received = ping(inside, count=5)
        t.equal(f"{what}: ping", received, sent)
        t.equal(f"{what}: UDP of sizes that came back wrong", echo(inside, SIZES), [])
        t.equal(f"{what}: TCP streams that did not arrive whole", transfer(this, inside, outside, STREAM), [])
    if t.driver == "rust":
        t.equal("packets from the guest that were refused", link.counter("guest_tx_bad_offload"), 0)
    this.run("killall traffic; ip link delete tagged; ip link delete inner; ip link delete outer")
    for upper in ("tagged", "inner", "outer"):
        command("ip", "link", "delete", upper)
