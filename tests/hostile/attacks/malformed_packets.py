# SPDX-License-Identifier: GPL-2.0
"""Packets and rings as no frontend makes them: taken, dropped with an error, or a fault that is reported."""

import struct

from rig import driver, frames, kmsg, leftovers
from rig.checks import Failed
from rig.fuzzer import quick_connections
from rig.neighbour import Neighbour, exchange, frame
from rig.peer import BLANK, ERROR, HOST_MAC, OKAY, VALIDATED, Peer, gso, hash_value, raw_extra
from rig.wire import Wire

LIMIT = 400
ONLY_WITH = "rust"
EXPECTED_MESSAGES = (r"vif-0-0|vif vif-0-0|vif0\.0", r"xen:grant_table", r"d0v\d+ ")

PAGE = 4096
NEVER_GRANTED = 60000
SILENCE = 0.1  # Seconds for an answer that must not come.
RUNS_ON = 4  # The flag that another slot follows.


def pieces(count, first=400, other=20):
    """The sizes of `count` slots."""
    return [first] + [other] * (count - 1)


def taken(t, peer, wire):
    """What is unusual, but allowed. Fails when a packet may have 18 slots only (`MAX_MORE_SLOTS` 17)."""
    for name, slots, extras in (
        ("19 slots", pieces(19), []),
        ("a slot of one byte after the first of 14", [14] + [1] * 18, []),
        ("empty slots in the middle and at the end", [100, 0, 100, 0, 0], []),
        ("slots that begin and end at odd places", [{"size": 100, "at": PAGE - 100}, {"size": 77, "at": 1}], []),
        ("extras for a hash and for a headroom", pieces(3), [hash_value(1, 1), raw_extra(5)]),
        ("an extra for a hash that does not exist", pieces(1), [hash_value(1, 200, 9)]),
    ):
        sizes = [slot if isinstance(slot, int) else slot["size"] for slot in slots]
        sent = frame(peer, sum(sizes))
        t.equal(f"taken: {name}", peer.send(0, sent, slots, extras), [OKAY] * len(slots))
        t.equal("it arrives", [one.data for one in wire.receive()], [sent])


def dropped(t, peer, wire):
    """What frontends are known to do by mistake: an error for each slot, and on with the next."""
    bad = {"size": 200, "claims": {"gref": NEVER_GRANTED}}
    # With that the peer has all its own pages, and does not take the one that is given back.
    t.equal("256 packets", peer.send_many(0, [peer.packet(frame(peer, 60))] * 256), [[OKAY]] * 256)
    wire.receive(256)
    revoked = peer.grant()
    peer.revoke(gref=revoked)
    for name, counter, slots, extras in (
        ("20 slots", "guest_tx_too_many_slots", pieces(20), []),
        ("21 slots", "guest_tx_too_many_slots", pieces(21), []),
        ("21 slots and two extras", "guest_tx_too_many_slots", pieces(21), [gso(1000), hash_value(1, 1)]),
        ("less in all than in the second slot", "guest_tx_size_overflow",
         [{"size": 60, "claims": {"size": 100}}, 101], []),
        ("more than 16 bits tell", "guest_tx_size_overflow", [PAGE] * 17, []),
        ("13 bytes", "guest_tx_runt", [13], []),
        ("nothing", "guest_tx_runt", [0], []),
        ("13 bytes before a full slot", "guest_tx_runt", [13, 600], []),
        ("nothing before a full slot", "guest_tx_runt", [0, 600], []),
        ("a page that was never granted", "guest_tx_copy_failed", [bad], []),
        ("such a page at the end, with an extra", "guest_tx_copy_failed", [100, 100, 100, bad], [hash_value(1, 1)]),
        ("a page out of the table", "guest_tx_copy_failed", [{"size": 200, "claims": {"gref": 2**32 - 1}}], []),
        ("a page that is granted no more", "guest_tx_copy_failed", [{"size": 200, "claims": {"gref": revoked}}], []),
    ):
        before = peer.counter(counter)
        size = sum(slot if isinstance(slot, int) else slot["size"] for slot in slots)
        statuses = peer.send(0, (frame(peer) + bytes(size))[:size], slots, extras)
        t.equal(f"dropped: {name}", statuses, [ERROR] * len(slots))
        t.equal("what follows is served", exchange(peer, wire), "")
        t.equal(f"counted as {counter}", peer.counter(counter) - before, 1)
    # A packet that contradicts its extra has been taken off the ring before anybody can tell.
    before = peer.counter("guest_tx_bad_offload")
    for extra, flags in ((gso(1000, 1), BLANK | VALIDATED), (gso(1000, 2), 0), (gso(1, 1), 0)):
        statuses = peer.send(0, frame(peer, 3000), extras=[extra], flags=flags)
        t.check(f"segments of what is no TCP, flags {flags}: answered", statuses and len(statuses) == 1, statuses)
    t.equal("what follows is served", exchange(peer, wire), "")
    t.equal("counted as guest_tx_bad_offload", peer.counter("guest_tx_bad_offload") - before, 3)


def indices(ring, ahead):
    """A ring whose index of requests is that much ahead of what was answered."""
    def attack(peer, queue):
        answered = peer.indices(ring, queue)[2]
        peer.poke(0, struct.pack("=I", (answered + ahead) % 2**32), ring=ring, queue=queue)
        peer.notify(ring, queue)
    return attack


def packet(slots, extras=(), flags=0):
    """A packet that is not answered."""
    def attack(peer, queue):
        size = sum(slot if isinstance(slot, int) else slot["size"] for slot in slots)
        statuses = peer.send(queue, (frame(peer) + bytes(size))[:size], slots, extras, flags, seconds=SILENCE)
        if statuses is not None:
            raise Failed("a packet that cannot be trusted has no answer", statuses)
    return attack


def cut_extras(peer, queue):
    """An extra is announced, and is not on the ring."""
    packet([{"size": 100, "claims": {"flags": 8}}])(peer, queue)


# Those of XSA-39 (CVE-2013-0216) fail when an index is cut to what the ring holds (`unconsumed` reports no
# overflow).
FAULTS = (
    ("22 slots", packet(pieces(22)), "too many slots"),
    ("the first slot crosses its page", packet([{"size": 100, "claims": {"offset": PAGE - 99}}]), "crosses page"),
    ("the second slot crosses its page", packet([100, {"size": 100, "claims": {"offset": PAGE - 99}}]),
     "crosses page"),
    ("an offset at the end of 16 bits", packet([{"size": 100, "claims": {"offset": 65535}}]), "crosses page"),
    ("a slot is announced that is not there", packet([{"size": 100, "claims": {"flags": RUNS_ON}}]),
     "missing data slot"),
    ("an extra is announced that is not there", cut_extras, "missing extra"),
    ("an extra of type 0", packet([100], [raw_extra(0)]), "unknown type of extra"),
    ("an extra of type 6", packet([100], [hash_value(1, 1), raw_extra(6)]), "unknown type of extra"),
    ("segments of size 0", packet([600], [gso(0)]), "GSO size"),
    ("segments of type 3", packet([600], [gso(1000, 3)]), "GSO type"),
    ("XSA-39: 257 requests", indices("tx", 257), "more requests than"),
    ("XSA-39: 2^31 requests", indices("tx", 2**31), "more requests than"),
    ("XSA-39: requests taken back", indices("tx", -1), "more requests than"),
    ("XSA-39: 257 buffers", indices("rx", 257), "more requests than"),
    ("XSA-39: buffers taken back", indices("rx", -1), "more requests than"),
)


def fault(t, ear, peer, wire, neighbour, queue, attack, words):
    """The interface stops, says why, and works again for a frontend that comes back. Fails when a slot beyond
    its page is left to the hypervisor to refuse (`check_page` in parse.rs)."""
    ear.heard()
    peer.forget_error()
    attack(peer, queue)
    for port in range(1000, 1032):  # A ring to the guest is looked at when there is something for it.
        wire.send(frames.udp((HOST_MAC, peer.mac), ("10.8.0.1", "10.8.0.2"), (port, port)))
    peer.wait(5)
    t.check("the error tells", words in (peer.error() or ""), f"{peer.error()!r} without {words!r}")
    t.equal("lines in the log", len(ear.heard()), 1)
    t.check("no carrier", not peer.carrier())
    t.equal("the other queue has stopped, too", peer.send(1 - queue, frame(peer), seconds=SILENCE), None)
    neighbour.check(t, "a fault")
    peer.reconnect()
    for number in range(2):
        peer.post(number)
    t.equal("works after coming back", exchange(peer, wire) or exchange(peer, wire, 1), "")


def run(t):
    driver.use(t.driver, "max_queues=2")
    ear = kmsg.Ear()
    with quick_connections(), leftovers.none(t, "malformed packets", turns=len(FAULTS)), Neighbour() as neighbour:
        with Peer() as peer, Wire(peer.name) as wire:
            peer.connect()
            peer.post()
            taken(t, peer, wire)
            dropped(t, peer, wire)
        with Peer(queues=2) as peer, Wire(peer.name) as wire:
            peer.connect()
            for queue in range(2):
                peer.post(queue)
            for number, (name, attack, words) in enumerate(FAULTS):
                t.note(f"fault: {name}")
                fault(t, ear, peer, wire, neighbour, number % 2, attack, words)
