# SPDX-License-Identifier: GPL-2.0
"""The control ring: every request with the values at its edges, what dom0 shows of it, and bad rings."""

import re
import struct
import time
from pathlib import Path

from rig import driver
from rig.checks import run as command
from rig.peer import Peer
from rig.steering import (ALL, GET_FLAGS, GET_MAPPING_SIZE, INVALID, KEY, MAX_MAPPING, NONE, NOT_SUPPORTED,
                          SET_ALGORITHM, SET_FLAGS, SET_KEY, SET_MAPPING, SET_MAPPING_SIZE, SUCCESS, TOEPLITZ,
                          configure, entries, text)

LIMIT = 120
EXPECTED_MESSAGES = (r"vif-0-0|vif vif-0-0|vif0\.0", r"xen:grant_table", r"d0v\d+ ")

BIG = 0xFFFFFFFF
NOWHERE = 60000  # A grant that nobody has made.
ZEROS = bytes(4096)
QUEUES = 4


def requests():
    """(what it is, arguments of Peer.control, the answer), in the order in which they are asked."""
    ok, refused, unknown = (SUCCESS, 0), (INVALID, 0), (NOT_SUPPORTED, 0)
    yield "the flags without an algorithm", (GET_FLAGS,), unknown
    yield "flags without an algorithm", (SET_FLAGS, ALL), refused
    for algorithm, answer in ((NONE, ok), (TOEPLITZ, ok), (2, refused), (0x10001, refused), (BIG, refused)):
        yield f"algorithm {algorithm:#x}", (SET_ALGORITHM, algorithm), answer
    for flags, answer in ((0, ok), (1, ok), (ALL, ok), (0x10, refused), (0x1F, refused), (BIG, refused)):
        yield f"flags {flags:#x}", (SET_FLAGS, flags), answer
    yield "the flags", (GET_FLAGS,), (SUCCESS, ALL)

    for size, answer in ((0, ok), (1, ok), (40, ok), (41, refused), (4096, refused), (0x10000, refused),
                         (0x10008, refused), (BIG, refused)):
        yield f"a key of {size} bytes", (SET_KEY, 0, size, 0, KEY), answer
    yield "a key that was not granted", (SET_KEY, NOWHERE, 40), refused
    yield "a key under an impossible grant", (SET_KEY, BIG, 40), refused

    yield "the size of the mapping", (GET_MAPPING_SIZE,), (SUCCESS, MAX_MAPPING)
    for size, answer in ((0, ok), (1, ok), (128, ok), (129, refused), (0x10001, refused), (BIG, refused)):
        yield f"a mapping of {size}", (SET_MAPPING_SIZE, size), answer
    for count, first, answer in ((0, 0, ok), (1, 0, ok), (128, 0, ok), (1, 127, ok), (0, 128, ok),
                                 (0, 129, refused), (1, 128, refused), (2, 127, refused), (129, 0, refused),
                                 (1024, 0, refused), (1025, 0, refused), (2, BIG, refused), (1, BIG, refused),
                                 (BIG, 1, refused), (BIG, 2, refused), (0x40000001, 0, refused)):
        yield f"{count} entries from {first}", (SET_MAPPING, 0, count, first, ZEROS), answer
    for queue, answer in ((QUEUES - 1, ok), (QUEUES, refused), (0x10000, refused), (BIG, refused)):
        yield f"a mapping to queue {queue:#x}", (SET_MAPPING, 0, 2, 5, entries([1, queue])), answer
    yield "a mapping that was not granted", (SET_MAPPING, NOWHERE, 1, 0), refused

    for kind in (0, 8, 9, 10, 11, 0xFFFF):
        yield f"request {kind}", (kind, 1, 1, 1), unknown


def shown_by_ethtool(name):
    """The key and the table of `ethtool -x`."""
    printed = command("ethtool", "-x", name)
    key = re.search(r"^((?:[0-9a-f]{2}:)+[0-9a-f]{2})$", printed, re.M)
    rows = re.findall(r"^\s*\d+:((?:\s+\d+)+)$", printed, re.M)
    return key and key[1].replace(":", ""), [int(queue) for row in rows for queue in row.split()]


def edges(t):
    """Every request, in a ring that wraps several times."""
    with Peer(queues=QUEUES, control=True) as peer:
        peer.connect()
        for what, arguments, answer in requests():
            t.equal(what, peer.control(*arguments), answer)
        # Neither a refusal nor an unfinished table has changed anything.
        mapping = [0] * MAX_MAPPING
        mapping[5:7] = 1, QUEUES - 1
        file = Path("/sys/kernel/debug/xen-netback", peer.name, "ctrl")
        if t.driver == "rust":
            # The C driver keeps of a refused request what it has written before it found out.
            peer.control(SET_KEY, 0, 40, 0, KEY)
            t.equal("debugfs: what is configured", file.read_text(), text(KEY, ALL, mapping))
        t.equal("the whole configuration anew", configure(peer, KEY[:20], 0x5, [1, 0, 3]), [])
        t.equal("debugfs: a short key, a short table", file.read_text(), text(KEY[:20].ljust(40, b"\0"), 0x5, [1, 0, 3]))
        t.equal("debugfs: the mode of the file", oct(file.stat().st_mode & 0o777), "0o400")
        if t.driver == "rust":
            t.equal("ethtool -x", shown_by_ethtool(peer.name), (KEY[:20].ljust(40, b"\0").hex(), [1, 0, 3]))
        for number in range(300):
            answer = peer.control(GET_MAPPING_SIZE)
            if answer != (SUCCESS, MAX_MAPPING):
                t.equal(f"answer {number}", answer, (SUCCESS, MAX_MAPPING))
        t.check("300 answers, over the end of the ring", True)


def events(t):
    """Events without requests, such as of a guest that is tired of waiting, are told from others."""
    with Peer(control=True) as peer:
        peer.connect()

        def spurious():
            return int(Path("/sys/bus/xen-backend/devices/vif-0-0/xenbus/spurious_events").read_text())

        before = spurious()
        for _ in range(30):
            peer.control(GET_MAPPING_SIZE)
        if t.driver == "rust":
            t.equal("events of requests that count as spurious", spurious() - before, 0)
        for _ in range(3):
            peer.notify("control")
            time.sleep(0.1)
        t.at_least("events without a request that count as spurious", spurious() - before, 1)
        start = time.monotonic()
        answer = peer.control(GET_MAPPING_SIZE)
        t.check("a request afterwards is answered soon", answer[0] == SUCCESS and time.monotonic() - start < 2,
                f"{answer} after {time.monotonic() - start:.1f} s")


def forgotten(t):
    """A new connection begins with nothing."""
    with Peer(queues=2, control=True) as peer:
        peer.connect()
        t.equal("configured", configure(peer, mapping=[1]), [])
        peer.reconnect()
        file = Path("/sys/kernel/debug/xen-netback", peer.name, "ctrl")
        t.equal("nothing is in force after a new connection", file.read_text(), "Hash Algorithm: NONE\n")
        t.equal("and the guest is told so", peer.control(GET_FLAGS), (NOT_SUPPORTED, 0))
        peer.control(SET_ALGORITHM, TOEPLITZ)
        t.equal("nor flags, a key or a table", file.read_text(), text(bytes(40), 0, []))
        t.equal("ethtool -x: no key, no table", shown_by_ethtool(peer.name), ("00" * 40, []))


def refused(t, peer, what, keys, named):
    """The device is closed with an error, and connects with the right keys."""
    good = peer.rings()
    peer.publish({})
    peer.call("write", keys={key: str(value) for key, value in {**good, **keys}.items() if value is not None})
    peer.set_state(4)
    peer.wait(5)
    error = peer.error() or ""
    peer.set_state(6)
    peer.wait(6)
    peer.set_state(1)
    peer.wait(2)
    peer.connect()
    t.check(f"{what} is refused, and forgotten", named in error and peer.control(GET_MAPPING_SIZE)[0] == SUCCESS, error)
    peer.disconnect()
    peer.set_state(1)
    peer.wait(2)


def bad_rings(t):
    """Keys that name no control ring, and a ring that breaks the protocol.

    Each on a device of its own: one that is complained about ten times in five seconds is left alone."""
    with Peer(queues=2, control=True) as peer:
        for what, value in (("empty", ""), ("no number", "seven"), ("negative", -1), ("huge", 1 << 40),
                            ("never granted", NOWHERE), ("out of range", BIG)):
            named = "" if what in ("never granted", "out of range") else "ctrl-ring-ref"
            refused(t, peer, f"ctrl-ring-ref {what}", {"ctrl-ring-ref": value}, named)
    with Peer(queues=2, control=True) as peer:
        for what, value in (("missing", None), ("empty", ""), ("no number", "x"), ("that does not exist", 1000),
                            ("out of range", BIG)):
            refused(t, peer, f"event-channel-ctrl {what}", {"event-channel-ctrl": value}, "event-channel-ctrl")
    with Peer(queues=2, control=True) as peer:
        for what, ahead in (("129 requests", 129), ("2^31 requests", 1 << 31), ("a step back", BIG)):
            peer.connect()
            prod, _, _, _ = peer.indices("control")
            peer.poke(0, struct.pack("=I", prod + ahead & BIG), ring="control")
            peer.notify("control")
            peer.wait(5)
            t.check(f"{what} at once: reported", "guest error" in (peer.error() or ""), repr(peer.error()))
            peer.set_state(6)
            peer.wait(6)
            peer.call("release")
            peer.set_state(1)
            peer.wait(2)
        peer.connect()
        t.equal("a new connection works", peer.control(GET_MAPPING_SIZE), (SUCCESS, MAX_MAPPING))


def run(t):
    driver.use(t.driver)
    Path("/sys/module", driver.module(t.driver), "parameters/max_queues").write_text(str(QUEUES))
    edges(t)
    events(t)
    if t.driver == "rust":
        forgotten(t)
        bad_rings(t)
