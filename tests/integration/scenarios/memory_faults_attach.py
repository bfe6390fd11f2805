# SPDX-License-Identifier: GPL-2.0
"""Every allocation of attach and of unbinding fails once: reported, undone, and the next time it works."""

import os
from pathlib import Path

from rig import driver, faults, kmemleak, leftovers, xenstore
from rig.frontend import Frontend
from rig.neighbour import served
from rig.peer import Peer

LIMIT = 900
ONLY_WITH = "rust"
KERNEL = "debug"
EXPECTED_MESSAGES = (r"vif-0-0|vif vif-0-0|vif0\.0", *faults.MESSAGES)

BUS = Path("/sys/bus/xen-backend")
LAYOUT = {"queues": 2, "split": True, "control": True}


def ask(what, device):
    """Binds or unbinds the device, in this task and once; returns whether that was possible."""
    file = os.open(BUS / "drivers" / driver.BUS_NAMES["rust"] / what, os.O_WRONLY)
    try:
        os.write(file, device.encode())
    except OSError:
        return False
    finally:
        os.close(file)
    return True


def is_bound(device):
    """Whether a driver has the device."""
    return (BUS / "devices" / device / "driver").exists()


def fresh():
    """A device that attaches and connects without a fault; an error tells what is wrong."""
    with Peer(**LAYOUT) as peer:
        peer.connect()
        return served(peer)


def attach(t):
    """The device gets its driver: it has an interface and offers itself, or it has none and tells why.

    Fails when the state is not read back (`switch_state` returns `Ok`), and when the interface stays without the
    watches (`close` is not called in `probe`)."""
    outcomes = faults.Outcomes()
    device = Frontend()
    device.wait(2)
    offered = set(xenstore.children(device.backend))
    for fault in faults.each_here():
        if is_bound(device.device) or device.backend_state() == "2":
            # The driver gets it with another state, as if it were new: then there is a state to be shown.
            if not is_bound(device.device):
                ask("bind", device.device)
            xenstore.write(f"{device.backend}/state", 5)
            ask("unbind", device.device)
        xenstore.write(f"{device.backend}/hotplug-status", "connected")
        device.forget_error()
        with fault:
            bound = ask("bind", device.device)
        error, state = device.error(), device.backend_state()
        interface = os.path.exists(f"/sys/class/net/{device.name}")
        right = bound == is_bound(device.device) == interface and (error or bound and state == "2")
        if bound:
            right = right and set(xenstore.children(device.backend)) == offered
        t.check(f"attach, allocation {fault.nth}: {outcomes.add(error)}", right,
                f"state {state}, error {error!r}, bound {bound}, interface {interface}")
    device.remove()
    outcomes.report(t, "attach", 100)


def unbind(t):
    """A connected device loses its driver: it does, whatever fails, and the driver can have it again.

    Fails when a watch is not tried at another address (`Watch::register`)."""
    outcomes = faults.Outcomes()
    with Peer(**LAYOUT) as peer:
        peer.connect()
        for fault in faults.each_here():
            peer.forget_error()
            with fault:
                ask("unbind", peer.device)
            error = peer.error()
            script = xenstore.read(f"{peer.backend}/hotplug-status")
            right = not is_bound(peer.device) and not os.path.exists(f"/sys/class/net/{peer.name}")
            t.check(f"unbind, allocation {fault.nth}: {outcomes.add(error)}", right and (error or script is None),
                    f"error {error!r}, {script}")
            ask("bind", peer.device)
            xenstore.write(f"{peer.backend}/hotplug-status", "connected")
            peer.wait(4)
            peer.up()
            peer.wait_carrier()
            t.equal("bound again: what is wrong", served(peer), "")
    outcomes.report(t, "unbind", 20)


def run(t):
    driver.use(t.driver, "max_queues=2")
    t.equal("without faults: what is wrong", fresh(), "")
    with faults.hurried(), leftovers.none(t, "attachments with faults"):
        faults.driver_only()
        attach(t)
        t.equal("the next attach: what is wrong", fresh(), "")
        unbind(t)
    kmemleak.check(t)
