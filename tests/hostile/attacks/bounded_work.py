# SPDX-License-Identifier: GPL-2.0
"""Rings that are never empty and nodes that never rest: work comes in portions, and others have their turn."""

import re
import struct
import time

from rig import driver
from rig.neighbour import Neighbour, exchange, frame
from rig.peer import Peer
from rig.trace import TRACEFS, Trace
from rig.wire import Wire

LIMIT = 150
ONLY_WITH = "rust"
EXPECTED_MESSAGES = (r"vif-0-0|vif vif-0-0|vif0\.0", r"d0v\d+ ")

SECONDS = 2
BUDGET = 64    # Packets that NAPI takes before others have their turn.
BATCH = 64     # Packets of one copy.
OPERATIONS = 128  # Of one hypercall: twice what a batch is closed with.
ATTACH = 10    # Seconds until another device is connected, while xenstore never rests.
MORE = 4
_EVENT = re.compile(r"\[(\d+)\].*: (napi_poll|netback_copy): (.*)")


def portions(name):
    """What the trace tells of an interface: packets from the guest in each poll; and of all copies the packets,
    and the operations."""
    polls, copies, open_polls = [], [], {}
    for cpu, event, text in _EVENT.findall((TRACEFS / "trace").read_text()):
        if event == "napi_poll" and f"device {name} " in text:
            polls.append(open_polls.pop(cpu, 0))
        elif event == "netback_copy" and f"dev={name} " in text:
            packets, operations = (int(number) for number in re.findall(r"(?:packets|operations)=(\d+)", text))
            copies.append((packets, operations))
            if "from-guest" in text:
                open_polls[cpu] = open_polls.get(cpu, 0) + packets
    return polls, copies


def full_rings(t, other):
    """The guest fills both rings again before they are empty, while the host floods it.

    Fails when a poll goes on until the ring is empty, and when a batch of packets from the guest is closed by the
    end of the ring alone."""
    for what, size, slots, groups in (("one slot", 60, 1, 256), ("18 slots", 18 * 20, 18, 14)):
        with Peer() as peer, Wire(peer.name) as wire:
            peer.connect()
            peer.up(mtu=9000)
            page, buffer = peer.grant(frame(peer, size)), peer.grant(bytes(4096))
            first = [struct.pack("=IHHHH", page, 0, MORE if slots > 1 else 0, 1, size)]
            rest = [struct.pack("=IHHHH", page, 20 * slot, MORE if slot + 1 < slots else 0, 2, 20)
                    for slot in range(1, slots)]
            answered = peer.indices("tx")[2]
            with Trace("napi/napi_poll", "xen_netback_rs/netback_copy"):
                peer.overfill("tx", [first + rest] * groups)
                peer.overfill("rx", [[struct.pack("=HHI", 1, 0, buffer)]])
                end, turns, lost = time.monotonic() + (30 if t.long else SECONDS), 0, 0
                while time.monotonic() < end or turns < 3:
                    for _ in range(30):
                        wire.send(frame(peer, 9000 if turns % 2 else 60, False))
                    lost += bool(other.exchange())
                    turns += 1
                peer.calm()
                polls, copies = portions(peer.name)
            t.at_least(f"{what}: answers", (peer.indices("tx")[2] - answered) % 2**32, 512)
            t.at_least(f"{what}: polls", len(polls), 5)
            t.at_most(f"{what}: packets in one poll", max(polls), BUDGET)
            t.at_least(f"{what}: copies", len(copies), 5)
            t.at_most(f"{what}: packets of one copy", max(packets for packets, _ in copies), BATCH)
            t.at_most(f"{what}: operations of one copy", max(operations for _, operations in copies), OPERATIONS)
            t.equal(f"{what}: packets that a neighbour has lost, of {turns} each way", lost, 0)
            t.equal(f"{what}: the backend's state", peer.backend_state(), "4")


def never_sleeping(t, other):
    """An index goes back and forth just where the backend looks: whoever serves the ring finds something to do
    before it sleeps, and nothing when it is up. It ends in a fault or in nothing, and others have their turn.

    The portions are kept by looks that cost budget (`spent` in guest_tx/poll.rs) and turns that give the processor
    away; no frontend in user space is exact enough to live on their lack."""
    for ring, ahead in (("tx", 0), ("rx", 2), ("control", 0)):
        with Peer(control=True, tolerant=True) as peer, Wire(peer.name) as wire:
            peer.connect()
            peer.up(mtu=9000)
            if ring == "rx":
                # A packet that needs three buffers is waiting while there are two, or three.
                peer.post(0, ahead)
                wire.send(frame(peer, 9000, False))
            at = peer.indices(ring)[2] + ahead
            peer.flip(0, [struct.pack("=I", at), struct.pack("=I", at + 1)], ring=ring)
            peer.storm(ring)
            for _ in range(3):
                other.check(t, f"an index of {ring} goes back and forth")
            peer.calm()
            t.check("the backend has gone on, or has found a fault", peer.backend_state() in ("4", "5"))
            peer.reconnect()
            peer.post()
            t.equal("and works when its frontend comes back", exchange(peer, wire), "")


def xenstore(t):
    """A guest changes its state and all watched nodes without end: other devices do not wait for it.

    Fails when 10 s pass in `disconnect`, as if packets of the guest were waited for."""
    with Peer(queues=2, tolerant=True) as peer:
        keys = peer.rings()
        peer.publish(keys)
        peer.rewrite("state", [4, 5, 6, 1])
        for node in ("request-multicast-control", "request-multicast-control/below", "xdp-headroom"):
            peer.rewrite(node, [0, 1])
        took = []
        for number in range(3):
            start = time.monotonic()
            with Peer(handle=2 + number) as late, Wire(late.name) as wire:
                late.connect(seconds=4 * ATTACH)
                took.append(round(time.monotonic() - start, 1))
                late.post()
                t.equal("a device that is attached then works", exchange(late, wire), "")
        rounds = peer.calm()
        t.at_least("changes of the slowest node meanwhile", min(rounds), 20)
        t.at_most("seconds until another device is connected, at worst", max(took), ATTACH)
        peer.set_state(6)
        peer.wait(6)
        peer.set_state(1)
        peer.wait(2)
        peer.connect()
        t.check("the guest is connected again afterwards", peer.backend_state() == "4")


def run(t):
    driver.use(t.driver, "max_queues=2")
    with Neighbour() as neighbour:
        full_rings(t, neighbour)
        never_sleeping(t, neighbour)
    xenstore(t)
