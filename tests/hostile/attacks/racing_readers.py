# SPDX-License-Identifier: GPL-2.0
"""Statistics and addresses are looked at while the guest connects, fails to, and goes, again and again."""

import struct
import subprocess
import threading
from pathlib import Path

from rig import driver, frames, leftovers
from rig.checks import wait_for
from rig.fuzzer import quick_connections
from rig.neighbour import Neighbour, exchange, frame
from rig.peer import HOST_MAC, Peer, multicast
from rig.wire import Wire

LIMIT = 240
ONLY_WITH = "rust"
DOM0_VCPUS = 2
EXPECTED_MESSAGES = (r"vif-0-0|vif vif-0-0|vif0\.0", r"xen:grant_table", r"d0v\d+ ")

FAILURES = 3  # Fewer than those after which a frontend is left alone.
RECONNECTIONS, LONG = 6, 200
QUEUES = 2
BUFFERS = 16
NEVER_GRANTED = 60000
EXTRAS = 8  # The flag that extras follow.
GROUP = "01:00:5e:00:00:07"
COUNTERS = ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes")
LOOK = "cat /proc/net/dev /sys/kernel/debug/xen-netback/vif0.0/*; ip -s link; ethtool -S vif0.0; sleep 0.1"


class Looping(threading.Thread):
    """Does something again and again, as long as it is open; counts."""

    def __init__(self, turn):
        super().__init__(daemon=True)
        self._turn, self._over = turn, threading.Event()
        self.turns = 0

    def run(self):
        while not self._over.wait(0.005):
            self._turn()
            self.turns += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self.join()


class Programs:
    """Shows all that programs can show of an interface, as long as it is open."""

    def __enter__(self):
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._program = subprocess.Popen(["sh", "-c", f"while :; do {LOOK}; done"], **quiet)

    def __exit__(self, *_):
        self._program.kill()
        self._program.wait()


class Growing:
    """Looks at counters that never become less."""

    def __init__(self, name):
        self._files = [Path("/sys/class/net", name, "statistics", counter) for counter in COUNTERS]
        self._last = [0] * len(COUNTERS)
        self.shrunk = []

    def look(self):
        """Looks once."""
        now = [int(file.read_text()) for file in self._files]
        if any(new < old for new, old in zip(now, self._last)):
            self.shrunk.append(f"{self._last}, then {now}")
        self._last = now


def post(peer):
    """Posts a few buffers in each queue."""
    for queue in range(QUEUES):
        peer.post(queue, BUFFERS)


def start_again(peer):
    """The frontend, which has closed, begins anew."""
    peer.call("release")
    peer.set_state(1)
    peer.wait(2)


def statistics(t, neighbour):
    """XSA-526 (CVE-2026-100080): they belong to the interface, whatever its guest does. Fails when `stats64` shows
    nothing while no guest is connected."""
    with Peer(queues=QUEUES) as peer, Wire(peer.name) as wire, Programs():
        growing, wrong = Growing(peer.name), []
        with Looping(growing.look) as looks:
            for number in range(FAILURES):
                peer.publish({**peer.rings(), f"queue-{number % QUEUES}/rx-ring-ref": NEVER_GRANTED})
                peer.set_state(4)
                peer.wait(5)
                peer.set_state(6)
                peer.wait(6)
                start_again(peer)
                peer.connect()
                post(peer)
                wrong.append(exchange(peer, wire))
                peer.disconnect()
                start_again(peer)
        t.equal("XSA-526: each connection after one that failed is served", wrong, [""] * len(wrong))
        t.at_least("XSA-526: looks at the counters", looks.turns, 10 * len(wrong))
        t.equal("XSA-526: counters that have become less", growing.shrunk, [])
        neighbour.check(t, "XSA-526")


def addresses(t, neighbour):
    """XSA-527 (CVE-2026-100081): whatever the guest names until its queues are gone is forgotten, and frames are
    looked at all the time. Fails when the addresses are forgotten before the queues are gone (`filter.reset`
    at the beginning of `Interface::disconnect`)."""
    with Peer(queues=QUEUES, keys={"request-multicast-control": 1}, tolerant=True) as peer, Wire(peer.name) as wire:
        add = [struct.pack("=IHHHH", 0, 0, EXTRAS, 1, 0), multicast(GROUP).ljust(12, b"\0")]
        to_group, to_guest = frames.ethernet(GROUP, HOST_MAC, 0x88B5, bytes(50)), frame(peer, 64, False)

        def send():
            try:
                wire.send(to_group)
                wire.send(to_guest)
            except OSError:  # The interface takes no packets just now.
                pass

        peer.connect()
        passed, missing = 0, []
        with Looping(send) as sender:
            for number in range(LONG if t.long else RECONNECTIONS):
                for queue in range(QUEUES):
                    peer.overfill("tx", [add], queue)
                wait_for("the address is named", 5, lambda: all(peer.indices("tx", queue)[2] for queue in range(QUEUES)))
                # The guest goes on to the end.
                peer.set_state(5)
                peer.wait(5)
                peer.calm()
                peer.set_state(6)
                peer.wait(6)
                start_again(peer)
                peer.connect()
                post(peer)
                seen = [one.data for one in peer.receive(count=4, refill=False)]
                passed += to_group in seen
                if to_guest not in seen:
                    missing.append(number)
        t.equal("XSA-527: connections without frames to the guest alone", missing, [])
        t.equal("XSA-527: connections that began with an address of the one before", passed, 0)
        t.at_least("XSA-527: frames that were looked at", sender.turns, 50)
        neighbour.check(t, "XSA-527")


def run(t):
    driver.use(t.driver, f"max_queues={QUEUES}")
    with quick_connections(), Neighbour() as neighbour, leftovers.none(t, "racing readers"):
        statistics(t, neighbour)
        addresses(t, neighbour)
