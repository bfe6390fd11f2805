# SPDX-License-Identifier: GPL-2.0
"""Indices in the shared pages: overwritten by the guest, at the end of 32 bits, and ahead of all answers."""

import struct
import time

from rig import driver
from rig.checks import wait_for
from rig.neighbour import Neighbour, frame
from rig.peer import OKAY, Peer
from rig.steering import GET_MAPPING_SIZE, MAX_MAPPING, SUCCESS
from rig.wire import Wire

LIMIT = 120
ONLY_WITH = "rust"
EXPECTED_MESSAGES = (r"vif-0-0|vif vif-0-0|vif0\.0", r"d0v\d+ ")

END = 2**32
# Where the indices of a ring lie, and its slots.
REQ_PROD, REQ_EVENT, RSP_PROD, SLOTS = 0, 4, 8, 64
TURNS = 20


class Bare:
    """A ring that is driven word by word."""

    def __init__(self, peer, ring, entry, slots):
        self.peer, self.ring, self.entry, self.slots = peer, ring, entry, slots
        self.prod = peer.indices(ring)[0]

    def overwrite(self, value):
        """Writes to the indices that are the backend's."""
        self.peer.poke(REQ_EVENT, struct.pack("=II", value, value), ring=self.ring)

    def ask(self, request):
        """Puts a request on the ring, with an event, whether that was asked for or not."""
        self.peer.poke(SLOTS + self.prod % self.slots * self.entry, request, ring=self.ring)
        self.prod = (self.prod + 1) % END
        self.peer.poke(REQ_PROD, struct.pack("=I", self.prod), ring=self.ring)
        self.peer.notify(self.ring)

    def answered(self):
        """The last response, once all are published; None while they are not."""
        if self.peer.indices(self.ring)[2] != self.prod:
            return None
        return self.peer.peek(SLOTS + (self.prod - 1) % self.slots * self.entry, self.entry, ring=self.ring)


def overwritten(t):
    """Whatever stands where the backend writes its own indices, it goes on from where it was.

    Fails when `unconsumed` measures the ring from the `rsp_prod` on the page."""
    with Peer(control=True) as peer, Wire(peer.name) as wire:
        peer.connect()
        page = peer.grant(frame(peer, 200))
        buffer = peer.grant(bytes(4096))
        rings = {
            "tx": (Bare(peer, "tx", 12, 256), lambda turn: struct.pack("=IHHHH", page, 0, 0, turn, 200),
                   lambda turn: struct.pack("=Hh", turn, OKAY)),
            "rx": (Bare(peer, "rx", 8, 256), lambda turn: struct.pack("=HHI", turn, 0, buffer),
                   lambda turn: struct.pack("=HHHh", turn, 0, 0, 100)),
            "control": (Bare(peer, "control", 16, 128), lambda turn: struct.pack("=HHIII", turn, GET_MAPPING_SIZE, 0, 0, 0),
                        lambda turn: struct.pack("=HHII", turn, GET_MAPPING_SIZE, SUCCESS, MAX_MAPPING)),
        }
        for name, (ring, request, response) in rings.items():
            for turn in range(TURNS):
                ring.overwrite((0, ring.prod + 1000, ring.prod + 2**31, ring.prod - 1, ring.prod + 1)[turn % 5] % END)
                ring.ask(request(turn))
                if name == "rx":
                    wire.send(frame(peer, 100, False))
                wanted = response(turn)
                seen = wait_for(f"{name}: request {turn} is answered", 5, ring.answered)
                if not seen.startswith(wanted):
                    t.equal(f"{name}: answer {turn}", seen[:len(wanted)].hex(), wanted.hex())
            t.equal(f"{name}: the indices of the backend are overwritten {TURNS} times: its state",
                    peer.backend_state(), "4")


def wraps(t):
    """All rings go over the end of 32 bits, also within a packet, and keep every rule of the protocol.

    Fails when `unconsumed` subtracts with saturation."""
    for start in (END - 9, 2**31 - 9):
        with Peer(start=start, split=True, control=True) as peer, Wire(peer.name) as wire:
            peer.connect()
            peer.up(mtu=9000)
            sent = [frame(peer, 18 * 40), *(frame(peer, 60 + number) for number in range(40))]
            cut = [peer.packet(sent[0], [40] * 18), *map(peer.packet, sent[1:])]
            t.equal(f"from {start:#x}: statuses of packets, the first of which lies over the end",
                    {status for one in peer.send_many(0, cut) for status in one or [None]}, {OKAY})
            t.check("they arrive", [one.data for one in wire.receive(len(sent))] == sent)
            peer.post(0)
            sent = [frame(peer, size, False) for size in (9000, 100) * 10]
            seen = []
            for one in sent:
                wire.send(one)
                seen += [packet.data for packet in peer.receive()]
            t.check(f"from {start:#x}: packets to the guest arrive", seen == sent, len(seen))
            answers = {peer.control(GET_MAPPING_SIZE) for _ in range(20)}
            t.equal(f"from {start:#x}: answers of the control ring", answers, {(SUCCESS, MAX_MAPPING)})
            t.equal("broken rules", peer.violations, [])


def impossible(t):
    """Indices that cannot be, at the end of 32 bits and elsewhere, when a guest connects.

    Fails when `attach` does not compare the two indices."""
    for start in (0, END - 100):
        for ring in ("tx", "rx", "control"):
            with Peer(start=start, control=True) as peer:
                keys = peer.rings()
                peer.poke(REQ_PROD, struct.pack("=I", (start + (129 if ring == "control" else 257)) % END), ring=ring)
                peer.publish(keys)
                peer.set_state(4)
                peer.wait(5)
                key = {"tx": "tx-ring-ref", "rx": "rx-ring-ref", "control": "ctrl-ring-ref"}[ring]
                t.check(f"{ring} with more requests than slots, from {start:#x}: refused", key in (peer.error() or ""),
                        repr(peer.error()))


def ahead(t, other):
    """A guest that fills its rings anew without reading a single answer gets each answer in its slot.

    Fails when what was taken is counted by the guest's index: `consume` that goes to `req_prod`."""
    with Peer() as peer, Wire(peer.name) as wire:
        peer.connect()
        page, buffer = peer.grant(frame(peer, 200)), peer.grant(bytes(4096))
        before = [peer.indices(ring)[2] for ring in ("tx", "rx")]
        peer.overfill("tx", [[struct.pack("=IHHHH", page, 0, 0, number, 200)] for number in range(256)])
        peer.overfill("rx", [[struct.pack("=HHI", number, 0, buffer)] for number in range(256)])
        end = time.monotonic() + (60 if t.long else 2)
        sent = turns = 0
        while time.monotonic() < end or turns < 5:
            turns += 1
            for _ in range(20):
                wire.send(frame(peer, 1000, False))
                sent += 1
            if turns % 10 == 1:
                other.check(t, "answers that nobody reads")
        peer.calm()
        t.eventually("all requests of the guest are answered", 10,
                     lambda: peer.indices("tx")[0] == peer.indices("tx")[2])
        t.eventually("all packets to the guest have their answer", 10,
                     lambda: (peer.indices("rx")[2] - before[1]) % END == sent)
        prod = peer.indices("tx")[2]
        t.at_least("answers that nobody has read", (prod - before[0]) % END, 512)
        page = peer.peek(SLOTS, 12 * 256, ring="tx")
        seen = [struct.unpack_from("=Hh", page, 12 * slot) for slot in range(256)]
        # The ids are those of the slots, because there are as many.
        shift = seen[0][0]
        t.check("each answer stands where its request was", seen == [((slot + shift) % 256, OKAY) for slot in range(256)], seen)
        t.equal("the backend's state", peer.backend_state(), "4")


def run(t):
    driver.use(t.driver)
    overwritten(t)
    wraps(t)
    impossible(t)
    with Neighbour() as neighbour:
        ahead(t, neighbour)
