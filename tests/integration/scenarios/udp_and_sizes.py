# SPDX-License-Identifier: GPL-2.0
"""Packets of every size arrive whole: ICMP and UDP, IPv4 and IPv6, fragments, with and without offloads."""

from rig import driver, guest, vif
from rig.checks import run as command
from rig.traffic import echo, ping

LIMIT = 150
# Around what a slot, a page, an Ethernet frame and an IP packet hold.
SIZES = (1, 17, 18, 19, 64, 128, 129, 1000, 1472, 1473, 2958, 4054, 4055, 4096, 8191, 16385, 32769, 65000, 65507)


def run(t):
    driver.use(t.driver)
    this = guest.get("pv1")
    link = vif.attach(this, number=2)
    name = link.configure()
    for size in (0, 1, 56, 1472, 1473, 4096, 20000, 65507):
        sent, received = ping(link.address, count=3, size=size)
        t.equal(f"ping of {size} bytes", received, sent)
    for size in (56, 1453, 20000):
        sent, received = ping(link.address6, count=3, size=size)
        t.equal(f"ping of {size} bytes over IPv6", received, sent)

    this.run("traffic echo 7000 >/dev/null 2>&1 </dev/null &")
    for offload in ("on", "off"):
        command("ethtool", "-K", link.name, "tx", offload)
        this.run(f"ethtool -K {name} tx {offload}")
        t.equal(f"UDP both ways, checksum offload {offload}: sizes that came back wrong",
                echo(link.address, SIZES), [])
        t.equal(f"UDP over IPv6 both ways, checksum offload {offload}: sizes that came back wrong",
                echo(link.address6, SIZES[:-1]), [])
    this.run("killall traffic")
    checksums = this.run("grep -E '^Udp:|^Udp6InCsumErrors' /proc/net/snmp /proc/net/snmp6")
    names, values = [line.split()[1:] for line in checksums.splitlines() if "Udp:" in line][:2]
    t.equal("checksum errors in the guest", dict(zip(names, values))["InCsumErrors"], "0")

    # The guest's netfront takes what an Ethernet interface may have at most.
    for end in (lambda: command("ip", "link", "set", vif.BRIDGE, "mtu", "9000"),
                lambda: command("ip", "link", "set", link.name, "mtu", "9000"),
                lambda: this.run(f"ip link set {name} mtu 9000")):
        end()
    sent, received = ping(link.address, count=5, size=8972, extra=("-M", "do"))
    t.equal("whole packets of 9000 bytes", received, sent)
    command("ip", "link", "set", vif.BRIDGE, "mtu", "1500")
