# SPDX-License-Identifier: GPL-2.0
"""Packets in slots of odd sizes: the host gets each byte, with headers in one piece and no empty pieces."""

import os
import re

from rig import driver, frames, leftovers
from rig.neighbour import Neighbour, frame
from rig.peer import BLANK, ERROR, HOST_MAC, OKAY, Peer, gso, hash_value, raw_extra
from rig.trace import Trace
from rig.wire import Wire

LIMIT = 120
ONLY_WITH = "rust"

PAGE = 4096
# Bytes of a packet that are in one piece: of TCP its headers, and so much of any other.
TCP_HEADERS, LINEAR = 54, 128
EVENT = "netif_receive_skb_entry"  # A packet that comes alone is delivered at once.
EXTRAS = ((), (hash_value(7, 1),), (raw_extra(5), hash_value(7, 3)))
TRICKLE = [14] + [1] * 17

# Fails when a packet's headers stay in the pieces in which they came (`make_linear` left out of `verify`).
XSA_423 = (
    ("a header of 14 bytes, then one at a time", TRICKLE, ()),
    ("the same, and the rest in one", TRICKLE[:-1] + [2000], ()),
    ("the same, to be cut into segments", TRICKLE[:-1] + [3054 - 30], (gso(1000),)),
    ("cut into segments, a byte each to the end", [3054 - 18] + [1] * 18, (gso(1000),)),
)
# Fails when each slot gets a piece of its own (`add_memory` never packs them).
XSA_432 = (
    ("18 slots, 17 of one byte", TRICKLE, ()),
    ("19 slots", TRICKLE + [1], ()),
    ("19 slots that fill 16 pages of the host", [241] + [3627] * 18, ()),
    ("19 slots, each across the end of a page of the host", [4096] + [3400] * 18, ()),
    ("19 slots at the ends of their pages",
     [{"size": 300, "at": PAGE - 300}] + [{"size": 3001, "at": PAGE - 3001}] * 18, ()),
)
# Fails when an empty slot becomes an empty piece (`segments` does not leave them out), and when it has no
# answer of its own (`replies` leaves them out).
XSA_448 = tuple((name, slots, extras) for extras in EXTRAS for name, slots in (
    ("the second slot empty", [300, 0, 200]), ("the last slot empty", [300, 200, 0]),
    ("a full slot after an empty one", [20, 0, PAGE]), ("all but the first empty", [60] + [0] * 18),
    ("every second slot empty", [400] + [0, 300] * 9)))
# Fails when more than its headers is made linear of a packet of TCP (`make_headers_linear` looks at nothing).
TCP = (("headers in a slot of their own", [TCP_HEADERS, 1000]), ("all in one slot", [1054]),
       ("a header of 14 bytes, then one at a time", [*TRICKLE, 1023]), ("the second slot in the header", [40, 14, 500]))
RUNTS = tuple((slots, extras) for extras in EXTRAS for slots in ([0], [0, 0, 0], [0, 600], [0] * 19))


def size(slot):
    return slot if isinstance(slot, int) else slot["size"]


def to_be_cut(extras):
    """Whether a packet with these extras is to be cut into segments."""
    return any(extra[0] == 1 for extra in extras)


def content(peer, slots, extras, tcp=False):
    """A frame for these slots, which is a TCP packet when it is to be cut."""
    whole = sum(map(size, slots))
    segments = to_be_cut(extras)
    if tcp or segments:
        macs, addresses = (peer.mac, HOST_MAC), ("10.8.0.2", "10.8.0.1")
        return frames.tcp(macs, addresses, (80, 81), os.urandom(whole - TCP_HEADERS), blank=segments)
    return frame(peer, max(whole, 14))[:whole]


def described(trace):
    """How the host's kernel saw the last packet: (bytes in one piece, other pieces)."""
    seen = re.search(r" len=(\d+) data_len=(\d+) .* nr_frags=(\d+)", trace.seen(EVENT)[-1])
    length, elsewhere, pieces = seen.groups()
    return frames.ETHERNET + int(length) - int(elsewhere), int(pieces)


def whole(t, name, peer, wire, trace, slots, extras, tcp=False):
    """A packet that is allowed arrives."""
    sent = content(peer, slots, extras, tcp)
    segments = to_be_cut(extras)
    trace.clear()
    statuses = peer.send(0, sent, slots, extras, BLANK if segments else 0)
    t.equal(f"{name}: an answer for each slot", statuses, [OKAY] * len(slots))
    t.check("it arrives", [one.data for one in wire.receive()] == [sent])
    linear, pieces = described(trace)
    if tcp:
        # GRO merges packets by their other pieces only then.
        t.equal("bytes in one piece", linear, TCP_HEADERS)
    else:
        t.at_least("bytes in one piece", linear, TCP_HEADERS if segments else min(LINEAR, len(sent)))
    t.at_most("pieces besides", pieces, sum(size(slot) > 0 for slot in slots))


def to_guest(t, peer, wire):
    """XSA-432: packets of the host across the ends of its pages. Fails when a copy may cross one (`room` in
    `InPages::next` is always a page)."""
    peer.post()
    for length in (5000, 20000, 60000):
        macs, addresses = (HOST_MAC, peer.mac), ("10.8.0.1", "10.8.0.2")
        sent = frames.tcp(macs, addresses, (80, 81), os.urandom(length), blank=True)
        wire.send(sent, gso=(1448, 1), blank=frames.blank_at(sent))
        t.check(f"XSA-432: {length} bytes to the guest arrive", [one.data for one in peer.receive()] == [sent])


def run(t):
    driver.use(t.driver)
    with Trace(f"net/{EVENT}") as trace, leftovers.none(t, "packets of odd sizes"), Neighbour() as neighbour:
        with Peer() as peer, Wire(peer.name) as wire:
            peer.connect()
            for number, shapes in (("423", XSA_423), ("432", XSA_432), ("448", XSA_448)):
                for name, slots, extras in shapes:
                    whole(t, f"XSA-{number}: {name}", peer, wire, trace, slots, extras)
                neighbour.check(t, f"XSA-{number}")
            for name, slots in TCP:
                whole(t, f"TCP, {name}", peer, wire, trace, slots, (), tcp=True)
            for slots, extras in RUNTS:
                sent = content(peer, slots, extras)
                t.equal(f"XSA-448: {len(slots)} slots, the first empty, {len(extras)} extras",
                        peer.send(0, sent, slots, extras), [ERROR] * len(slots))
            t.equal("nothing of these arrives", wire.receive(seconds=0.3), [])
            to_guest(t, peer, wire)
