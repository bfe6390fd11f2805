# SPDX-License-Identifier: GPL-2.0
"""Storms of events, nodes that are rewritten without end, requests that change while they are read."""

import contextlib
import os
import re
import struct
import time
from pathlib import Path

from rig import driver, leftovers, xenlog
from rig.checks import run as command
from rig.neighbour import Neighbour, exchange, frame
from rig.peer import Peer
from rig.wire import Wire

LIMIT = 240
ONLY_WITH = "rust"
EXPECTED_MESSAGES = (r"vif-0-0|vif vif-0-0|vif0\.0", r"xen:grant_table", r"d0v\d+ ")

STORM, REWRITING = 2, 4  # Seconds.
BEHIND, WAITING = 2, 1024  # Seconds and KiB for changes of nodes that the backend has not looked at.
RING, TX_ENTRY = 64, 12  # Where the entries of a ring begin, and the size of one.
MORE, EXTRAS = 4, 8      # Flags of a request: another slot follows, extras follow.


def goes_on(t, what, noise, seconds, least, neighbour):
    """The neighbour has its packets while there is noise, which has made `least` rounds."""
    end = time.monotonic() + (20 if t.long else 1) * seconds
    lost = turns = 0
    while time.monotonic() < end or turns < 5:
        lost += bool(neighbour.exchange())
        turns += 1
    rounds = noise.calm()
    t.equal(f"{what}: packets that a neighbour has lost, of {turns} each way", lost, 0)
    t.at_least(f"{what}: rounds of the slowest", min(rounds), least)


def connected(peer):
    peer.connect()
    for queue in range(peer.queues):
        peer.post(queue)


def events(peer):
    """The events that have interrupted the backend, and those of them that it found without a reason."""
    folder = Path("/sys/bus/xen-backend/devices", peer.device, "xenbus")
    return [int((folder / name).read_text()) for name in ("events", "spurious_events")]


def storms(t, peer, wire, neighbour):
    """XSA-332 (CVE-2020-27673): events on every channel, with nothing behind them. Fails when an event counts
    as one with a reason whatever was found (`Pending::finish` says `Worked` always)."""
    before = events(peer)
    for ring in ("tx", "rx"):
        for queue in range(2):
            peer.storm(ring, queue)
    goes_on(t, "XSA-332: storm of events", peer, STORM, 100, neighbour)
    # The kernel serves a channel later that has no reasons, as far as it is told.
    heard, spurious = (now - then for now, then in zip(events(peer), before))
    t.at_least(f"XSA-332: events without a reason, of {heard}", spurious, heard * 0.8)
    t.equal("the interface of the storm works afterwards", exchange(peer, wire), "")


def unreclaimable():
    """Kernel memory in KiB."""
    return int(re.search(r"^SUnreclaim:\s+(\d+)", Path("/proc/meminfo").read_text(), re.M)[1])


@contextlib.contextmanager
def slow_xenstore():
    """The kernel's thread that follows xenstore runs when nobody else wants to, so that what may pile up does."""
    thread = int(command("pgrep", "-x", "xenwatch"))
    os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def rewriting(t, peer, wire, neighbour):
    """XSA-349 (CVE-2020-29568): nodes which the backend watches, and those that it reads then. Fails when every
    change is worth a call of its own (`will_handle_callback` returns true), and such a call takes 5 ms more."""
    memory = unreclaimable()
    with slow_xenstore():
        peer.rewrite("state", [4, 3])
        peer.rewrite("request-multicast-control", [0, 1, "seven"])
        peer.rewrite("xdp-headroom", [0, 256, -1])
        goes_on(t, "XSA-349: rewriting nodes", peer, REWRITING, 10, neighbour)
    start, memory = time.monotonic(), unreclaimable() - memory
    xenlog.settle()
    t.at_most("XSA-349: the backend needs for what has piled up", round(time.monotonic() - start, 2), BEHIND, "s")
    t.at_most("XSA-349: memory for changes that wait", memory, WAITING, "KiB")
    for key, value in (("xdp-headroom", 0), ("request-multicast-control", 0), ("state", 4)):
        peer.write(key, value)
    with Peer(2) as late, Wire(late.name) as late_wire:
        connected(late)
        t.equal("a device that is attached then works", exchange(late, late_wire), "")
    t.equal("the interface whose nodes changed works", exchange(peer, wire), "")


def flipping(t, peer, wire, neighbour):
    """Offsets and flags of requests change all the time. Whatever the backend makes of a packet, it goes
    on or reports a fault, and the frontend can come back.

    Fails when a fault is not forgotten at the end of the connection (`Link::DOWN` left out of `disconnect`)."""
    faults = answered = 0
    values = [struct.pack("=HH", offset, flags) for offset, flags in ((0, 0), (4000, 0), (0, MORE), (0, EXTRAS))]
    for _ in range(40 if t.long else 4):
        for slot in range(5, 256, 50):
            peer.flip(RING + TX_ENTRY * slot + 4, values, ring="tx")
        for _ in range(20):
            sent = [peer.packet(frame(peer, 214), [20, 100, 94]) for _ in range(20)]
            answered += sum(one is not None for one in peer.send_many(0, sent, seconds=0.2))
            if peer.backend_state() == "5":
                faults += 1
                break
        peer.calm()
        neighbour.check(t, "requests change")
        peer.reconnect()
        for queue in range(peer.queues):
            peer.post(queue)
        wire.receive(count=100000, seconds=0)
        t.equal("the interface works when its frontend has come back", exchange(peer, wire), "")
    t.at_least("packets that were answered while requests changed", answered, 1)
    t.note(f"{faults} faults")


def run(t):
    driver.use(t.driver, "max_queues=2")
    with leftovers.none(t, "noise"), Neighbour() as other:
        with Peer(queues=2, split=True, tolerant=True) as peer, Wire(peer.name) as wire:
            connected(peer)
            storms(t, peer, wire, other)
            rewriting(t, peer, wire, other)
            flipping(t, peer, wire, other)
