# SPDX-License-Identifier: GPL-2.0
"""Packets of a frontend, valid, dropped and fatal, and packets to it: statuses, order, flags, extras, what arrives."""

import struct

from rig import frames
from rig.checks import Failed
from rig.peer import BLANK, HOST_MAC, VALIDATED, Peer, gso, hash_value
from rig.wire import Wire

LIMIT = 300
EXPECTED_MESSAGES = (r"vif-0-0|vif vif-0-0|vif0\.0", r"xen:grant_table", r"d0v\d+ ")

HOST, GUEST = "10.8.0.1", "10.8.0.2"
HOST6, GUEST6 = "fd08::1", "fd08::2"
NOWHERE = 60000
ODD = 0x88B5  # A protocol that nobody knows.
SEGMENT = 1448
XDP, UNKNOWN, NO_EXTRA = 5, 6, 0
MORE_DATA, EXTRA = 4, 8


def extra(kind):
    """An extra of which only the type is set."""
    return bytes([kind, 0]) + bytes(6)


def odd(peer, size):
    """A frame from the guest of no known protocol."""
    return frames.ethernet(HOST_MAC, peer.mac, ODD, bytes(number % 251 for number in range(size - 14)))


def udp(peer, size=100, six=False, blank=False):
    """A UDP packet from the guest."""
    return frames.udp((peer.mac, HOST_MAC), (GUEST6, HOST6) if six else (GUEST, HOST), (9, 9), b"u" * size, blank)


def tcp(peer, size=20000, six=False, blank=True):
    """A TCP packet from the guest."""
    return frames.tcp((peer.mac, HOST_MAC), (GUEST6, HOST6) if six else (GUEST, HOST), (9, 9), b"t" * size, blank)


def tagged(frame):
    """The frame with a VLAN tag."""
    return frame[:12] + b"\x81\x00\x00\x07" + frame[12:]


def ipv4(peer, protocol, fragment=0):
    """An IPv4 packet of a protocol that has no checksum to complete, or a fragment."""
    whole = udp(peer)
    header = bytearray(whole[14:34])
    header[9] = protocol
    header[6:8] = struct.pack("!H", fragment)
    header[10:12] = bytes(2)
    header[10:12] = struct.pack("!H", frames.checksum(bytes(header)))
    return whole[:14] + bytes(header) + whole[34:]


def pieces(first, count, size):
    """The sizes of one slot and `count` others."""
    return [first] + [size] * count


def harmless(peer):
    """(name, frame, slots, extras, flags) of what the backend forwards or drops."""
    for size in (14, 15, 42, 59, 60, 128, 129, 256, 257, 1514, 4096):
        yield f"{size} bytes", odd(peer, size), None, (), 0
    for slots in (2, 3, 17, 18, 19, 20, 21):
        yield f"{slots} slots", odd(peer, 60 + 30 * (slots - 1)), pieces(60, slots - 1, 30), (), 0
        yield f"{slots} slots, the first a header", odd(peer, 14 + slots - 1), pieces(14, slots - 1, 1), (), 0
    yield "65535 bytes", odd(peer, 65535), None, (), 0
    yield "a slot that ends with its page", odd(peer, 100), [{"size": 100, "at": 3996}], (), 0
    yield "empty slots between", odd(peer, 200), [100, 0, 50, 0, 50], (), 0
    yield "empty slots at the end", odd(peer, 100), [100, 0, 0], (), 0
    for size in (0, 1, 13):
        yield f"{size} bytes, no header", odd(peer, 14)[:size], None, (), 0
    yield "13 bytes in the first slot", odd(peer, 100), [13, 87], (), 0
    yield "an empty first slot", odd(peer, 100), [0, 100], (), 0
    yield "slots larger than the whole", odd(peer, 300), [{"size": 100, "claims": {"size": 150}}, 100, 100], (), 0
    for number in (0, 1, 2):
        slots = [{"size": 100, "claims": {"gref": NOWHERE}} if at == number else 100 for at in range(3)]
        yield f"slot {number} not granted", odd(peer, 300), slots, (), 0
    yield "UDP, checksum said to be right", udp(peer), None, (), VALIDATED
    for six in (False, True):
        kind = "IPv6" if six else "IPv4"
        yield f"UDP over {kind}, blank checksum", udp(peer, six=six, blank=True), None, (), BLANK | VALIDATED
        yield f"TCP over {kind}, blank checksum", tcp(peer, 500, six), None, (), BLANK | VALIDATED
        yield f"TSO over {kind}", tcp(peer, six=six), None, [gso(SEGMENT, 2 if six else 1)], BLANK | VALIDATED
        yield (f"TSO over {kind} with a whole checksum", tcp(peer, six=six, blank=False), None,
               [gso(SEGMENT, 2 if six else 1)], VALIDATED)
    yield "TSO with a hash", tcp(peer), None, [gso(SEGMENT), hash_value(7, 1)], BLANK | VALIDATED
    yield "TSO, the extras the other way round", tcp(peer), None, [hash_value(7, 1), gso(SEGMENT)], BLANK | VALIDATED
    yield "TSO of the other family", tcp(peer), None, [gso(SEGMENT, 2)], BLANK | VALIDATED
    yield "TSO of a UDP packet", udp(peer, 5000), None, [gso(SEGMENT)], BLANK | VALIDATED
    yield "TSO in segments of 1 byte", tcp(peer, 3000), None, [gso(1)], BLANK | VALIDATED
    yield "two GSO extras", tcp(peer), None, [gso(SEGMENT), gso(1000)], BLANK | VALIDATED
    yield "a hash", udp(peer), None, [hash_value(7, 0)], 0
    yield "a hash of an unknown kind", udp(peer), None, [hash_value(7, 9, 9)], 0
    yield "an XDP extra", udp(peer), None, [extra(XDP)], 0
    yield "UDP behind a VLAN tag", tagged(udp(peer)), None, (), 0
    yield "UDP behind a VLAN tag, blank checksum", tagged(udp(peer, blank=True)), None, (), BLANK | VALIDATED
    yield "ICMP, blank checksum", ipv4(peer, 1), None, (), BLANK | VALIDATED
    yield "SCTP, blank checksum", ipv4(peer, 132), None, (), BLANK | VALIDATED
    yield "a fragment, blank checksum", ipv4(peer, 17, 0x2000), None, (), BLANK | VALIDATED
    yield "no IP, blank checksum", odd(peer, 100), None, (), BLANK | VALIDATED


def fatal(peer):
    """The same of what the backend takes for malice."""
    for slots in (22, 23, 40):
        yield f"{slots} slots", odd(peer, 60 + 30 * (slots - 1)), pieces(60, slots - 1, 30), (), 0
    for size, at in ((100, 4090), (4096, 1), (1, 4096), (60, 65535)):
        slots = [{"size": size, "claims": {"offset": at}}]
        yield f"{size} bytes at {at}", odd(peer, max(size, 14))[:size], slots, (), 0
    yield "a later slot over its page", odd(peer, 200), [100, {"size": 100, "claims": {"offset": 4090}}], (), 0
    yield "a slot is missing", odd(peer, 100), [{"size": 100, "claims": {"flags": MORE_DATA}}], (), 0
    yield "an extra is missing", odd(peer, 100), [{"size": 100, "claims": {"flags": EXTRA}}], (), 0
    for kind in (NO_EXTRA, UNKNOWN, 255):
        yield f"an extra of type {kind}", odd(peer, 100), None, [extra(kind)], 0
    for size, kind in ((0, 1), (SEGMENT, 0), (SEGMENT, 3)):
        yield f"GSO of type {kind}, size {size}", tcp(peer), None, [gso(size, kind)], BLANK | VALIDATED


def arrived(sent, seen):
    """What the host got."""
    if not seen:
        return "nothing"
    return ", ".join(
        ("whole" if one.data == sent else f"{len(one.data)} bytes of {len(sent)}") + (" blank" if one.blank else "")
        + (" validated" if one.validated else "") + (f" GSO {one.gso}" if one.gso else "") for one in seen)


def from_guest(r):
    """What becomes of the guest's packets."""
    with Peer(tolerant=True) as peer, Wire(peer.name) as wire:
        peer.connect()
        last = odd(peer, 77)
        for name, frame, slots, extras, flags in harmless(peer):
            r.step(f"from the guest, {name}")
            r.put("statuses", peer.send(0, frame, slots, extras, flags, seconds=2))
            peer.send(0, last)
            seen = []
            while not seen or seen[-1].data != last:
                more = wire.receive()
                if not more:
                    raise Failed("the packet after it arrives", name)
                seen += more
            r.put("arrives", arrived(frame, seen[:-1]))
        r.step("multicast")
        for number in range(3):
            r.put(f"add {number}", peer.multicast_add(f"01:00:5e:00:00:{number:02x}"))
        r.put("add again", peer.multicast_add("01:00:5e:00:00:01"))
        r.put("add what is no multicast address", peer.multicast_add("00:16:3e:00:00:01"))
        r.put("delete", peer.multicast_delete("01:00:5e:00:00:01"))
        r.put("delete what is not there", peer.multicast_delete("01:00:5e:00:00:99"))
    with Peer(tolerant=True) as peer:
        names = [name for name, *_ in fatal(peer)]
    for number, name in zip(range(len(names)), names):
        with Peer(tolerant=True) as peer, Wire(peer.name) as wire:
            peer.connect()
            _, frame, slots, extras, flags = list(fatal(peer))[number]
            r.step(f"from the guest, {name}")
            r.put("statuses", peer.send(0, frame, slots, extras, flags, seconds=0.5))
            r.put("the next packet", peer.send(0, odd(peer, 77), seconds=0.5))
            r.put("arrives", arrived(frame, wire.receive(seconds=0.2)))
            r.put("carrier", "up" if peer.carrier() else "down")
            r.put("state", peer.backend_state())
            r.put("error", "reported" if peer.error() else "none")
            peer.set_state(6)
            peer.wait(6)
            peer.call("release")
            peer.set_state(1)
            peer.wait(2)
            peer.connect(up=False)
            peer.up()
            r.put("after a new connection", peer.send(0, odd(peer, 77), seconds=0.5))


def to_guest(r, what, keys=(), headroom=0, hashing=False):
    """What the guest sees of the host's packets."""
    with Peer(keys=keys, control=hashing, tolerant=True) as peer, Wire(peer.name) as wire:
        peer.connect()
        if headroom:
            peer.headroom(headroom)
        if hashing:
            for request in ((7, 1), (2, 15)):
                peer.control(*request)
            peer.control(3, 0, 40, 0, page=bytes(range(40)))
        peer.post()
        if headroom:
            peer.settle(wire)
        macs, addresses = (HOST_MAC, peer.mac), (HOST, GUEST)
        macs6 = (HOST6, GUEST6)
        frames_ = {
            "60 bytes": (frames.ethernet(peer.mac, HOST_MAC, ODD, bytes(46)), None),
            "14 bytes": (frames.ethernet(peer.mac, HOST_MAC, ODD), None),
            "1514 bytes": (frames.ethernet(peer.mac, HOST_MAC, ODD, bytes(1500)), None),
            "UDP": (frames.udp(macs, addresses, (9, 9), b"u" * 100), None),
            "UDP behind a VLAN tag": (tagged(frames.udp(macs, addresses, (9, 9), b"u" * 100)), None),
            "TCP over IPv4": (frames.tcp(macs, addresses, (9, 9), b"t" * 100), None),
            "TCP over IPv6": (frames.tcp(macs, macs6, (9, 9), b"t" * 100), None),
            "UDP over IPv4, blank checksum": (frames.udp(macs, addresses, (9, 9), b"u" * 100, True), None),
            "UDP over IPv6, blank checksum": (frames.udp(macs, macs6, (9, 9), b"u" * 100, True), None),
            "TSO over IPv4": (frames.tcp(macs, addresses, (9, 9), b"t" * 6000, True), (SEGMENT, 1)),
            "TSO over IPv6": (frames.tcp(macs, macs6, (9, 9), b"t" * 6000, True), (SEGMENT, 2)),
            "TSO of 64 KiB": (frames.tcp(macs, addresses, (9, 9), b"t" * (65535 - 54), True), (SEGMENT, 1)),
            "multicast": (frames.ethernet("01:00:5e:00:00:05", HOST_MAC, ODD, bytes(60)), None),
            "broadcast": (frames.ethernet("ff:ff:ff:ff:ff:ff", HOST_MAC, ODD, bytes(60)), None),
            "another's address": (frames.ethernet("00:16:3e:99:99:99", HOST_MAC, ODD, bytes(60)), None),
        }
        last = frames.ethernet(peer.mac, HOST_MAC, ODD, b"last" * 20)
        for name, (frame, offload) in frames_.items():
            r.step(f"to the guest, {what}, {name}")
            wire.send(frame, offload, frames.blank_at(frame) if "blank" in name or offload else None)
            wire.send(last)
            seen = []
            while not seen or seen[-1].data != last:
                more = peer.receive()
                if not more:
                    raise Failed("the packet after it arrives", f"{what}, {name}")
                seen += more
            r.put("packets", len(seen) - 1)
            for number, packet in zip(range(8), seen[:-1]):
                r.put(f"{number}", f"{'whole' if packet.data == frame else len(packet.data)} slots {packet.slots} "
                      f"pieces {packet.pieces} {'blank ' if packet.blank else ''}"
                      f"{'validated ' if packet.validated else ''}GSO {packet.gso} hash {packet.hash} "
                      f"headroom {packet.headroom}")


def record(r):
    from_guest(r)
    to_guest(r, "all features")
    to_guest(r, "no scatter-gather", {"feature-sg": None})
    to_guest(r, "no GSO", {"feature-gso-tcpv4": None, "feature-gso-tcpv6": None})
    to_guest(r, "no checksums", {"feature-no-csum-offload": 1, "feature-ipv6-csum-offload": None})
    to_guest(r, "hashing", hashing=True)
