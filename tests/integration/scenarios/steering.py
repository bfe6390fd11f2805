# SPDX-License-Identifier: GPL-2.0
"""Steering by the guest: each packet comes on the queue that the guest's table names, with the right hash."""

import ipaddress
import random
import struct
from pathlib import Path

from rig import driver, frames
from rig.peer import Peer
from rig.steering import (ALL, IPV4, IPV4_TCP, IPV6, IPV6_TCP, KEY, MAX_MAPPING, NONE, SET_ALGORITHM, SET_FLAGS,
                          SET_KEY, SET_MAPPING, configure, entries, toeplitz)
from rig.wire import Wire

LIMIT = 150
MACS = ("00:16:3e:00:00:99", "00:16:3e:00:00:01")


def flow(six, addresses, ports):
    """The input of the hash: all of it, and how much of that are the addresses."""
    packed = b"".join(ipaddress.ip_address(address).packed for address in addresses)
    return packed + struct.pack("!HH", *ports), len(packed)


def traffic(number):
    """Frames of every kind of flow: (what it is, the frame, by kind of hash the input, best kind first)."""
    pick = random.Random(number)
    for six in (False, True):
        base = ipaddress.ip_address("fd09::" if six else "10.9.0.0")
        addresses = (str(base + pick.randrange(1, 200)), str(base + pick.randrange(1, 200)))
        ports = (pick.randrange(1, 65536), pick.randrange(1, 65536))
        data, length = flow(six, addresses, ports)
        by_ports, by_addresses = (IPV6_TCP, IPV6) if six else (IPV4_TCP, IPV4)
        both = [(by_ports, data), (by_addresses, data[:length])]
        version = 6 if six else 4
        tcp = frames.tcp(MACS, addresses, ports, bytes(50))
        udp = frames.udp(MACS, addresses, ports, bytes(50))
        yield f"TCP over IPv{version}", tcp, both
        yield f"UDP over IPv{version}", udp, both[1:]
        if six:
            # A header of options for each hop, and one for the destination.
            options = bytes([60, 0, 1, 4, 0, 0, 0, 0]) + bytes([6, 1, 1, 12]) + bytes(12)
            yield "TCP behind extension headers", tcp[:20] + b"\0" + tcp[21:54] + options + tcp[54:], both
            fragment = bytes([6, 0, 0, 1, 0, 0, 0, 1])
            yield "a fragment of IPv6", tcp[:20] + b"\x2c" + tcp[21:54] + fragment + tcp[54:], both[1:]
        else:
            for name, bits in (("the first", 0x2000), ("the last", 0x0010)):
                fragment = tcp[:20] + struct.pack("!H", bits) + tcp[22:]
                yield f"{name} fragment of IPv4", fragment, both[1:]
            yield "IPv4 with options", tcp[:14] + b"\x46" + tcp[15:34] + b"\1\1\1\0" + tcp[34:], both
            tagged = tcp[:12] + struct.pack("!HH", 0x8100, 7) + tcp[12:]
            yield "a VLAN tag", tagged, []
    yield "no IP", frames.ethernet(MACS[1], MACS[0], 0x88B5, bytes(60)), []


def hashed(inputs, key, flags):
    """(value, kind) of the hash of a packet, None for no hash."""
    for kind, data in inputs:
        if flags >> kind & 1:
            return toeplitz(key, data), kind
    return None


class Link:
    """A frontend with a configuration, and the host's end of its interface."""

    def __init__(self, t, peer, wire):
        self.t, self.peer, self.wire = t, peer, wire
        # With one queue the C driver does not compute a hash.
        self.hashes = t.driver == "rust" or peer.queues > 1

    def receive(self, frame):
        """Sends a frame to the guest and returns what comes."""
        self.wire.send(frame)
        found = [packet for packet in self.peer.receive() if packet.data == frame]
        if len(found) != 1:
            self.t.equal("a frame comes once", len(found), 1)
        return found[0]

    def carries(self, what, key, flags, mapping, numbers):
        """The check that every kind of packet comes as it should."""
        wrong, seen = [], set()
        for number in numbers:
            for name, frame, inputs in traffic(number):
                wanted = hashed(inputs, key, flags)
                value = wanted[0] if wanted else 0
                queue = mapping[value % len(mapping)] if mapping else value % self.peer.queues
                packet = self.receive(frame)
                seen.add(packet.queue)
                if packet.queue != queue or (self.hashes and packet.hash != wanted):
                    wrong.append(f"{name}: queue {packet.queue}, hash {packet.hash}; wanted {queue}, {wanted}")
        self.t.check(what, not wrong, "\n".join(wrong))
        return seen


def with_queues(t, queues):
    """Everything for a guest with this many queues."""
    with Peer(queues=queues, control=True) as peer, Wire(peer.name) as wire:
        peer.connect()
        for queue in range(queues):
            peer.post(queue)
        link = Link(t, peer, wire)
        few = range(3)
        of = f"{queues} queues: "

        plain = [link.receive(frame) for _, frame, _ in traffic(0)]
        t.check(of + "no hash that the guest has not asked for", not any(packet.hash for packet in plain))

        t.equal(of + "configured without a table", configure(peer), [])
        seen = link.carries(of + "the remainder of the hash", KEY, ALL, [], few)
        t.equal(of + "every queue is used", seen, set(range(queues)))
        for queue in range(queues):
            t.equal(of + f"everything to {queue}", configure(peer, mapping=[queue]), [])
            link.carries(of + f"a table that names {queue} only", KEY, ALL, [queue], [queue])
        mapping = [index * 5 // 3 % queues for index in range(MAX_MAPPING)]
        t.equal(of + "a full table", configure(peer, mapping=mapping), [])
        link.carries(of + "a table of 128", KEY, ALL, mapping, few)
        odd = [queues - 1, 0, 0][:max(queues, 2)]
        for flags in (1 << IPV4, 1 << IPV4_TCP, 1 << IPV6 | 1 << IPV6_TCP, 0):
            t.equal(of + f"flags {flags:#x}", configure(peer, KEY[::-1], flags, odd), [])
            link.carries(of + f"only what is enabled by {flags:#x}", KEY[::-1], flags, odd, [1])

        # One at a time, under traffic of the same interface.
        peer.control(SET_FLAGS, ALL)
        peer.control(SET_KEY, 0, 16, page=KEY)
        link.carries(of + "a shorter key", KEY[:16], ALL, odd, [2])
        peer.control(SET_MAPPING, 0, 1, 0, page=entries([0]))
        link.carries(of + "a part of the table", KEY[:16], ALL, [0] + odd[1:], [2])
        peer.control(SET_ALGORITHM, NONE)
        off = [link.receive(frame) for _, frame, _ in traffic(1)]
        t.check(of + "no algorithm, no hash", not any(packet.hash for packet in off))
        if t.driver == "rust":
            peer.control(SET_ALGORITHM, 1)
            peer.reconnect()
            for queue in range(queues):
                peer.post(queue)
            anew = [link.receive(frame) for _, frame, _ in traffic(1)]
            t.check(of + "forgotten by a new connection", not any(packet.hash for packet in anew))


def run(t):
    driver.use(t.driver)
    Path("/sys/module", driver.module(t.driver), "parameters/max_queues").write_text("4")
    for queues in (1, 2, 4):
        with_queues(t, queues)
