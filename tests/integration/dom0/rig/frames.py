# SPDX-License-Identifier: GPL-2.0
"""Ethernet frames, made by hand."""

import ipaddress
import struct

UDP, TCP = 17, 6
ETHERNET = 14


def checksum(data, start=0):
    """The Internet checksum of some bytes."""
    data = bytes(data) + b"\0" * (len(data) % 2)
    total = start + sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def mac(address):
    """The bytes of a MAC address."""
    return bytes.fromhex(address.replace(":", ""))


def ethernet(destination, source, protocol, payload=b""):
    """A frame; `protocol` is the EtherType."""
    return mac(destination) + mac(source) + struct.pack("!H", protocol) + payload


def _transport(source, destination, protocol, segment, at, blank):
    """Puts the checksum into a segment: the whole one, or that of the pseudo header."""
    pseudo = source.packed + destination.packed + struct.pack("!II", len(segment), protocol)
    value = ~checksum(pseudo) & 0xFFFF if blank else checksum(pseudo + segment) or 0xFFFF
    return segment[:at] + struct.pack("!H", value) + segment[at + 2:]


def _network(source, destination, protocol, segment):
    if source.version == 6:
        header = struct.pack("!IHBB", 6 << 28, len(segment) & 0xFFFF, protocol, 64)
        return 0x86DD, header + source.packed + destination.packed + segment
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment) & 0xFFFF, 1, 0x4000, 64, protocol, 0)
    header += source.packed + destination.packed
    return 0x0800, header[:10] + struct.pack("!H", checksum(header)) + header[12:] + segment


def udp(macs, addresses, ports, payload=b"", blank=False):
    """A UDP packet over IPv4 or IPv6. `macs`, `addresses` and `ports` are (source, destination); a
    `blank` checksum covers the pseudo header only."""
    source, destination = map(ipaddress.ip_address, addresses)
    segment = struct.pack("!HHHH", *ports, 8 + len(payload) & 0xFFFF, 0) + payload
    segment = _transport(source, destination, UDP, segment, 6, blank)
    protocol, packet = _network(source, destination, UDP, segment)
    return ethernet(macs[1], macs[0], protocol, packet)


def tcp(macs, addresses, ports, payload=b"", blank=False):
    """A TCP segment over IPv4 or IPv6, otherwise as `udp`."""
    source, destination = map(ipaddress.ip_address, addresses)
    segment = struct.pack("!HHIIBBHHH", *ports, 1, 1, 5 << 4, 0x18, 1024, 0, 0) + payload
    segment = _transport(source, destination, TCP, segment, 16, blank)
    protocol, packet = _network(source, destination, TCP, segment)
    return ethernet(macs[1], macs[0], protocol, packet)


def blank_at(frame):
    """Where the checksum of a frame from `udp` or `tcp` is: (start of the segment, offset in it)."""
    six = frame[12:14] == b"\x86\xdd"
    protocol = frame[ETHERNET + (6 if six else 9)]
    return ETHERNET + (40 if six else 20), {UDP: 6, TCP: 16}[protocol]
