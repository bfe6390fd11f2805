# SPDX-License-Identifier: GPL-2.0
"""A frontend that posts as few buffers as it may, one at a time: no packet hangs, in any order of events."""

import os
import random
import struct
import threading

from rig import driver, frames
from rig.peer import HOST_MAC, OKAY, Peer
from rig.wire import Wire

LIMIT = 300
ONLY_WITH = "rust"
DOM0_VCPUS = 2  # What is lost is lost between two processors.

PAGE = 4096
MOST = 17           # Slots of the largest packet: its pages, and an extra.
SEGMENT = 1448
PATIENCE = 8        # Seconds: less than the life of a packet that waits.


def frame(peer, number, slots):
    """A frame of so many slots that tells its number."""
    size = max(60, (slots - 1) * PAGE + 20)
    return frames.ethernet(peer.mac, HOST_MAC, 0x88B5, struct.pack(">I", number) + bytes(size - frames.ETHERNET - 4))


def segments(peer, number, slots):
    """A packet to be segmented, of so many slots with its extra, that tells its number in the ports."""
    size = (slots - 2) * PAGE + 200
    return frames.tcp((HOST_MAC, peer.mac), ("10.8.0.1", "10.8.0.2"), (number >> 8, number & 255), bytes(size - 54), blank=True)


class Sender(threading.Thread):
    """Sends packets as fast as the interface takes them."""

    def __init__(self, wire, packets):
        super().__init__(daemon=True)
        self._wire, self._packets = wire, packets

    def run(self):
        for data, gso in self._packets:
            self._wire.send(data, **({"gso": (SEGMENT, 1), "blank": frames.blank_at(data)} if gso else {}))


def packets(peer, count, slots):
    """(packets with whether they are to be segmented, their slots); `slots` gives the next number of slots."""
    made, wanted = [], []
    for number in range(count):
        wanted.append(slots())
        gso = wanted[-1] == MOST or wanted[-1] > 2 and number % 3 == 0
        made.append((segments(peer, number, wanted[-1]) if gso else frame(peer, number, wanted[-1]), gso))
    return made, wanted


def to_guest(t, what, peer, wire, count, window, slots):
    """Packets arrive in order while never more than `window` buffers are posted."""
    sent, wanted = packets(peer, count, slots)
    sender = Sender(wire, sent)
    sender.start()
    seen, late = [], 0
    while len(seen) < count and not late:
        some = peer.trickle(0, min(200, count - len(seen)), window, seconds=PATIENCE)
        late = not some
        seen += some
    sender.join(1)
    t.equal(f"{what}: packets that came, of {count}", len(seen), count)
    t.check(f"{what}: in their order, with the slots they need",
            [(length, head, used) for length, head, used in seen]
            == [(len(data), data[:64], needs) for (data, _), needs in zip(sent, wanted)])
    t.equal(f"{what}: packets that have waited too long", peer.counter("guest_rx_expired"), 0)


def from_guest(t, peer, wire, count):
    """One packet at a time, the next after the answer: no answer and no event is missing."""
    wrong = 0
    for number in range(count):
        slots = 1 + number % 4
        data = frames.ethernet(HOST_MAC, peer.mac, 0x88B5, os.urandom(60 * slots - frames.ETHERNET))
        wrong += peer.send(0, data, [60] * slots, seconds=PATIENCE) != [OKAY] * slots
    t.equal(f"one packet at a time from the guest, {count} of them: without an answer", wrong, 0)


def run(t):
    """Fails when the event of one slot too many is asked for (`request_event`), and when the thread does not
    acknowledge before it sleeps. What happens in the few instructions between asking and sleeping is for models
    to show."""
    driver.use(t.driver)
    many = 20 if t.long else 1
    chance = random.Random(1)
    for split in (False, True):
        with Peer(split=split) as peer, Wire(peer.name) as wire:
            peer.connect()
            peer.up(mtu=65000)
            channels = "split channels" if split else "one channel"
            to_guest(t, f"single buffers, {channels}", peer, wire, 1000 * many, 1, lambda: 1)
            to_guest(t, f"up to {MOST} slots, {channels}", peer, wire, 300 * many, MOST, lambda: chance.randint(1, MOST))
            to_guest(t, f"always {MOST} slots, {channels}", peer, wire, 60 * many, MOST, lambda: MOST)
            from_guest(t, peer, wire, 200 * many)
    with Peer(keys={"feature-rx-notify": None}) as peer, Wire(peer.name) as wire:
        peer.connect()
        peer.up(mtu=65000)
        # Looked at every 30 ms, with as many buffers as the largest packet takes.
        to_guest(t, "a frontend that sends no events", peer, wire, 40 * many, MOST, lambda: chance.randint(1, MOST))
