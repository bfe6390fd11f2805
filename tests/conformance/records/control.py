# SPDX-License-Identifier: GPL-2.0
"""The control ring: every request, with values at its edges and beyond, and what debugfs shows of it."""

from rig import facts
from rig.peer import Peer

LIMIT = 120
EXPECTED_MESSAGES = (r"xen:grant_table", r"d0v\d+ ")
PARAMETERS = ("max_queues=4",)
KEY = bytes(range(40))
BIG = 0xFFFFFFFF
(GET_FLAGS, SET_FLAGS, SET_KEY, GET_SIZE, SET_SIZE, SET_MAPPING, SET_ALGORITHM) = range(1, 8)

# What is asked, one after the other: (request, three values), with a page where the first one is None.
BEFORE = ((GET_FLAGS, 0, 0, 0), (SET_FLAGS, 1, 0, 0), (GET_SIZE, 0, 0, 0), (SET_ALGORITHM, 2, 0, 0),
          (SET_ALGORITHM, BIG, 0, 0), (SET_ALGORITHM, 0, 0, 0), (SET_ALGORITHM, 1, 0, 0))
AFTER = (
    *((GET_FLAGS, 0, 0, 0),), *((SET_FLAGS, flags, 0, 0) for flags in (0, 1, 15, 16, 17, BIG)),
    *((SET_KEY, None, size, 0) for size in (0, 1, 39, 40, 41, 4096, 65536 + 40, BIG)), (SET_KEY, 60000, 40, 0),
    *((SET_SIZE, size, 0, 0) for size in (0, 1, 127, 128, 129, 65536 + 1, BIG)), (SET_SIZE, 128, 0, 0),
    *((SET_MAPPING, None, count, first) for count, first in (
        (0, 0), (1, 0), (128, 0), (1, 127), (0, 128), (0, 129), (1, 128), (2, 127), (129, 0), (1024, 0), (1025, 0),
        (2, BIG), (BIG, 1), (BIG, 2), (0, BIG))), (SET_MAPPING, 60000, 1, 0),
    *((kind, 0, 0, 0) for kind in (0, 8, 9, 10, 11, 65535)), (SET_ALGORITHM, 0, 0, 0), (GET_FLAGS, 0, 0, 0))


def ask(r, peer, requests, page):
    """Asks, and records the answers."""
    for number, (kind, *values) in enumerate(requests, 1):
        granted = {} if values[0] is not None else {"page": page}
        status, data = peer.control(kind, values[0] or 0, *values[1:], **granted)
        shown = ", ".join("a page" if value is None else str(value) for value in values)
        r.put(f"{number}. request {kind} with {shown}", f"status {status} data {data}")


def record(r):
    with Peer(queues=4, control=True) as peer:
        peer.connect()
        r.step("before an algorithm")
        ask(r, peer, BEFORE, KEY)
        r.step("with an algorithm")
        ask(r, peer, AFTER, bytes(4096))
        r.step("configured")
        for kind, values, page in ((SET_ALGORITHM, (1, 0, 0), None), (SET_FLAGS, (15, 0, 0), None),
                                   (SET_KEY, (0, 40, 0), KEY), (SET_SIZE, (4, 0, 0), None)):
            peer.control(kind, *values, **({"page": page} if page else {}))
        for queue in (3, 4, BIG):
            answer = peer.control(SET_MAPPING, 0, 2, 1, page=queue.to_bytes(4, "little") * 2)
            r.put(f"a mapping to queue {queue}", f"status {answer[0]}")
        r.put_all(facts.debugfs(peer.name))
        r.put_all(facts.kernel_names(peer.name))
        r.put_all(facts.ethtool(peer.name, "-x"))
        peer.reconnect()
        r.step("connected anew")
        answer = peer.control(GET_FLAGS)
        r.put("the flags", f"status {answer[0]} data {answer[1]}")
