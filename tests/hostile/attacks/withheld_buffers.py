# SPDX-License-Identifier: GPL-2.0
"""A frontend posts no buffer, or one too few, while the host floods it: what waits is bounded, and it stalls."""

import fcntl
import os
import socket
import struct
import time

from rig import driver, frames, leftovers
from rig.checks import run as command
from rig.neighbour import Neighbour, exchange, frame
from rig.peer import HOST_MAC, Peer
from rig.wire import Wire

LIMIT = 120
ONLY_WITH = "rust"

SIOCOUTQ, SO_SNDBUFFORCE, ETH_P_ALL = 0x5411, 32, 3
LIMIT_BYTES = 512 * 1024
# One packet more may be let in alone, and the host's queue may hold another.
MORE_BYTES = 80 * 1024
STALL = 2  # Seconds.
SEGMENT = 1448


class Flood:
    """A sender that never waits. The kernel accounts to its socket what is not given back of its packets."""

    def __init__(self, peer):
        # The host's own queue is not what this is about.
        command("tc", "qdisc", "replace", "dev", peer.name, "root", "pfifo", "limit", "1")
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 32 << 20)
        self._socket.bind((peer.name, 0))
        self._frame = frame(peer, 1400)

    def held(self):
        """Memory of packets that were sent and not given back, in bytes."""
        return struct.unpack("=I", fcntl.ioctl(self._socket, SIOCOUTQ, bytes(4)))[0]

    def send(self, count):
        """Sends as many packets as are taken of `count`; returns the most memory that they held."""
        most = 0
        for number in range(count):
            try:
                self._socket.send(self._frame, socket.MSG_DONTWAIT)
            except OSError:
                pass
            if number % 16 == 0:
                most = max(most, self.held())
        return most

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()


def flooded(t, neighbour):
    """XSA-392 (CVE-2021-28715). Fails when the queue takes a packet that exceeds its limit (`admit` accepts
    always)."""
    with Peer() as peer, Flood(peer) as flood:
        peer.connect()
        most = flood.send(5000)
        t.at_least("XSA-392: without a buffer the queue fills", most, LIMIT_BYTES // 2, "bytes")
        t.at_most("XSA-392: most memory that is held", most, LIMIT_BYTES + MORE_BYTES, "bytes")
        neighbour.check(t, "XSA-392: flood")
        start = time.monotonic()
        peer.close()
        t.at_most("XSA-392: a device with a full queue is detached within", round(time.monotonic() - start, 1), 5, "s")
        t.eventually("and gives the packets back", 2, lambda: flood.held() <= 1)


def to_guest(peer, slots):
    """Sends a packet to the guest that takes so many slots; returns its frame."""
    with Wire(peer.name) as wire:
        if slots == 1:
            wire.send(sent := frame(peer))
        else:
            payload = os.urandom((slots - 2) * 4096)
            sent = frames.tcp((HOST_MAC, peer.mac), ("10.8.0.1", "10.8.0.2"), (5000, 5001), payload, blank=True)
            wire.send(sent, gso=(SEGMENT, 1), blank=frames.blank_at(sent))
    return sent


def one_too_few(t, neighbour, slots):
    """XSA-392 (CVE-2021-28714): each packet is measured by what it needs itself. Fails when a guest never
    counts as stalled (`misses` returns false always)."""
    with Peer() as peer, Flood(peer) as flood:
        peer.connect()
        peer.post(0, slots - 1)
        start = time.monotonic()
        sent = to_guest(peer, slots)
        most = flood.send(2000)
        t.at_most(f"XSA-392: held for a guest that lacks one slot of {slots}", most, LIMIT_BYTES + MORE_BYTES, "bytes")
        t.eventually("it stalls", STALL + 8, lambda: not peer.carrier())
        t.at_least("not before its time", round(time.monotonic() - start, 1), STALL, "s")
        t.eventually("nothing is held any more", 2, lambda: flood.held() <= 1)
        t.at_most("nor while the flood goes on", flood.send(100), 64 * 1024, "bytes")
        t.equal("packets that it got", len(peer.receive(seconds=0, refill=False)), 0)
        neighbour.check(t, "XSA-392: stalled")
        peer.post(0, 1)
        peer.wait_carrier()
        sent = to_guest(peer, slots)
        got = [one.data for one in peer.receive(seconds=5, refill=False)]
        t.check("with the slot it recovers", got == [sent], f"{len(got)} packets")
        peer.post()
        with Wire(peer.name) as wire:
            t.equal("and goes on", exchange(peer, wire), "")


def run(t):
    driver.use(t.driver, f"rx_stall_timeout_msecs={STALL * 1000}", "rx_drain_timeout_msecs=60000")
    with leftovers.none(t, "XSA-392: withheld buffers"), Neighbour() as neighbour:
        flooded(t, neighbour)
        for slots in (1, 6):
            one_too_few(t, neighbour, slots)
