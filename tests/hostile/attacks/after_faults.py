# SPDX-License-Identifier: GPL-2.0
"""A frontend provokes a fault and then waits, goes, or is detached: all queues rest, and nothing is left."""

import struct
import time
from pathlib import Path

from rig import driver, frames, kmsg, leftovers
from rig.neighbour import Neighbour, frame
from rig.peer import HOST_MAC, Peer
from rig.wire import Wire

LIMIT = 180
ONLY_WITH = "rust"
EXPECTED_MESSAGES = (r"vif-0-0|vif vif-0-0|vif0\.0",)

WAIT = 0.6  # Seconds.
TICKS = 20  # Of 10 ms, that all threads of an interface may need while they should rest.


def packet(peer, queue):
    """A packet of too many slots: NAPI finds the fault."""
    peer.send(queue, frame(peer, 22 * 20), [20] * 22, seconds=0.3)


def buffers(peer, queue):
    """Impossibly many buffers: the thread finds the fault."""
    posted = peer.indices("rx", queue)[2]
    peer.poke(0, struct.pack("=I", (posted + 257) % 2**32), ring="rx", queue=queue)
    peer.notify("rx", queue)


FAULTS = {"packet": packet, "buffers": buffers}


def used():
    """Processor time that the threads of the interface have needed, in ticks."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, fields = stat.read_text().rpartition(")")
        except OSError:
            continue
        if "(vif0.0-" in name:
            total += sum(map(int, fields.split()[11:13]))
    return total


def faulty(t, ear, neighbour, what, queue, go):
    """A fault in one queue of two, and what comes then."""
    ear.heard()
    with Peer(queues=2) as peer, Wire(peer.name) as wire:
        peer.connect()
        for number in range(2):
            peer.post(number)
        FAULTS[what](peer, queue)
        for port in range(1000, 1032):
            wire.send(frames.udp((HOST_MAC, peer.mac), ("10.8.0.1", "10.8.0.2"), (port, port)))
        peer.wait(5)
        t.check(f"XSA-90: {what}, queue {queue}: no carrier", not peer.carrier())
        answered = [peer.send(number, frame(peer), seconds=0.3) for number in range(2)]
        t.equal("both queues have stopped", answered, [None, None])
        t.equal("lines in the log", len(ear.heard()), 1)
        # The threads are woken for nothing, for ever, if they cannot tell.
        for ring in ("tx", "rx"):
            for number in range(2):
                peer.notify(ring, number)
        before = used()
        time.sleep(WAIT)
        t.at_most("XSA-90: processor time of the threads after that", used() - before, TICKS, "ticks")
        neighbour.check(t, f"{what}, queue {queue}")
        start = time.monotonic()
        getattr(peer, go)()
        t.at_most(f"XSA-374: the device goes ({go}) within", round(time.monotonic() - start, 1), 5, "s")


def run(t):
    """XSA-90 (CVE-2014-2580): a fault that is found where nothing may sleep. Fails when NAPI reports it by
    itself (`try_report_fault` in `Poller::poll`), and when a thread does not rest after that (`Worker::end`
    returns at once).

    XSA-374 (CVE-2021-28691): what a fault has ended can still be stopped. Fails, and dom0 with it, when a
    thread returns after a fault (in `Worker::run`) and its owner has no reference to it (`create` takes
    none)."""
    driver.use(t.driver, "max_queues=2")
    ear = kmsg.Ear()
    with leftovers.none(t, "XSA-374: devices with a fault"), Neighbour() as neighbour:
        for queue, what, go in ((0, "packet", "close"), (1, "packet", "vanish"), (0, "buffers", "vanish"),
                                (1, "buffers", "close")):
            faulty(t, ear, neighbour, what, queue, go)
