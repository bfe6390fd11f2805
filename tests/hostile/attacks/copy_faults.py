# SPDX-License-Identifier: GPL-2.0
"""One copy of a packet fails, at each place in turn: the packet is dropped and counted, the others are not."""

import os

from rig import driver, frames
from rig.neighbour import frame
from rig.peer import ERROR, HOST_MAC, OKAY, Peer
from rig.wire import Wire

LIMIT = 240
ONLY_WITH = "rust"
EXPECTED_MESSAGES = (r"xen:grant_table", r"d0v\d+ ")

NEVER_GRANTED = 60000
SEGMENT = 1448
MOST_SLOTS = 19  # Of a packet from the guest.
BATCH = 8
OPERATIONS = 102  # Of a hypercall.


def from_guest(t, peer, wire):
    """A slot's page was never granted: the first, the second, ... of a packet's, of a batch's packets.

    Fails when the results of a hypercall's operations after the eighth are not looked at (`CopyBatch::issue`)."""
    wrong = []
    for bad in range(MOST_SLOTS):
        before = peer.counter("guest_tx_copy_failed")
        sent, slots = frame(peer, 60 * MOST_SLOTS), [60] * MOST_SLOTS
        slots[bad] = {"size": 60, "claims": {"gref": NEVER_GRANTED}}
        after = frame(peer)
        statuses = peer.send_many(0, [peer.packet(sent, slots), peer.packet(after)])
        seen = [one.data for one in wire.receive()]
        counted = peer.counter("guest_tx_copy_failed") - before
        if statuses != [[ERROR] * MOST_SLOTS, [OKAY]] or seen != [after] or counted != 1:
            wrong.append(f"slot {bad}: statuses {statuses}, {len(seen)} frames, {counted} counted")
    t.equal(f"from the guest, each of {MOST_SLOTS} slots: wrong", wrong, [])
    for bad in range(BATCH):
        sent = [frame(peer, 3 * 200) for _ in range(BATCH)]
        batch = [peer.packet(one, [200] * 3) for one in sent]
        batch[bad] = peer.packet(sent[bad], [200, {"size": 200, "claims": {"gref": NEVER_GRANTED}}, 200])
        statuses = peer.send_many(0, batch)
        wanted = [[ERROR if number == bad else OKAY] * 3 for number in range(BATCH)]
        seen = [one.data for one in wire.receive(BATCH - 1)]
        if statuses != wanted or seen != sent[:bad] + sent[bad + 1:]:
            wrong.append(f"packet {bad}: statuses {statuses}, {len(seen)} frames")
    t.equal(f"from the guest, each of {BATCH} packets: wrong", wrong, [])


def arrivals(peer, wire, sent, count, bad):
    """Sends frames to the guest, which then posts `count` buffers for them, one of which is none."""
    for one, options in sent:
        wire.send(one, **options)
    # The backend waits for buffers, and finds all at once.
    peer.post_bad(count, bad, NEVER_GRANTED)
    return [packet.data for packet in peer.receive(count=len(sent), refill=False)]


def to_guest(t, peer, wire):
    """A buffer was never granted: the first, the second, ... of a packet's, of a batch's packets.

    Fails when the answer does not tell of the failure (`Outgoing::flush` says that all is copied)."""
    wrong = []
    large = frames.tcp((peer.mac, HOST_MAC), ("10.8.0.1", "10.8.0.2"), (5000, 5001), os.urandom(65000), blank=True)
    options = {"gso": (SEGMENT, 1), "blank": frames.blank_at(large)}
    slots = len(large) // 4096 + 2  # One is for the extra.
    for bad in [0, *range(2, slots)]:  # Nothing is copied into the extra's buffer.
        before = peer.counter("guest_rx_copy_failed")
        seen = arrivals(peer, wire, [(large, options)], slots, bad)
        counted = peer.counter("guest_rx_copy_failed") - before
        if seen != [b""] or counted != 1:
            wrong.append(f"slot {bad}: {[len(one) for one in seen]} bytes, {counted} counted")
        small = frame(peer)
        peer.post(count=1)
        wire.send(small)
        if [packet.data for packet in peer.receive(refill=False)] != [small]:
            wrong.append(f"after slot {bad}: the next packet")
    t.equal(f"to the guest, each of {slots} slots: wrong", wrong, [])
    for bad in range(BATCH):
        sent = [frame(peer) for _ in range(BATCH)]
        seen = arrivals(peer, wire, [(one, {}) for one in sent], BATCH, bad)
        if seen != sent[:bad] + [b""] + sent[bad + 1:]:
            wrong.append(f"packet {bad}: {[len(one) for one in seen]} bytes")
    t.equal(f"to the guest, each of {BATCH} packets: wrong", wrong, [])


def hypercalls(t, peer, wire):
    """More operations than a hypercall has, of a ring that is full at once: each hypercall is counted.

    Fails when only the last one of a batch is counted (`copy` forgets what `push` has made)."""
    before = peer.counter("guest_tx_copy_calls")
    sent = [frame(peer, 4 * 100) for _ in range(64)]
    statuses = peer.send_many(0, [peer.packet(one, [100] * 4) for one in sent])
    t.equal("64 packets of 4 slots", statuses, [[OKAY] * 4] * 64)
    t.check("they arrive", [one.data for one in wire.receive(len(sent))] == sent)
    t.at_least("hypercalls for 256 operations", peer.counter("guest_tx_copy_calls") - before, -(-256 // OPERATIONS))


def run(t):
    driver.use(t.driver)
    with Peer() as peer, Wire(peer.name) as wire:
        peer.connect()
        from_guest(t, peer, wire)
        to_guest(t, peer, wire)
        hypercalls(t, peer, wire)
