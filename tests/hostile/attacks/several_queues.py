# SPDX-License-Identifier: GPL-2.0
"""All queues of a guest change what belongs to its interface at the same time: nothing is lost or counted twice."""

import struct
import time

from rig import driver
from rig.checks import Failed
from rig.peer import ERROR, OKAY, Peer, multicast
from rig.wire import Wire

LIMIT = 100
ONLY_WITH = "rust"
DOM0_VCPUS = 3
KEY = "request-multicast-control"
MOST = 64
QUEUES = 4
SECONDS = 3
# Addresses that three queues fight over, and those of the fourth, which are all there each time.
FOUGHT, OWN = 20, 40


def address(number):
    """One of many multicast addresses."""
    return f"01:00:5e:7f:{number >> 8:02x}:{number & 255:02x}"


def chain(number, add):
    """The requests of a chain that names an address or takes it back."""
    first = struct.pack("=IHHHH", 0, 0, 8, 1, 0)
    return [first, multicast(address(number), add).ljust(12, b"\0")]


def packet(peer, number, add=True):
    return peer.packet(b"", [{"size": 0, "claims": {"gref": 0}}], [multicast(address(number), add)])


def named(peer, numbers, add=True):
    """Names addresses by the last queue, or takes them back; the statuses."""
    answers = peer.send_many(QUEUES - 1, [packet(peer, number, add) for number in numbers])
    return [one[0] if one else None for one in answers]


def multicast_filter(t):
    """Three queues name and take back the same addresses as fast as they can; the fourth does it with its own, and
    is told the truth each time.

    Fails when `change` works on a copy of the addresses, for some microseconds, and stores that under the lock: what
    another queue has changed meanwhile is lost."""
    with Peer(queues=QUEUES, keys={KEY: 1}, tolerant=True) as peer, Wire(peer.name) as wire:
        peer.connect()
        chains = [chain(number, add) for number in range(FOUGHT) for add in (True, False)]
        for queue in range(QUEUES - 1):
            peer.overfill("tx", chains[queue:] + chains[:queue], queue=queue)
        peer.rewrite(KEY, [0, 1])
        own = range(FOUGHT, FOUGHT + OWN)
        end, turns = time.monotonic() + (60 if t.long else SECONDS), 0
        while time.monotonic() < end or turns < 5:
            turns += 1
            for add in (True, False):
                answers = named(peer, own, add)
                if set(answers) != {OKAY}:
                    raise Failed(f"turn {turns}: {OWN} addresses beside {FOUGHT} others", answers)
            wire.send(bytes.fromhex(address(FOUGHT).replace(":", "")) + bytes.fromhex("02000000000288b5") + bytes(50))
            named(peer, own)
        rounds = peer.calm()
        t.at_least("rounds of the slowest queue", min(rounds[:QUEUES - 1]), 10)
        named(peer, range(FOUGHT), add=False)
        room = MOST - OWN
        answers = named(peer, range(100, 100 + room + 1))
        t.equal(f"room beside {OWN} addresses, after {turns} turns", (answers.count(OKAY), answers[-1]), (room, ERROR))
        named(peer, [*own, *range(100, 100 + room)], add=False)
        answers = named(peer, range(200, 200 + MOST + 1))
        t.equal("room when all are taken back", (answers.count(OKAY), answers[-1]), (MOST, ERROR))


def run(t):
    driver.use(t.driver, f"max_queues={QUEUES}")
    multicast_filter(t)
