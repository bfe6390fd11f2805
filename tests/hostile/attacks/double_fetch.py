# SPDX-License-Identifier: GPL-2.0
"""Requests change while the backend reads them: what it makes of each is what one of the values says."""

import itertools
import re
import struct
import time
from pathlib import Path

from rig import driver, frames
from rig.neighbour import Neighbour, exchange, frame
from rig.peer import HOST_MAC, Peer
from rig.steering import MAX_MAPPING, SET_MAPPING, SUCCESS, TOEPLITZ, configure, entries
from rig.wire import Wire

LIMIT = 300
LONG_LIMIT = 900
ONLY_WITH = "rust"
DOM0_VCPUS = 2
EXPECTED_MESSAGES = (r"vif-0-0|vif vif-0-0|vif0\.0", r"d0v\d+ ")

SLOTS, RX_ENTRY = 64, 8
MORE = 4
SECONDS = 2
# Values of a field differ in one byte: one that is copied while it changes is still one of them.
OFFSETS, TOTALS, SECONDS_PIECE = (0, 100), (200, 250), (50, 100)
WAYS_TO_FAIL = ("too_many_slots", "size_overflow", "runt", "no_memory", "copy_failed", "bad_offload")


def images(values, count):
    """Several contents of a ring of `count` values, each of which has another one in every place."""
    return [b"".join(values[(place + turn) % len(values)] for place in range(count)) for turn in range(len(values))]


def page(mark):
    """A page that holds a frame at each of the offsets, and else nothing but the mark."""
    content = bytearray([mark]) * 1000
    for offset in OFFSETS:
        content[offset:offset + frames.ETHERNET] = frames.ethernet(HOST_MAC, "00:16:3e:00:01:00", 0x88B5)
    return bytes(content)


def from_guest(t, peer, wire, seconds):
    """Packets of two slots, every field of which has two good values, and all of the ring changes.

    Fails when `segments` reads sizes and offsets from the ring again, after the packet got its memory."""
    pages = {peer.grant(content): content for content in (page(0xAA), page(0x55))}
    first = [struct.pack("=IHHHH", gref, offset, MORE, number, total)
             for gref, offset, number, total in itertools.product(pages, OFFSETS, (1, 2), TOTALS)]
    second = [struct.pack("=IHHHH", gref, offset, 0, number, size)
              for gref, offset, number, size in itertools.product(pages, OFFSETS, (3, 4), SECONDS_PIECE)]
    wanted = {head[start:start + total - size] + tail[at:at + size]
              for head, start, total in itertools.product(pages.values(), OFFSETS, TOTALS)
              for tail, at, size in itertools.product(pages.values(), OFFSETS, SECONDS_PIECE)}
    before = {way: peer.counter(f"guest_tx_{way}") for way in WAYS_TO_FAIL}
    answered = peer.indices("tx")[2]
    peer.overfill("tx", [list(group) for group in zip(first, second)])
    pairs = [one + other for one, other in zip(first, second)]
    peer.flip(SLOTS, images(pairs, 128), ring="tx")
    end = time.monotonic() + seconds
    seen, came = set(), 0
    while time.monotonic() < end:
        for one in wire.receive(count=1000, seconds=0.1):
            seen.add(one.data)
            came += 1
    peer.calm()
    t.equal("the backend's state", peer.backend_state(), "4")
    t.at_least("requests answered while they changed", (peer.indices("tx")[2] - answered) % 2**32, 512)
    t.at_least("different packets that came of them", len(seen), 4)
    t.check("each packet is what some values say", seen <= wanted,
            f"{len(seen - wanted)} of {came}, of lengths {sorted(map(len, seen - wanted))[:20]}")
    t.equal("packets that failed", {way: peer.counter(f"guest_tx_{way}") - before[way] for way in WAYS_TO_FAIL},
            dict.fromkeys(WAYS_TO_FAIL, 0))


def to_guest(t, peer, wire, seconds):
    """Buffers of which the page and the id change while packets are copied into them.

    Fails when a request is read twice, and not served if it has changed."""
    offered = [peer.grant(bytes(4096)) for _ in range(2)]
    canary = peer.grant(bytes([0xC3]) * 4096)
    values = [struct.pack("=HHI", number, 0, gref) for gref, number in itertools.product(offered, (7, 8))]
    before = peer.counter("guest_rx_copy_failed")
    answered = peer.indices("rx")[2]
    peer.overfill("rx", [[value] for value in values])
    peer.flip(SLOTS, images(values, 256), ring="rx")
    end, sent = time.monotonic() + seconds, 0
    while time.monotonic() < end or sent < 100:
        wire.send(frame(peer, 514, False))
        sent += 1
    t.eventually("every packet is answered", 10, lambda: (peer.indices("rx")[2] - answered) % 2**32 == sent)
    peer.calm()
    ring = peer.peek(SLOTS, RX_ENTRY * 256, ring="rx")
    ids = {struct.unpack_from("=H", ring, RX_ENTRY * slot)[0] for slot in range(256)}
    t.check("no id but those of the requests", ids <= {7, 8}, ids)
    t.equal("packets that could not be copied", peer.counter("guest_rx_copy_failed") - before, 0)
    t.check("a page that was granted and not offered is untouched",
            peer.peek(0, 4096, gref=canary) == bytes([0xC3]) * 4096)


def mapping(t, peer, rounds):
    """The table of a steering request changes while it is copied: no queue beyond those of the guest gets in.

    Fails when the entries are checked in one copy of the page and taken from another."""
    t.equal("configured", configure(peer, mapping=[0] * MAX_MAPPING), [])
    table = peer.grant(entries([0] * MAX_MAPPING))
    peer.flip(0, [entries([1] * MAX_MAPPING), entries([9] * MAX_MAPPING), entries([0] * MAX_MAPPING)], gref=table)
    statuses, file = set(), Path("/sys/kernel/debug/xen-netback", peer.name, "ctrl")
    for _ in range(rounds):
        statuses.add(peer.control(SET_MAPPING, table, MAX_MAPPING, 0)[0])
        shown = file.read_text().partition("Hash Mapping:")[2]
        if set(re.findall(r"\b\d+(?= )(?!.*\])", shown)) - {"0", "1"}:
            t.check("queues of the table", False, shown)
    peer.calm()
    t.check(f"{rounds} tables that change, with queues that do not exist: none gets in", True)
    t.note(f"statuses: {sorted(statuses)}")
    peer.poke(0, entries([1] * MAX_MAPPING), gref=table)
    t.equal("a table that stays as it is", peer.control(SET_MAPPING, table, MAX_MAPPING, 0)[0], SUCCESS)


def control(t, peer, seconds):
    """The fields of requests on the control ring change; whatever they come to, the backend goes on."""
    key = peer.grant(bytes(range(40)))
    values = [struct.pack("=HHIII", 5, kind, *data) for kind, data in itertools.product(
        range(0, 9), ((TOEPLITZ, 0, 0), (key, 40, 0), (key, 128, 0), (128, 1, 127), (2**32 - 1, 2**32 - 1, 2)))]
    before = peer.indices("control")[2]
    peer.overfill("control", [[value] for value in values])
    peer.flip(SLOTS, images(values, 128), ring="control")
    time.sleep(seconds)
    peer.calm()
    t.at_least("control requests answered while they changed", (peer.indices("control")[2] - before) % 2**32, 256)
    t.equal("the backend's state", peer.backend_state(), "4")


def run(t):
    driver.use(t.driver, "max_queues=2")
    seconds = 60 if t.long else SECONDS
    with Neighbour() as neighbour:
        with Peer(queues=2, control=True, tolerant=True) as peer, Wire(peer.name) as wire:
            peer.connect()
            mapping(t, peer, 400 if t.long else 40)
            from_guest(t, peer, wire, seconds)
            neighbour.check(t, "requests change")
            control(t, peer, seconds)
            neighbour.check(t, "requests change")
        with Peer(tolerant=True) as peer, Wire(peer.name) as wire:
            peer.connect()
            to_guest(t, peer, wire, seconds)
            neighbour.check(t, "requests change")
            peer.reconnect()
            peer.post()
            t.equal("the interface works when its frontend has come back", exchange(peer, wire), "")
