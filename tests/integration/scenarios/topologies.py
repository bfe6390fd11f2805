# SPDX-License-Identifier: GPL-2.0
"""Routed, on Open vSwitch, and in a bond, each set up as the toolstack or an administrator does it."""

import os
import signal
from pathlib import Path

from rig import driver, guest, traffic, vif
from rig.checks import run as command
from rig.traffic import largest_packets, ping

LIMIT = 240
SWITCH = "ovsbr0"
STATE = Path("/run/openvswitch")


def passes(t, what, this, link, host):
    """Traffic both ways, in large packets too."""
    traffic.check(t, what, this, link, host)
    sent, received = ping(link.address, count=3, size=20000)
    t.equal(f"{what}: ping of 20000 bytes", received, sent)
    for direction, largest in largest_packets(this, link).items():
        t.at_least(f"{what}: large GSO packets {direction}", largest, 32768, "bytes")


def routed(t, this):
    """By vif-route: dom0's address on the interface, a route to the guest's."""
    address = "10.9.7.2"
    vif.bridge()
    link = vif.attach(this, number=2, configure=False,
                      settings=("script=vif-route", f"gatewaydev={vif.BRIDGE}", f"ip={address}"))
    link.address = address
    link.wait_connected()
    name = link.configure()
    this.run(f"ip route add {vif.HOST} dev {name}")
    t.check("no bridge has it", not Path("/sys/class/net", link.name, "master").exists())
    passes(t, "routed", this, link, vif.HOST)
    link.detach()


def start_switch():
    """Open vSwitch's daemons, and a switch with an address of dom0's."""
    STATE.mkdir(exist_ok=True)
    command("modprobe", "openvswitch")
    command("ovsdb-tool", "create", STATE / "conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
    command("ovsdb-server", STATE / "conf.db", f"--remote=punix:{STATE}/db.sock", "--pidfile", "--detach",
            f"--log-file={STATE}/ovsdb.log")
    command("ovs-vsctl", "--no-wait", "init")
    command("ovs-vswitchd", "--pidfile", "--detach", f"--log-file={STATE}/vswitchd.log")
    command("ovs-vsctl", "--timeout=30", "add-br", SWITCH)
    command("ip", "address", "add", "10.9.8.1/24", "dev", SWITCH)
    command("ip", "link", "set", SWITCH, "up")


def stop_switch():
    """Takes all that away."""
    command("ovs-vsctl", "--timeout=30", "del-br", SWITCH)
    for name in ("ovs-vswitchd", "ovsdb-server"):
        os.kill(int((STATE / f"{name}.pid").read_text()), signal.SIGTERM)


def switched(t, this):
    """By vif-openvswitch: a port of a switch."""
    start_switch()
    link = vif.attach(this, number=2, configure=False, settings=("script=vif-openvswitch", f"bridge={SWITCH}"))
    link.address = "10.9.8.2"
    link.wait_connected()
    link.configure()
    t.equal("its master", Path("/sys/class/net", link.name, "master").resolve().name, "ovs-system")
    passes(t, "Open vSwitch", this, link, "10.9.8.1")
    link.detach()
    stop_switch()


def bonded(t, this):
    """By hand: the only member of a bond, which gives it another address."""
    link = vif.attach(this, number=2)
    command("ip", "link", "set", link.name, "down", "nomaster")
    command("ip", "link", "add", "bond9", "type", "bond", "mode", "active-backup", "miimon", "100")
    command("ip", "link", "set", "bond9", "address", "00:16:3e:09:00:09")
    command("ip", "link", "set", link.name, "master", "bond9")
    command("ip", "link", "set", "bond9", "up")
    command("ip", "address", "add", "10.9.6.1/24", "dev", "bond9")
    link.address = "10.9.6.2"
    link.configure()
    t.eventually("the bond uses it", 10,
                 lambda: Path("/sys/class/net/bond9/bonding/active_slave").read_text().strip() == link.name)
    t.equal("its address is the bond's", link.sysfs("address"), "00:16:3e:09:00:09")
    passes(t, "bonded", this, link, "10.9.6.1")
    link.detach()
    t.equal("the bond is left alone", Path("/sys/class/net/bond9/bonding/slaves").read_text().strip(), "")
    command("ip", "link", "delete", "bond9")


def run(t):
    driver.use(t.driver)
    this = guest.get("pv1")
    for topology in (routed, switched, bonded):
        topology(t, this)
