# SPDX-License-Identifier: GPL-2.0
"""What a guest makes the host hold: of its memory nothing but the rings, of the host's no more than the bound."""

import os
import re
import socket
import struct
import threading
import time
from pathlib import Path

from rig import driver, frames
from rig.checks import run as command
from rig.peer import HOST_MAC, Peer
from rig.steering import KEY, SET_KEY
from rig.wire import Wire

LIMIT = 120
ONLY_WITH = "rust"

QUEUES = 4
BOUND = 512 * 1024            # Bytes that wait in a queue.
PACKET = 16384                # What the largest packet of the flood counts for, and more.
SLACK = 8 << 20               # Bytes by which the host's memory differs for other reasons.
FLOOD = 200 << 20             # Bytes that each sender may have in flight, and more than is sent.
SO_SNDBUFFORCE = 32           # Python does not name it.
SECONDS = 2
_ENTRY = re.compile(r"^\(XEN\) \[(0x[0-9a-f]+)\]\s+0 ", re.M)


def used():
    """Bytes that are in use, without what can be given back."""
    fields = dict(re.findall(r"^(\w+):\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M))
    return 1024 * (int(fields["MemTotal"]) - sum(int(fields[name]) for name in ("MemFree", "Buffers", "Cached", "SReclaimable")))


def mapped():
    """The references of all pages that dom0 has granted to itself and that it has mapped: Xen's own account."""
    command("xl", "dmesg", "-c")
    command("xl", "debug-keys", "g")
    table = command("xl", "dmesg", "-c").partition("grant-table for remote d0")[2].partition("grant-table for")[0]
    return {int(reference, 16) for reference in _ENTRY.findall(table)}


class Flood(threading.Thread):
    """Sends to an interface as much as it takes, from a socket that may have very much in flight."""

    def __init__(self, peer):
        super().__init__(daemon=True)
        self._over = threading.Event()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, FLOOD)
        self._socket.bind((peer.name, 0))
        self._frames = [frames.udp((HOST_MAC, peer.mac), ("10.8.0.1", "10.8.0.2"), (port, port), os.urandom(1400))
                        for port in range(1000, 1064)]
        self.sent = 0

    def run(self):
        while not self._over.is_set():
            try:
                self._socket.send(self._frames[self.sent % len(self._frames)])
                self.sent += 1
            except OSError:  # The host's own queue is full.
                time.sleep(0.001)

    def stop(self):
        """Ends it; returns how many packets it was."""
        self._over.set()
        self.join()
        self._socket.close()
        return self.sent


def waiting(t):
    """A guest that posts no buffer is flooded on all of its queues.

    Fails when the limit of a queue is 64 times as large."""
    with Peer(queues=QUEUES) as peer:
        peer.connect()
        # The host's own queues are not the driver's to bound.
        command("tc", "qdisc", "replace", "dev", peer.name, "root", "handle", "1:", "mq")
        for queue in range(QUEUES):
            command("tc", "qdisc", "replace", "dev", peer.name, "parent", f"1:{queue + 1:x}", "pfifo", "limit", "10")
        before = used()
        floods = [Flood(peer) for _ in range(2)]
        for flood in floods:
            flood.start()
        most = grown = 0
        end = time.monotonic() + (30 if t.long else SECONDS)
        while time.monotonic() < end:
            most = max(most, peer.counter("guest_rx_queued_bytes"))
            grown = max(grown, used() - before)
            time.sleep(0.1)
        t.note(f"{sum(flood.stop() for flood in floods)} packets were sent")
        t.at_least("bytes that wait, in all queues together", most, BOUND)
        t.at_most("bytes that wait, in all queues together", most, QUEUES * (BOUND + PACKET))
        t.at_most("most bytes that ever waited in a queue", peer.counter("guest_rx_queued_bytes_max"), BOUND + PACKET)
        t.at_most("bytes by which the host's memory has grown", grown, QUEUES * (BOUND + PACKET) + SLACK)
        peer.disconnect()
        t.equal("packets that wait when the guest has disconnected", peer.counter("guest_rx_queued_packets"), 0)
        peer.set_state(1)
        peer.wait(2)


def rings_only(t):
    """Under traffic of all kinds, and while packets of the guest are held in a socket that nobody reads, the only
    pages of the guest that are mapped are the rings that it has named.

    Fails when a ring stays mapped after the connection (`RingPage` without `drop`), or any other page is mapped."""
    before = mapped()
    with Peer(queues=2, control=True) as peer, Wire(peer.name) as wire:
        keys = {}
        rings = peer.rings
        peer.rings = lambda: keys.setdefault("all", rings())
        peer.connect()
        named = {value for key, value in keys["all"].items() if key.endswith("ring-ref")}
        for queue in range(2):
            peer.post(queue)
        for queue in range(2):
            large = frames.ethernet(HOST_MAC, peer.mac, 0x88B5, os.urandom(5000))
            peer.send_many(queue, [peer.packet(large)] * 60)
        wire.send(frames.ethernet(peer.mac, HOST_MAC, 0x88B5, os.urandom(1000)))
        peer.receive()
        peer.control(SET_KEY, 0, 40, page=KEY)
        page = peer.grant(frames.ethernet(HOST_MAC, peer.mac, 0x88B5, bytes(46)))
        peer.overfill("tx", [[struct.pack("=IHHHH", page, 0, 0, 1, 60)]])
        seen = [mapped() - before for _ in range(5)]
        peer.calm()
        # A page that is being copied at the moment counts as well, but not at every moment.
        t.equal("pages of the guest that are mapped under traffic", set.intersection(*seen), named)
        t.at_least("packets of the guest that nobody reads", len(wire.receive(count=100, seconds=1)), 100)
        peer.disconnect()
        t.equal("pages that are mapped when the guest has disconnected", mapped() - before, set())
        peer.set_state(1)
        peer.wait(2)


def run(t):
    driver.use(t.driver, f"max_queues={QUEUES}")
    waiting(t)
    rings_only(t)
