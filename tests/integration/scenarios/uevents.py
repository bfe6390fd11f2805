# SPDX-License-Identifier: GPL-2.0
"""Every event of a device that has an interface names its hotplug script and the interface."""

from pathlib import Path

from rig import driver, xenstore
from rig.checks import run as command
from rig.frontend import BACKEND, NAME, Frontend, Rings
from rig.netlink import Uevents

LIMIT = 60
DEVICE = "vif-0-0"
SCRIPT = "/etc/xen/scripts/vif-bridge"


def named(events):
    """(action, script, vif) of each event."""
    return [(one["ACTION"], one.get("script"), one.get("vif")) for one in events]


def bus(action, device=DEVICE):
    """Unbinds or binds the device by hand."""
    Path("/sys/bus/xen-backend/drivers", driver.BUS_NAMES[DRIVER], action).write_text(device)


DRIVER = None


def run(t):
    global DRIVER
    DRIVER = t.driver
    driver.use(t.driver)
    command("modprobe", "xen-gntalloc")
    events = Uevents()
    frontend = Frontend()
    frontend.wait(2)
    first = events.seen(DEVICE)
    t.equal("a new device", named(first), [("add", None, None), ("online", SCRIPT, NAME), ("bind", SCRIPT, NAME)])
    t.check("with what the bus says", all(
        (one["XENBUS_TYPE"], one["XENBUS_PATH"], one["XENBUS_BASE_PATH"]) == ("vif", "backend/vif/0/0", "backend")
        for one in first), first)

    uevent = Path("/sys/bus/xen-backend/devices", DEVICE, "uevent")
    xenstore.write(f"{BACKEND}/script", "/etc/xen/scripts/another")
    uevent.write_text("change")
    t.equal("asked for by hand, after the script's node has changed", named(events.seen(DEVICE)), [("change", SCRIPT, NAME)])
    t.check("and the same by reading the file", {f"script={SCRIPT}", f"vif={NAME}"} <= set(uevent.read_text().split()),
            uevent.read_text())

    command("ip", "link", "set", NAME, "name", "uplink0")
    rings = Rings()
    frontend.publish(rings.keys())
    frontend.switch(4)
    frontend.wait(4)
    uevent.write_text("change")
    t.equal("a renamed interface, once it is connected", named(events.seen(DEVICE)), [("change", SCRIPT, "uplink0")])
    bus("unbind")
    t.equal("unbound", named(events.seen(DEVICE))[0], ("offline", SCRIPT, "uplink0"))
    uevent.write_text("change")
    t.equal("without a driver", named(events.seen(DEVICE)), [("change", None, None)])
    bus("bind")
    # As its script does, since the driver has taken away what the last one wrote.
    xenstore.write(f"{BACKEND}/hotplug-status", "connected")
    frontend.wait(4)
    t.equal("bound again", named(events.seen(DEVICE)),
            [(action, "/etc/xen/scripts/another", NAME) for action in ("online", "bind")])
    frontend.remove()
    gone = named(events.seen(DEVICE))
    t.equal("removed", (gone[0], gone[-1][0]), (("offline", "/etc/xen/scripts/another", NAME), "remove"))
    rings.close()
