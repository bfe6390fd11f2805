# SPDX-License-Identifier: GPL-2.0
"""Every allocation for traffic fails once: at most one packet is lost, and counted; to the guest there is none."""

import contextlib
import fcntl
import os
import socket
import struct
from pathlib import Path

from rig import driver, faults, frames, kmemleak, leftovers
from rig.neighbour import served
from rig.peer import BLANK, ERROR, HOST_MAC, OKAY, VALIDATED, Peer, gso
from rig.steering import GET_MAPPING_SIZE, MAX_MAPPING, SUCCESS, configure
from rig.wire import Wire

LIMIT = 900
ONLY_WITH = "rust"
KERNEL = "debug"

PAGE = 4096
ROUNDS, ENOUGH = 40, 50  # Batches at most, and packets.
SEGMENT = 1448
# linux/include/uapi/linux/if.h and sockios.h.
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def plain(peer, size):
    """A frame like no other."""
    return frames.ethernet(HOST_MAC, peer.mac, 0x88B5, os.urandom(size - frames.ETHERNET))


def large(peer, size=60000):
    """A TCP packet which is to be cut."""
    return frames.tcp((HOST_MAC, peer.mac), ("10.8.0.1", "10.8.0.2"), (5000, 5001), os.urandom(size), blank=True)


def packets(peer):
    """(frame, packet for `send_many`) of every kind that takes memory in another way."""
    yield (frame := plain(peer, 60)), peer.packet(frame)
    yield (frame := plain(peer, 1500)), peer.packet(frame)
    yield (frame := plain(peer, 3 * PAGE)), peer.packet(frame)
    # More slots than a packet of the host has room for pieces.
    yield (frame := plain(peer, 19 * 100)), peer.packet(frame, [100] * 19)
    yield (frame := large(peer)), peer.packet(frame, extras=[gso(SEGMENT)], flags=BLANK | VALIDATED)
    yield (frame := plain(peer, 300)), peer.packet(frame, [257, 43])


def from_guest(t):
    """One batch of packets from the guest, with a page pool that is empty at first."""
    with Peer() as peer:
        peer.connect()
        Path("/sys/class/net", peer.name, "threaded").write_text("1")
        for fault in faults.each(lambda: faults.task(rf"napi/{peer.name}-\d+")):
            with Wire(peer.name) as wire:
                sent = list(packets(peer))
                before = peer.counter("guest_tx_no_memory")
                with fault:
                    statuses = peer.send_many(0, [packet for _, packet in sent])
                refused = sum(set(one) == {ERROR} for one in statuses)
                taken = [frame for (frame, _), one in zip(sent, statuses) if set(one) == {OKAY}]
                arrived = [one.data for one in wire.receive(len(taken), seconds=1 if fault.injected else 5)]
                counted = peer.counter("guest_tx_no_memory") - before
                lost = len(sent) - len(arrived)
                t.check(f"from the guest, allocation {fault.nth}: {lost} lost, {counted} counted",
                        refused + len(taken) == len(sent) and set(arrived) <= set(taken)
                        and refused <= counted <= lost <= fault.injected,
                        f"{refused} refused, {len(taken)} taken, {len(arrived)} arrived, {counted} counted")
            # A new connection has a new page pool.
            peer.reconnect()
        t.at_least("from the guest: failed allocations", fault.nth - 1, 1)


def starved(t):
    """There is no memory at all for what the guest sends: it is refused and counted, until there is.

    Fails when it is not counted (in `prepare`)."""
    with Peer() as peer, Wire(peer.name) as wire:
        peer.connect()
        Path("/sys/class/net", peer.name, "threaded").write_text("1")
        before, refused = peer.counter("guest_tx_no_memory"), 0
        with faults.Starved(faults.task(rf"napi/{peer.name}-\d+")):
            # The socket keeps what it gets, so that what was kept ready is used up.
            for _ in range(ROUNDS):
                batch = [peer.packet(plain(peer, 3 * PAGE)) for _ in range(60)]
                statuses = peer.send_many(0, batch)
                refused += sum(set(one) == {ERROR} for one in statuses)
                if refused > ENOUGH:
                    break
        t.at_least("without memory: packets that were refused", refused, ENOUGH)
        t.at_least("counted", peer.counter("guest_tx_no_memory") - before, refused)
        wire.receive(ROUNDS * 60, seconds=1)
        frame = plain(peer, 600)
        t.equal("with memory a packet is taken", peer.send(0, frame), [OKAY])
        t.equal("and arrives", [one.data for one in wire.receive()] == [frame], True)


def to_guest(t):
    """Whoever sends to the guest, and the threads that bring it there, allocate nothing."""
    with Peer(queues=2, control=True) as peer, Wire(peer.name) as wire:
        peer.connect()
        peer.up(mtu=9000)
        configure(peer)
        for queue in range(2):
            peer.post(queue)
        with contextlib.ExitStack() as stack:
            watched = [stack.enter_context(faults.Fault(pid, 1)) for pid in (
                os.getpid(), *(faults.task(rf"{peer.name}-q{queue}-guest-rx") for queue in range(2)))]
            for size in (60, 1500, 9000):
                sent = [plain(peer, size) for _ in range(10)]
                for frame in sent:
                    wire.send(frame)
                seen = [one.data for one in peer.receive(count=len(sent))]
                t.equal(f"packets of {size} bytes that arrive", sorted(seen) == sorted(sent), True)
            sent = large(peer)
            wire.send(sent, gso=(SEGMENT, 1), blank=frames.blank_at(sent))
            t.equal("a packet to be cut arrives", [one.data for one in peer.receive()] == [sent], True)
        t.equal("allocations", [fault.injected for fault in watched], [False] * 3)


def control(t):
    """A request of the control ring waits until there is memory."""
    with Peer(queues=2, control=True) as peer:
        peer.connect()
        for fault in faults.each(faults.task(f"{peer.name}-control")):
            with fault:
                answer = peer.control(GET_MAPPING_SIZE)
            t.equal(f"control, allocation {fault.nth}", answer, (SUCCESS, MAX_MAPPING))
        t.at_least("control: failed allocations", fault.nth - 1, 1)


def switch(name, up):
    """Sets an interface up or down, in this task; returns whether that was possible."""
    with socket.socket() as any_socket:
        request = struct.pack("16sh", name.encode(), 0).ljust(40, b"\0")
        flags = struct.unpack_from("h", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request), 16)[0]
        flags = flags | _IFF_UP if up else flags & ~_IFF_UP
        try:
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", name.encode(), flags).ljust(40, b"\0"))
        except OSError:
            return False
    return True


def administration(t):
    """The interface goes down and up, and its files in debugfs are read."""
    with Peer() as peer:
        peer.connect()
        (file,) = Path("/sys/kernel/debug").glob(f"xen-netback*/{peer.name}/io_ring_q0")
        for fault in faults.each_here():
            with fault:
                down = switch(peer.name, False)
                up = switch(peer.name, True)
            t.check(f"down and up, allocation {fault.nth}", down and (up or fault.injected), (down, up))
        for fault in faults.each_here():
            with fault:
                try:
                    text = file.read_text()
                except OSError:
                    text = ""
            t.check(f"{file.name}, allocation {fault.nth}", text or fault.injected, text)
        peer.wait_carrier()
        t.equal("afterwards: what is wrong", served(peer), "")


def run(t):
    driver.use(t.driver, "max_queues=2")
    faults.driver_only()
    control(t)
    with faults.hurried():
        for part in (from_guest, starved, to_guest, control, administration):
            with leftovers.none(t, part.__name__):
                part(t)
    kmemleak.check(t)
