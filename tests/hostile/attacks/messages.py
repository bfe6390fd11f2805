# SPDX-License-Identifier: GPL-2.0
"""What a guest can have the host say: few lines, however many faults, and never a word of its own."""

import os
import re
import time

from rig import driver, frames, kmsg
from rig.checks import Failed, wait_for
from rig.fuzzer import quick_connections
from rig.peer import ERROR, HOST_MAC, Peer
from rig.wire import Wire

LIMIT = 300
ONLY_WITH = "rust"
EXPECTED_MESSAGES = (r"vif-0-0|vif vif-0-0|vif0\.0", r"xen:grant_table", r"d0v\d+ ", r"net_ratelimit")

BURST, INTERVAL = 10, 5
BAD_PACKETS, STALLS = 1000, 40
STORM = 3  # Seconds.
INFO = 6
# What would show that a value of the guest has got through, and where it could do harm.
WORD = "f0rged"
VALUES = (WORD, f"1\n<0>{WORD}: Kernel panic", f"\x1b[2J\x1b[31m{WORD}", f"1\0{WORD}", f"%s%n%p{WORD}",
          f"\r{WORD}\x07\x7f\xff", "+1", " 7", "0x7", "7 7", "\0", "\n", WORD * 300, "9" * 2000, "0" * 2000, " " * 2000,
          "\0" * 2000, "-" * 2000)
# One of those that have to be right, or all that do not.
KEYS = (("tx-ring-ref",), ("event-channel",), ("ctrl-ring-ref",), ("request-rx-copy",), ("multi-queue-num-queues",),
        ("feature-rx-notify", "feature-sg", "xdp-headroom", "request-multicast-control"))


def allowed(seconds):
    """Lines that may be said in a time."""
    return BURST * (2 + int(seconds / INTERVAL))


def states(t, ear):
    """A guest goes to states that it must not be in, as fast as it can; each is a fault to complain about.

    Fails when `complain` does not ask whether it may."""
    with Peer(tolerant=True) as peer:
        ear.heard()
        start = time.monotonic()
        peer.rewrite("state", [9, 1, 2, 1])
        time.sleep(STORM)
        (rounds,) = peer.calm()
        peer.set_state(1)
        peer.wait(2)
        took = time.monotonic() - start
        said = ear.heard()
        t.at_least("states that were written", rounds, 4 * allowed(took))
        t.at_most(f"lines about them in {took:.0f} s", len(said), allowed(took))
        t.at_least("and not less than one for each of the first", len(said), BURST)


def bad_packets(t, ear, peer):
    """Packets that are answered with an error are counted, and nothing is said.

    Fails when a packet that is rejected is complained about."""
    ear.heard(INFO)
    bad = [peer.packet(bytes(13), [13]), peer.packet(bytes(100), [{"size": 100, "claims": {"gref": 60000}}]),
           peer.packet(bytes(60 + 101), [{"size": 60, "claims": {"size": 100}}, 101])]
    before = peer.counter("guest_tx_runt")
    for _ in range(BAD_PACKETS // 120):
        answers = peer.send_many(0, bad * 40)
        if any(one is None or set(one) != {ERROR} for one in answers):
            raise Failed("bad packets are answered", answers)
    t.at_least("runts that were counted", peer.counter("guest_tx_runt") - before, BAD_PACKETS // 4)
    said = [line for line in ear.heard(INFO) if peer.name in line or peer.device in line]
    t.equal(f"lines about {BAD_PACKETS} bad packets", said, [])


def stalls(t, ear, peer, wire):
    """A guest stalls and receives again without end, where an administrator wants stalls to be found soon.

    Fails when these messages are not limited."""
    ear.heard(INFO)
    start, seen = time.monotonic(), peer.counter("guest_rx_stalls")
    for _ in range(STALLS):
        wire.send(frames.ethernet(peer.mac, HOST_MAC, 0x88B5, os.urandom(100)))
        wait_for("it stalls", 5, lambda: not peer.carrier())
        peer.post(0, 1)
        peer.wait_carrier()
        wire.send(frames.ethernet(peer.mac, HOST_MAC, 0x88B5, os.urandom(100)))
        peer.receive(refill=False)
    took = time.monotonic() - start
    t.at_least("stalls", peer.counter("guest_rx_stalls") - seen, STALLS)
    said = [line for line in ear.heard(INFO) if "Guest Rx" in line]
    t.at_most(f"lines about {STALLS} stalls in {took:.0f} s", len(said), allowed(took))


def texts(t, ear):
    """Values of all sorts in every key: what is said of them is the host's own words, short and printable.

    Fails when `report` prints the value of a key."""
    wrong, said, connected = [], [], 0
    halves = VALUES[::2], VALUES[1::2]
    for number, tried in enumerate(KEYS):
        # Keys that have to be right share the values, and what is optional is tried with all. Each half has a new
        # device: after ten complaints nothing is said for a while.
        for half in halves if tried is KEYS[-1] else halves[number % 2:][:1]:
            with Peer(control=True, tolerant=True) as peer:
                peer.publish(peer.rings())
                for value in half:
                    peer.forget_error()
                    peer.amend(dict.fromkeys(tried, value.encode("latin-1")))
                    peer.set_state(4)
                    wait_for("the backend has followed", 10, lambda: peer.backend_state() in ("4", "5"))
                    connected += peer.backend_state() == "4"
                    said.append(peer.error() or "")
                    for state, follows in ((6, 6), (1, 2)):
                        peer.set_state(state)
                        peer.wait(follows)
    said += ear.heard(INFO)
    for line in said:
        # /dev/kmsg shows what cannot be printed as \x and its number.
        if WORD in line or re.search(r"[^ -~]|\\x", line) or len(line) > 200:
            wrong.append(repr(line[:200]))
    t.equal("lines and errors with words of the guest, with what cannot be printed, or too long", wrong, [])
    t.at_least("errors and lines", sum(bool(line) for line in said), 5 * len(KEYS))
    t.at_least("values of what is optional, with which the guest was connected all the same", connected, len(VALUES))


def run(t):
    driver.use(t.driver, "max_queues=2", "rx_stall_timeout_msecs=20")
    ear = kmsg.Ear()
    states(t, ear)
    with Peer() as peer, Wire(peer.name) as wire:
        peer.connect()
        bad_packets(t, ear, peer)
        stalls(t, ear, peer, wire)
    with quick_connections():
        texts(t, ear)
