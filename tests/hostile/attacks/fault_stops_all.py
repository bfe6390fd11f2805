# SPDX-License-Identifier: GPL-2.0
"""A fault on any ring stops every ring and every event of its interface, and is reported once."""

import re
import struct
import time
from pathlib import Path

from rig import driver, frames, kmsg, xenlog
from rig.neighbour import frame
from rig.peer import HOST_MAC, OKAY, Peer
from rig.steering import GET_MAPPING_SIZE, MAX_MAPPING, SUCCESS
from rig.wire import Wire

LIMIT = 100
ONLY_WITH = "rust"
EXPECTED_MESSAGES = (r"vif-0-0|vif vif-0-0|vif0\.0", r"d0v\d+ ")

RINGS = (("tx", 0), ("tx", 1), ("rx", 0), ("rx", 1), ("control", 0))
OTHER_MAC = "00:16:3e:00:00:02"


def interrupts():
    """How often the handlers of the interface have run, all together."""
    lines = Path("/proc/interrupts").read_text().splitlines()
    ours = [line.split() for line in lines if re.search(r"\b(vif0\.0-q\d+-[rt]x|xen-netback-ctrl)$", line)]
    return len(ours), sum(int(word) for line in ours for word in line[1:] if word.isdigit())


def break_ring(peer, ring, queue):
    """Announces more requests than any ring has slots."""
    answered = peer.indices(ring, queue)[2]
    peer.poke(0, struct.pack("=I", (answered + 1000) % 2**32), ring=ring, queue=queue)
    peer.notify(ring, queue)


def send_some(peer, wire):
    """Packets for the guest, some for each queue."""
    for port in range(1000, 1032):
        wire.send(frames.udp((HOST_MAC, peer.mac), ("10.8.0.1", "10.8.0.2"), (port, port)))


def stopped(t, peer, wire, name):
    """Nothing is answered, no event is handled, and no memory is kept."""
    channels, before = interrupts()
    t.equal(f"{name}: the event channels are still bound", channels, 5)
    for _ in range(30):
        for ring, queue in RINGS:
            peer.notify(ring, queue)
        time.sleep(0.01)
    # Of each channel one event at most, which nobody acknowledges.
    t.at_most(f"{name}: events that were handled, of 150", interrupts()[1] - before, channels)
    t.equal(f"{name}: a request on the control ring", peer.control(GET_MAPPING_SIZE, seconds=0.3), (None, None))
    for queue in range(2):
        t.equal(f"{name}: a packet from queue {queue}", peer.send(queue, frame(peer), seconds=0.2), None)
    send_some(peer, wire)
    t.equal(f"{name}: packets to the guest", peer.receive(seconds=0.3), [])
    t.equal(f"{name}: packets that wait for it", peer.counter("guest_rx_queued_packets"), 0)


def run(t):
    """Fails when the thread of the control ring does not look for a fault of others, when `raise` does not wake
    the threads of the other queues, when NAPI acknowledges after a fault, and when `try_report_fault` does not
    remember that it has reported."""
    driver.use(t.driver, "max_queues=2")
    ear, writes = kmsg.Ear(), xenlog.Writes()
    with Peer(queues=2, split=True, control=True, tolerant=True) as peer, Wire(peer.name) as wire:
        peer.connect()
        for ring, queue in RINGS:
            name = f"{ring} {queue}"
            for number in range(2):
                peer.post(number, 100)
            t.equal(f"{name}: the control ring works before", peer.control(GET_MAPPING_SIZE), (SUCCESS, MAX_MAPPING))
            writes.take()
            ear.heard()
            break_ring(peer, ring, queue)
            if ring == "rx":
                # Looked at when there is something for the guest.
                send_some(peer, wire)
            peer.wait(5)
            # What the other queue was given before that.
            peer.receive(seconds=0.2, count=1000)
            stopped(t, peer, wire, name)
            said = [line for line in ear.heard() if "guest error" in line]
            t.equal(f"{name}: lines in the log", len(said), 1)
            errors = [value for node, value in writes.take() if node.endswith("/error") and value is not None]
            t.equal(f"{name}: errors in xenstore", len(errors), 1)
            t.check("which tell what was wrong", "more requests than" in errors[0], errors)
            peer.reconnect()
            for number in range(2):
                peer.post(number, 100)
                t.equal(f"{name}: after coming back, a packet from queue {number}", peer.send(number, frame(peer)), [OKAY])
            wire.receive(2)
            send_some(peer, wire)
            t.at_least(f"{name}: after coming back, packets to the guest", len(peer.receive(count=32)), 32)
            peer.receive(seconds=0.2, count=1000)
