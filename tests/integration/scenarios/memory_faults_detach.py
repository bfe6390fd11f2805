# SPDX-License-Identifier: GPL-2.0
"""Every allocation of watched keys, of closing and of detach fails once: it goes on, or tells; then it works."""

import re
import time
from pathlib import Path

from rig import driver, faults, kmemleak, leftovers, xenstore
from rig.checks import Failed
from rig.neighbour import frame, served
from rig.peer import Peer
from rig.wire import Wire
from rig.xenlog import settle

LIMIT = 900
ONLY_WITH = "rust"
KERNEL = "debug"
EXPECTED_MESSAGES = (r"vif-0-|vif0\.", *faults.MESSAGES)

LAYOUT = {"queues": 2, "split": True, "control": True}
REFUSALS, QUIET = 8, 6  # Complaints about a device, and the seconds after which there may be so many again.


def limit():
    """The bytes that the guest may send at a time, as the driver shows them."""
    (file,) = Path("/sys/kernel/debug").glob("xen-netback*/vif0.0/io_ring_q0")
    return int(re.search(r"credit: (\d+)", file.read_text())[1])


def filters(peer, wire):
    """Whether a frame to a group of which the guest has not heard is kept from it."""
    group = b"\x01\x00\x5e" + frame(peer)[3:]
    marker = frame(peer)
    wire.send(group)
    wire.send(marker)
    got = []
    while marker not in got:
        new = [one.data for one in peer.receive()]
        if not new:
            raise Failed("a frame to the guest alone arrives", "it does not")
        got += new
    return group not in got


def watched(t, xenwatch):
    """Keys that the driver watches change: it takes them up, or tells that it could not.

    Fails when it does not tell (`while_connected` drops the error)."""
    outcomes = faults.Outcomes()
    with Peer(**LAYOUT) as peer, Wire(peer.name) as wire:
        peer.connect()
        for queue in range(peer.queues):
            peer.post(queue)
        for fault in faults.each(xenwatch):
            peer.forget_error()
            rate, multicast = 10**9 + fault.nth, fault.nth % 2
            with fault:
                xenstore.write(f"{peer.backend}/rate", f"{rate},50000")
                peer.write("request-multicast-control", multicast)
                settle(1)
            error, seen = peer.error(), (limit(), filters(peer, wire))
            t.check(f"watched keys, allocation {fault.nth}: {outcomes.add(error)}", error or seen == (rate, multicast),
                    seen)
            if outcomes.reported % REFUSALS == 0 and error:
                # So many complaints are enough for a while.
                time.sleep(QUIET)
    outcomes.report(t, "watched keys", 5)


def disconnect(t, xenwatch):
    """The frontend closes: both ends do, or it is told why not; it can connect again."""
    outcomes = faults.Outcomes()
    with Peer(**LAYOUT) as peer:
        peer.connect()
        for fault in faults.each(xenwatch):
            peer.forget_error()
            with fault:
                peer.set_state(5)
                settle(1)
                peer.set_state(6)
                settle(1)
            state, error = peer.backend_state(), peer.error()
            t.check(f"disconnect, allocation {fault.nth}: {outcomes.add(error)}", state == "6" or error,
                    f"state {state}, no error")
            peer.call("release")
            peer.set_state(1)
            peer.wait(2)
            peer.connect(up=False)
            peer.wait_carrier()
            t.equal("connected again: what is wrong", served(peer), "")
    outcomes.report(t, "disconnect", 20)


def detach(t, xenwatch):
    """The toolstack takes the device away while it is connected: it goes, whatever fails."""
    outcomes = faults.Outcomes()
    for fault in faults.each(xenwatch):
        # Another one each time: for lack of memory the kernel may leave its watches of one behind.
        peer = Peer(fault.nth % 256, **LAYOUT)
        peer.connect(up=False)
        with fault:
            xenstore.write(f"{peer.backend}/online", 0)
            peer.switch(6)
            settle(1)
        outcome = outcomes.add(peer.error())
        # The toolstack removes the directory, whatever the state is.
        xenstore.remove(peer.backend)
        t.eventually(f"detach, allocation {fault.nth}: {outcome}, and is gone", 15,
                     lambda: not driver.devices() and not driver.interfaces())
        peer.gone()
        peer.end()
    with Peer(**LAYOUT) as peer:
        peer.connect()
        t.equal("after these: what is wrong", served(peer), "")
    outcomes.report(t, "detach", 20)


def run(t):
    driver.use(t.driver, "max_queues=2")
    xenwatch = faults.task("xenwatch")
    with Peer(**LAYOUT) as peer:
        peer.connect()
        t.equal("without faults: what is wrong", served(peer), "")
    with faults.hurried(), leftovers.none(t, "detachments with faults"):
        faults.driver_only()
        watched(t, xenwatch)
        disconnect(t, xenwatch)
        detach(t, xenwatch)
    kmemleak.check(t)
