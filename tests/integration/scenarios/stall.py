# SPDX-License-Identifier: GPL-2.0
"""A frontend that posts too few buffers stalls: the carrier tells, counters tell, and it recovers."""

import os
import time
from pathlib import Path

from rig import driver, frames
from rig.peer import HOST_MAC, Peer
from rig.wire import Wire

LIMIT = 180
ONLY_WITH = "rust"
TIMEOUT = 2
# Packets live longer than the test waits for a stall, so that only the stall drops them.
PARAMETERS = ("max_queues=2", f"rx_stall_timeout_msecs={TIMEOUT * 1000}", "rx_drain_timeout_msecs=60000")
SEGMENT = 1448


def plain(peer, port, size=500):
    """A packet to the guest, of one slot; the ports decide about its queue."""
    return frames.udp((HOST_MAC, peer.mac), ("10.8.0.1", "10.8.0.2"), (port, port), os.urandom(size))


def large(peer):
    """A packet of 5 pages, which needs 6 slots with its extra."""
    return frames.tcp((HOST_MAC, peer.mac), ("10.8.0.1", "10.8.0.2"), (5000, 5001), os.urandom(20000), blank=True)


def send_large(wire, frame):
    wire.send(frame, gso=(SEGMENT, 1), blank=frames.blank_at(frame))


def stalls(t, peer, since):
    """The carrier goes down, and not before its time."""
    t.eventually("carrier down", TIMEOUT + 10, lambda: not peer.carrier())
    t.at_least("not before the timeout", round(time.monotonic() - since, 1), TIMEOUT, "s")


def single(t):
    """One queue, one slot too few."""
    with Peer() as peer, Wire(peer.name) as wire:
        peer.connect()
        peer.post(0, 5)
        since = time.monotonic()
        send_large(wire, large(peer))
        stalls(t, peer, since)
        # An event does not make up for the slot that is missing.
        peer.notify("rx")
        time.sleep(0.5)
        t.check("no carrier with 5 of 6 slots", not peer.carrier())
        t.equal("nothing was given to a frontend with 5 of 6 slots", peer.receive(seconds=0), [])
        t.equal("stalls", peer.counter("guest_rx_stalls"), 1)
        t.equal("packets which waited and were dropped", peer.counter("guest_rx_purged"), 1)
        peer.post(0, 1)
        peer.wait_carrier()
        t.check("carrier up with the sixth slot", True)
        frame = large(peer)
        send_large(wire, frame)
        t.equal("a packet of 6 slots arrives", [packet.data for packet in peer.receive()], [frame])

        # An idle frontend without buffers has not stalled.
        time.sleep(TIMEOUT + 1)
        t.check("without packets there is no stall", peer.carrier())


def queue_ports(peer, wire):
    """A port for each queue, found by trying."""
    found = {}
    for port in range(1000, 1200):
        wire.send(plain(peer, port))
        for packet in peer.receive(seconds=5):
            found.setdefault(packet.queue, port)
        if len(found) == peer.queues:
            return found
    return found


def two_queues(t):
    """One stalled queue of two, then both."""
    with Peer(queues=2) as peer, Wire(peer.name) as wire:
        peer.connect()
        for queue in range(2):
            peer.post(queue)
        ports = queue_ports(peer, wire)
        t.equal("queues with traffic", sorted(ports), [0, 1])
        peer.reconnect()
        stalls_before = peer.counter("guest_rx_stalls")
        changes = carrier_changes(peer)

        peer.post(1, 3)
        wire.send(plain(peer, ports[0]))
        t.eventually("queue 0 stalls", TIMEOUT + 10, lambda: peer.counter("guest_rx_stalls") == stalls_before + 1)
        def dropped():
            return peer.counter("guest_rx_stalled_dropped"), int(tx_dropped.read_text())

        tx_dropped = Path("/sys/class/net", peer.name, "statistics/tx_dropped")
        before = dropped()
        for _ in range(5):
            wire.send(plain(peer, ports[0]))
        t.equal("a stalled queue drops at once, and the interface counts it",
                [now - then for now, then in zip(dropped(), before)], [5, 5])
        wanted = [plain(peer, ports[1]) for _ in range(3)]
        for frame in wanted:
            wire.send(frame)
        seen = [packet.data for packet in peer.receive(1, count=3, refill=False)]
        t.equal("the other queue has its packets", seen, wanted)
        t.equal("carrier changes", carrier_changes(peer), changes)

        since = time.monotonic()
        wire.send(plain(peer, ports[1]))
        stalls(t, peer, since)
        t.equal("both queues have stalled", peer.counter("guest_rx_stalls"), stalls_before + 2)
        peer.post(1, 1)
        peer.wait_carrier()
        t.check("carrier up when one recovers", True)
        wire.send(frame := plain(peer, ports[1]))
        t.equal("its packets arrive", [packet.data for packet in peer.receive(1)], [frame])
        peer.post(0)
        for port in (ports[0], ports[1]):
            t.eventually(f"packets arrive in the queue of port {port}", 10, lambda port=port: arrives(peer, wire, port))


def arrives(peer, wire, port):
    wire.send(frame := plain(peer, port))
    return frame in [packet.data for packet in peer.receive(seconds=1)]


def carrier_changes(peer):
    """How often the carrier has changed."""
    with open(f"/sys/class/net/{peer.name}/carrier_changes", encoding="ascii") as file:
        return int(file.read())


def polled(t):
    """A frontend that does not tell about buffers is looked at by itself, and never counts as stalled."""
    with Peer() as peer, Wire(peer.name) as wire:
        peer.connect()
        wire.send(frame := plain(peer, 1))
        # The thread has looked, and sleeps.
        time.sleep(0.8)
        peer.post(0, 1, quiet=True)
        t.equal("what says that it tells has to tell", peer.receive(seconds=0.5, refill=False), [])
        peer.notify("rx")
        t.equal("and is served when it has told", [one.data for one in peer.receive(refill=False)], [frame])
    with Peer(keys={"feature-rx-notify": None}) as peer, Wire(peer.name) as wire:
        peer.connect()
        wire.send(frame := plain(peer, 1))
        time.sleep(TIMEOUT + 1)
        t.check("a frontend that cannot tell has a carrier without buffers", peer.carrier())
        peer.post(0, 1, quiet=True)
        t.equal("its buffers are found", [one.data for one in peer.receive(seconds=5)], [frame])
        # Those that carry the most packets are not waited for either: one for each poll.
        for _ in range(5):
            wire.send(frame := plain(peer, 1))
            peer.post(0, 1, quiet=True)
            t.equal("and found again", [one.data for one in peer.receive(seconds=5, refill=False)], [frame])


def run(t):
    driver.use(t.driver, *PARAMETERS)
    single(t)
    two_queues(t)
    polled(t)
