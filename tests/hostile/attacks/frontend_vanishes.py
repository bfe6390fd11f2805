# SPDX-License-Identifier: GPL-2.0
"""The guest or its directory in xenstore goes in every state and under load: nothing is left, and soon."""

import socket
import time

from rig import driver, guest, vif, xenstore
from rig.checks import run as command, wait_for
from rig.frontend import Frontend, Rings
from rig.fuzzer import quick_connections
from rig.traffic import flood, guest_flood

LIMIT = 600
WITHIN = 10
SO_RCVBUFFORCE = 33  # Python does not name it.
PARKED = 1000


def gone(t, what, link, by_toolstack=True):
    """The device goes within the limit, and everything that belongs to it."""
    t.eventually(f"{what}: the device is gone", WITHIN, lambda: link.device not in driver.devices())
    if not by_toolstack:
        # The backend's directory is not the driver's to remove.
        xenstore.remove(link.backend)
    t.eventually(f"{what}: nothing is left", WITHIN, lambda: not link.leftovers())


def states(t):
    """CVE-2010-3699: a frontend in dom0 whose directory is removed in each of its states. Fails when the device
    is kept then (`frontend_changed` in lifecycle.rs returns `Keep` for state 0)."""
    class Dom0:
        domid = 0

    link = vif.Vif(Dom0, "0", 0)
    rings = Rings()
    # The frontend's state, those it goes through before, and where that leads the backend.
    for state, way, backend in ((1, (), 2), (3, (), 2), (4, (), 4), (5, (4,), 5), (6, (4, 5), 6), (1, (4, 5, 6), 2),
                                (7, (4,), 8)):
        frontend = Frontend()
        frontend.wait(2)
        frontend.publish(rings.keys())
        for step in (*way, state):
            if step != 1 or way:
                frontend.switch(step)
            frontend.wait({1: 2, 3: 2, 4: 4, 5: 5, 6: 6, 7: 8}[step])
        t.equal(f"frontend {'-'.join(map(str, (*way, state)))}: backend state", frontend.backend_state(), str(backend))
        xenstore.remove(frontend.path)
        gone(t, f"directory removed in state {state}", link, by_toolstack=False)
    rings.close()


def connected(t, what, remove, by_toolstack):
    """A guest's frontend, under load both ways."""
    doomed = guest.get("doomed")
    link = vif.attach(doomed, number=4)
    with flood(link.address):
        guest_flood(doomed, vif.HOST)
        time.sleep(1)
        remove(doomed, link)
        gone(t, what, link, by_toolstack)


def remove_directory(_doomed, link):
    """As a guest or a toolstack may do at any time."""
    xenstore.remove(link.frontend)


def unloaded(t):
    """A guest without netfront: the backend waits, or has closed."""
    doomed = guest.get("doomed")
    link = vif.attach(doomed, number=4)
    doomed.netfront(False)
    wait_for("backend saw the frontend go", 15, lambda: link.states()[0] in ("2", "6"))
    doomed.destroy()
    gone(t, "destroyed without netfront", link)


def parked(t):
    """Packets of the guest wait in a socket that nobody reads, while the interface is detached."""
    this = guest.get("pv1")
    took = {}
    for waiting in (0, PARKED):
        link = vif.attach(this, number=2)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unread:
            unread.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
            unread.bind((vif.HOST, 6400))
            if waiting:
                this.run(f"traffic rain {vif.HOST} 6400 1400 200 >/dev/null 2>&1 </dev/null &")
                wait_for("packets are parked", 20, lambda: int(command(
                    "ss", "-u", "-n", "-H", "-a", "sport", "=", "6400").split()[1]) > PARKED * 1400)
                this.run("killall traffic")
            start = time.monotonic()
            xenstore.write(f"{link.backend}/online", 0)
            xenstore.write(f"{link.backend}/state", 5)
            wait_for("the device is gone", 30, lambda: link.device not in driver.devices())
            took[waiting] = round(time.monotonic() - start, 2)
        gone(t, f"detached with {waiting} packets in a socket", link, by_toolstack=False)
        xenstore.remove(link.frontend)
    t.at_most("seconds to detach with parked packets", took[PARKED], max(2, 3 * took[0]))


def run(t):
    driver.use(t.driver)
    with quick_connections():
        states(t)
    connected(t, "directory removed under load", remove_directory, False)
    connected(t, "destroyed under load", lambda doomed, _: doomed.destroy(), True)
    unloaded(t)
    if t.driver == "rust":  # What the other one passes on still refers to the guest's memory.
        parked(t)
