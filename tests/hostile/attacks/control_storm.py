# SPDX-License-Identifier: GPL-2.0
"""A guest keeps its control ring full, under traffic: dom0 and other guests do not suffer, and it ends at once."""

import struct
import threading
import time
from pathlib import Path

from rig import driver, frames, leftovers, xenstore
from rig.peer import Peer
from rig.steering import (ALL, GET_MAPPING_SIZE, INVALID, KEY, MAX_MAPPING, SET_ALGORITHM, SET_FLAGS, SET_KEY,
                          SET_MAPPING, SET_MAPPING_SIZE, SUCCESS, TOEPLITZ, configure, entries, text)
from rig.wire import Wire

LIMIT = 120
SLOTS, FIRST = 128, 64
SECONDS = 2
SLOT = struct.Struct("=HHIII")
ANSWER = struct.Struct("=HHII")


class Flood:
    """Requests that change everything, as many as the ring holds, again and again."""

    def __init__(self, peer):
        self.peer = peer
        key, table = peer.grant(KEY), peer.grant(bytes(4096))
        self.kinds = [(SET_ALGORITHM, TOEPLITZ, 0, 0), (SET_FLAGS, ALL, 0, 0), (SET_KEY, key, 40, 0),
                      (SET_MAPPING_SIZE, MAX_MAPPING, 0, 0), (SET_MAPPING, table, MAX_MAPPING, 0),
                      (SET_KEY, key, 7, 0), (SET_MAPPING, table, 1, 127), (SET_FLAGS, 1, 0, 0)]
        _, _, self.answered, _ = peer.indices("control")
        self.asked = self.answered

    def request(self, index):
        """The bytes of a request."""
        kind, *data = self.kinds[index % len(self.kinds)]
        return SLOT.pack(index & 0xFFFF, kind, *data)

    def refill(self):
        """Checks what was answered, and fills the ring again; returns how much that was."""
        _, _, prod, _ = self.peer.indices("control")
        new = prod - self.answered & 0xFFFFFFFF
        page = self.peer.peek(FIRST, SLOTS * SLOT.size, ring="control")
        for index in range(self.answered, self.answered + new):
            answer = ANSWER.unpack_from(page, index % SLOTS * SLOT.size)
            wanted = (index & 0xFFFF, self.kinds[index % len(self.kinds)][0], SUCCESS, 0)
            assert answer == wanted, f"request {index}: {answer}, wanted {wanted}"
        self.answered += new
        if self.asked != self.answered + SLOTS:
            slots = bytearray(page)
            for index in range(self.asked, self.answered + SLOTS):
                at = index % SLOTS * SLOT.size
                slots[at:at + SLOT.size] = self.request(index)
            # Those that wait already are written again as they are.
            self.peer.poke(FIRST, bytes(slots), ring="control")
            self.asked = self.answered + SLOTS
            self.peer.poke(0, struct.pack("=I", self.asked & 0xFFFFFFFF), ring="control")
        self.peer.notify("control", count=4)
        return new


class Sender(threading.Thread):
    """Keeps sending to the interface; counts."""

    def __init__(self, name):
        super().__init__(daemon=True)
        self.wire, self.sent, self.over = Wire(name), 0, threading.Event()
        macs, addresses = ("00:16:3e:00:00:99", "00:16:3e:00:00:01"), ("10.9.0.1", "10.9.0.2")
        self.flows = [frames.tcp(macs, addresses, (port, 80), bytes(20)) for port in range(1, 65)]

    def run(self):
        while not self.over.wait(0.001):
            self.wire.send(self.flows[self.sent % len(self.flows)])
            self.sent += 1


def beyond(t, peer):
    """XSA-270 (CVE-2018-15471): what lies beyond the table is not changed, nor anything else by a request that
    reaches there. Fails when the end of a change is computed without a check (`wrapping_add` in
    `set_mapping`, and no comparison)."""
    mapping = [number % 2 for number in range(MAX_MAPPING)]
    t.equal("XSA-270: a full table", configure(peer, mapping=mapping), [])
    page = peer.grant(entries([1 - queue for queue in mapping] * 8))
    shown = Path("/sys/kernel/debug/xen-netback", peer.name, "ctrl")
    for count, first in ((2, 2**32 - 1), (2, 127), (1, 128), (1025, 0), (129, 0), (2**32 - 1, 1), (128, 2**32 - 64)):
        t.equal(f"XSA-270: {count} entries from {first}", peer.control(SET_MAPPING, page, count, first), (INVALID, 0))
    for count, first in ((0, 0), (0, 128)):
        t.equal(f"XSA-270: {count} entries from {first}", peer.control(SET_MAPPING, page, count, first), (SUCCESS, 0))
    t.equal("XSA-270: the table is as it was", shown.read_text(), text(KEY, ALL, mapping))


def storm(t, peer, other):
    """Requests without end, beside another guest's. Fails when a full ring counts as too full (`unconsumed`)."""
    for queue in range(2):
        peer.post(queue)
    t.equal("hashes are asked for", configure(peer, mapping=[0] * MAX_MAPPING), [])
    flood, sender = Flood(peer), Sender(peer.name)
    sender.start()
    answered, received, slowest, slowest_dom0 = 0, 0, 0.0, 0.0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        answered += flood.refill()
        start = time.monotonic()
        xenstore.read("/local/domain/0/name")
        slowest_dom0 = max(slowest_dom0, time.monotonic() - start)
        start = time.monotonic()
        if other.control(GET_MAPPING_SIZE) != (SUCCESS, MAX_MAPPING):
            t.check("another guest's request is answered", False)
        slowest = max(slowest, time.monotonic() - start)
        received += len(peer.receive(seconds=0))
    sender.over.set()
    sender.join()
    t.note(f"{answered} requests of the storm answered in {SECONDS} s, {received} of {sender.sent} packets received")
    t.at_least("the storm is served", answered, SLOTS)
    t.at_least("packets go on", received, 1)
    t.at_most("another guest's request, at worst", round(slowest, 2), 2, "s")
    t.at_most("dom0's xenstore, at worst", round(slowest_dom0, 2), 2, "s")

    start = time.monotonic()
    peer.disconnect()
    t.at_most("the device closes", round(time.monotonic() - start, 2), 5, "s")
    peer.set_state(1)
    peer.wait(2)
    peer.connect()
    t.equal("the next connection", peer.control(GET_MAPPING_SIZE), (SUCCESS, MAX_MAPPING))


def run(t):
    driver.use(t.driver)
    Path("/sys/module", driver.module(t.driver), "parameters/max_queues").write_text("2")
    with (leftovers.none(t, "a storm on the control ring", turns=1000), Peer(handle=1, control=True) as other,
          Peer(queues=2, control=True) as peer):
        other.connect()
        peer.connect()
        beyond(t, peer)
        storm(t, peer, other)
