# SPDX-License-Identifier: GPL-2.0
"""Grants that are none, by the thousand: each packet is answered with an error, and no page is lost."""

import itertools

from rig import driver, kmsg, leftovers
from rig.neighbour import Neighbour, exchange, frame
from rig.peer import ERROR, Peer
from rig.wire import Wire

LIMIT = 240
ONLY_WITH = "rust"
EXPECTED_MESSAGES = (r"vif-0-[01]|vif0\.[01]", r"xen:grant_table", r"d0v\d+ ")

NEVER, IMPOSSIBLE = 60000, 2**32 - 1
PACKETS = 4000
LONG = 1000000
SLOTS = [500, 600, 700]
FAILURES = 8  # Fewer than those after which a frontend is left alone.
DEVICES = 3
# All that a connection maps and binds.
REFERENCES = ("ctrl-ring-ref", "event-channel-ctrl", *(
    f"queue-{queue}/{key}" for queue in range(2)
    for key in ("tx-ring-ref", "rx-ring-ref", "event-channel-tx", "event-channel-rx")))


def packets(t, peer, wire):
    """XSA-39 (CVE-2013-0217): a bad grant in the first slot, in the middle, at the end.

    Fails when the memory of a packet whose copy has failed is kept (`forget` in place of `drop_any` in
    `Incoming::deliver`). XSA-362 (CVE-2021-26931), XSA-367 (CVE-2021-28038): what the hypervisor refuses is
    ordinary, one by one. Fails when only the result of the whole hypercall is looked at (`issue` marks none)."""
    batch = []
    for place in range(len(SLOTS)):
        slots = [{"size": size} for size in SLOTS]
        slots[place]["claims"] = {"gref": (NEVER, IMPOSSIBLE)[place % 2]}
        batch.append(peer.packet(frame(peer, sum(SLOTS)), slots))
    good = peer.packet(frame(peer, sum(SLOTS)), SLOTS)
    counted = peer.counter("guest_tx_copy_failed")
    rounds = (LONG if t.long else PACKETS) // 60
    wrong = 0
    for _ in range(rounds):
        statuses = peer.send_many(0, batch * 20 + [good], seconds=10)
        wrong += statuses[:-1] != [[ERROR] * len(SLOTS)] * 60 or statuses[-1] != [0] * len(SLOTS)
    t.equal(f"XSA-39, XSA-367: of {rounds} rounds of 60 bad packets and a good one, those answered otherwise", wrong, 0)
    t.equal("only the good ones arrive", len(wire.receive(rounds + 1, seconds=0.5)), rounds)
    t.equal("the others are counted", peer.counter("guest_tx_copy_failed") - counted, rounds * 60)


def buffers(t, peer, wire):
    """XSA-362: buffers for packets to the guest that were granted once."""
    peer.post(0, 64)
    for buffer in range(64):
        peer.revoke(ring="rx", buffer=buffer)
    counted = peer.counter("guest_rx_copy_failed")
    for _ in range(64):
        wire.send(frame(peer))
    seen = peer.receive(count=64, refill=False)
    t.equal("XSA-362: bytes in buffers that are granted no more", [len(one.data) for one in seen], [0] * 64)
    t.equal("they are counted", peer.counter("guest_rx_copy_failed") - counted, 64)
    peer.post()
    t.equal("with good buffers it goes on", exchange(peer, wire), "")


def rings(t, ear):
    """CVE-2026-99286, CVE-2026-99287, XSA-362: a ring that cannot be mapped after one that was, or a port that
    cannot be bound, each of a connection's in turn, again and again.

    Fails when the first ring is not given back (`forget` of it in `Queue::connect`)."""
    bad = itertools.cycle(itertools.product((NEVER, IMPOSSIBLE), REFERENCES))
    for device in range(DEVICES):
        with Peer(queues=2, split=True, control=True) as peer:
            for reference, key in itertools.islice(bad, FAILURES):
                peer.publish({**peer.rings(), key: reference})
                peer.set_state(4)
                peer.wait(5)
                peer.set_state(6)
                peer.wait(6)
                peer.call("release")
                peer.set_state(1)
                peer.wait(2)
            peer.connect()
            peer.post()
            peer.post(1)
            with Wire(peer.name) as wire:
                t.equal(f"CVE-2026-99286: device {device + 1} works after {FAILURES} connections that failed",
                        exchange(peer, wire) or exchange(peer, wire, 1), "")
    said = [line for line in ear.heard() if "vif-0-0" in line or "vif0.0" in line]
    t.at_most("CVE-2026-99286: lines in the log", len(said), DEVICES * FAILURES)


def run(t):
    driver.use(t.driver, "max_queues=2")
    with Neighbour() as neighbour:
        with leftovers.none(t, "XSA-39: bad grants", turns=1000):
            with Peer() as peer, Wire(peer.name) as wire:
                peer.connect()
                packets(t, peer, wire)
                neighbour.check(t, "packets with bad grants")
                buffers(t, peer, wire)
        with leftovers.none(t, "CVE-2026-99287: rings that cannot be mapped", turns=DEVICES * FAILURES):
            rings(t, kmsg.Ear())
        neighbour.check(t, "rings that cannot be mapped")
