# SPDX-License-Identifier: GPL-2.0
"""A connected interface moves into a network namespace, works there, and comes back or goes away from there."""

from rig import driver, guest, traffic, vif
from rig.checks import run as command, wait_for

LIMIT = 120
SPACE = "apart"
HOST = "10.9.5.1"
ADDRESS = "10.9.5.2"


def inside(*words, limit=60, ok=(0,)):
    """Runs a command in the namespace."""
    return command("ip", "netns", "exec", SPACE, *words, limit=limit, ok=ok)


def move_in(t, this, link):
    """Moves the interface into a new namespace and uses it there."""
    command("ip", "netns", "add", SPACE)
    command("ip", "link", "set", link.name, "netns", SPACE)
    t.check("the interface has left dom0's namespace", not link.exists())
    inside("ip", "address", "add", f"{HOST}/24", "dev", link.name)
    inside("ip", "link", "set", link.name, "up")
    link.address = ADDRESS
    link.configure()
    t.equal("both xenbus states", link.states(), ("4", "4"))
    traffic.check(t, "in the namespace", this, link, HOST, inside)


def run(t):
    driver.use(t.driver)
    this = guest.get("pv1")
    link = vif.attach(this, number=2)
    outside = link.address

    move_in(t, this, link)
    command("ip", "netns", "delete", SPACE)
    t.eventually("back when the namespace is deleted", 10, link.exists)
    command("ip", "link", "set", link.name, "master", vif.BRIDGE, "up")
    link.address = outside
    link.configure()
    link.wait_connected()
    traffic.check(t, "back on the bridge", this, link)

    move_in(t, this, link)
    # Reconnecting takes place where the interface is by then.
    this.netfront(False)
    wait_for("backend saw the frontend go", 15, lambda: link.states()[0] in ("2", "5", "6"))
    this.netfront(True)
    wait_for("the frontend is back", 15, lambda: link.states() == ("4", "4"))
    link.configure()
    traffic.check(t, "reconnected in the namespace", this, link, HOST, inside)
    command("xl", "network-detach", this.name, link.handle)
    t.eventually("detached from within the namespace", 10, lambda: not link.leftovers())
    t.equal("left in the namespace", inside("ls", "/sys/class/net").split(), ["lo"])
    command("ip", "netns", "delete", SPACE)
