# SPDX-License-Identifier: GPL-2.0
"""A device that appears, connects, goes up and down, and goes: xenstore, sysfs, ip, ethtool, names, uevents."""

import re

from rig import driver, facts, netlink, xenstore
from rig.checks import run as command
from rig.frontend import Frontend, Rings
from rig.xenlog import settle

LIMIT = 120


def look(r, frontend):
    """Everything that can be seen at one moment."""
    settle()
    r.put_all({f"backend/{key}": value for key, value in xenstore.tree(frontend.backend).items()})
    r.put_all({f"device {key}": value for key, value in facts.device(frontend.device).items()})
    r.put_all(facts.interface(frontend.name))
    r.put_all(facts.ethtools(frontend.name))
    r.put_all(facts.kernel_names(frontend.name))
    r.put_all(facts.debugfs(frontend.name))
    r.put("module", "in use" if driver.references(r.driver) else "free")


def uevents(r, events):
    """What the kernel has told user space about the device and its interface."""
    counts = {}
    for action, path, variables in events.take():
        if "vif-0-0" not in path:
            continue
        event = f"uevent {action} {re.sub(r'^/devices/', '', path)}"
        counts[event] = counts.get(event, 0) + 1
        event += f" {counts[event]}" if counts[event] > 1 else ""
        del variables["SEQNUM"]
        if "IFINDEX" in variables:
            variables["IFINDEX"] = "N"
        r.put(event, "sent")
        r.put_all({f"{event} {name}": value for name, value in variables.items()})


def record(r):
    rings = Rings()
    with netlink.Uevents() as events:
        r.step("probe")
        frontend = Frontend({"hotplug-status": None})
        frontend.wait(2)
        look(r, frontend)
        uevents(r, events)

        r.step("up before connect")
        command("ip", "link", "set", frontend.name, "up")
        r.put_all(facts.interface(frontend.name))
        command("ip", "link", "set", frontend.name, "down")

        r.step("connect")
        frontend.publish(rings.keys())
        xenstore.write(f"{frontend.backend}/hotplug-status", "connected")
        frontend.switch(4)
        frontend.wait(4)
        look(r, frontend)
        uevents(r, events)

        for state in ("up", "down"):
            r.step(f"connected and {state}")
            command("ip", "link", "set", frontend.name, state)
            r.put_all(facts.interface(frontend.name))

        for state in (5, 6, 1, 4):
            r.step(f"frontend then {state}")
            frontend.switch(state)
            look(r, frontend)
        uevents(r, events)

        r.step("gone")
        frontend.remove()
        uevents(r, events)
        r.put_all({f"backend/{key}": value for key, value in xenstore.tree(frontend.backend).items()})
        r.put_all(facts.kernel_names(frontend.name))
        r.put_all(facts.debugfs(frontend.name))
        r.put("module", "in use" if driver.references(r.driver) else "free")
    rings.close()
