# SPDX-License-Identifier: GPL-2.0
"""A frontend that holds every response against the rules of all known frontends, in all layouts."""

import os
import random

from rig import driver, frames
from rig.peer import BLANK, HOST_MAC, OKAY, VALIDATED, Peer, gso
from rig.wire import Wire

LIMIT = 240

HOST, GUEST = "10.8.0.1", "10.8.0.2"
HOST6, GUEST6 = "fd08::1", "fd08::2"
SEGMENT = 1448
LARGEST = 65535
SIZES = (14, 15, 59, 60, 61, 127, 128, 129, 1000, 1513, 1514)
JUMBO = (4095, 4096, 4097, 8192, 9014)
# Buffers that are posted one at a time.
SINGLE = 40
SEGMENTED = (1600, 4096, 4097, 9000, 32768, 61440, 61441, 65534, LARGEST)
LAYOUTS = [(queues, split) for queues in (1, 2, 4) for split in (False, True)]


def plain(size, source, destination):
    """A frame of no known protocol with random content."""
    return frames.ethernet(destination, source, 0x88B5, os.urandom(size - frames.ETHERNET))


def segments(size, towards_guest, mac, six=False):
    """A TCP packet of `size` bytes with a blank checksum."""
    macs, addresses = (HOST_MAC, mac), (HOST6, GUEST6) if six else (HOST, GUEST)
    header = frames.ETHERNET + (60 if six else 40)
    if not towards_guest:
        macs, addresses = macs[::-1], addresses[::-1]
    return frames.tcp(macs, addresses, (5000, 5001), os.urandom(size - header), blank=True)


def to_guest(t, peer, wire, queue=None):
    """Frames of all sizes arrive byte by byte; returns a number of wrong ones, 0."""
    wrong = []
    for size in SIZES + JUMBO:
        frame = plain(size, HOST_MAC, peer.mac)
        wire.send(frame)
        seen = peer.receive(queue, seconds=5)
        if [packet.data for packet in seen] != [frame]:
            wrong.append(f"{size}: {len(seen)} packets")
    for six in (False, True):
        for size in SEGMENTED:
            frame = segments(size, True, peer.mac, six)
            wire.send(frame, gso=(SEGMENT, 2 if six else 1), blank=frames.blank_at(frame))
            seen = peer.receive(queue, seconds=5)
            if [(packet.data, packet.gso, packet.blank) for packet in seen] != [(frame, (SEGMENT, 2 if six else 1), True)]:
                wrong.append(f"{size}: {[(len(packet.data), packet.gso, packet.blank) for packet in seen]}")
    t.equal("frames to the guest of every size, wrong", wrong, [])


def from_guest(t, peer, wire, queue):
    """Frames of all sizes, in one slot after the other and in odd pieces."""
    wrong = []
    chance = random.Random(queue)
    for size in SIZES + JUMBO + SEGMENTED:
        whole = size in SEGMENTED
        frame = segments(size, False, peer.mac) if whole else plain(size, peer.mac, HOST_MAC)
        pieces = None
        if not whole and size > 40:
            cuts = sorted(chance.sample(range(20, size), 3))
            pieces = [size for size in (cuts[0], cuts[1] - cuts[0], cuts[2] - cuts[1], size - cuts[2]) if size]
            if max(pieces) > 4096:
                pieces = None
        statuses = peer.send(queue, frame, slots=pieces, extras=[gso(SEGMENT)] if whole else [],
                             flags=BLANK | VALIDATED if whole else 0)
        if statuses is None or set(statuses) != {OKAY}:
            wrong.append(f"{size}: statuses {statuses}")
        seen = wire.receive()
        wanted = [(frame, (SEGMENT, 1) if whole else None)]
        if [(one.data, one.gso) for one in seen] != wanted:
            wrong.append(f"{size} in {pieces}: {[(len(one.data), one.gso) for one in seen]}")
    t.equal(f"frames from the guest of every size, queue {queue}, wrong", wrong, [])


def one_at_a_time(t, peer, wire):
    """Single buffers, posted one by one while packets wait, never hang; the ring goes round."""
    wrong = 0
    for _ in range(SINGLE):
        frame = plain(200, HOST_MAC, peer.mac)
        wire.send(frame)
        peer.post(0, 1)
        wrong += [packet.data for packet in peer.receive(0, refill=False)] != [frame]
    t.equal(f"packets into single buffers, {SINGLE} of them, wrong", wrong, 0)
    frame = segments(20000, True, peer.mac)
    wire.send(frame, gso=(SEGMENT, 1), blank=frames.blank_at(frame))
    posted = 0
    while posted < 6 and not peer.receive(0, seconds=0.02, refill=False):
        posted += peer.post(0, 1)
    (packet,) = peer.receive(0, refill=False)
    t.equal("buffers for a packet of 5 pages and an extra", (posted, packet.slots, packet.data == frame), (6, 6, True))


def many(t, peer, wire, turns):
    """Batches both ways, until the rings have gone round many times."""
    wrong = 0
    for turn in range(turns):
        sent = [plain(60 + (turn * 7 + number) % 1400, peer.mac, HOST_MAC) for number in range(120)]
        queue = turn % peer.queues
        statuses = peer.send_many(queue, [peer.packet(frame) for frame in sent])
        wrong += sum(one != [OKAY] for one in statuses)
        wrong += [one.data for one in wire.receive(len(sent))] != sent
    t.equal(f"{turns * 120} packets from the guest in batches, wrong", wrong, 0)
    for turn in range(turns):
        sent = sorted(plain(60 + (turn * 7 + number) % 1400, HOST_MAC, peer.mac) for number in range(60))
        for frame in sent:
            wire.send(frame)
        wrong += sorted(packet.data for packet in peer.receive(count=len(sent))) != sent
    t.equal(f"batches of 60 packets to the guest, {turns} of them, wrong", wrong, 0)


def run(t):
    driver.use(t.driver, "max_queues=4")
    for queues, split in LAYOUTS:
        t.note(f"{queues} queues, {'split' if split else 'shared'} channels")
        with Peer(queues=queues, split=split) as peer, Wire(peer.name) as wire:
            peer.connect()
            peer.up(mtu=LARGEST - 18)
            if queues == 1:
                # With several, it is the host's choice into which of them a packet goes.
                one_at_a_time(t, peer, wire)
            for queue in range(queues):
                peer.post(queue)
                from_guest(t, peer, wire, queue)
            to_guest(t, peer, wire)
            many(t, peer, wire, 200 if t.long else 5)
            t.equal("broken rules", peer.violations, [])
