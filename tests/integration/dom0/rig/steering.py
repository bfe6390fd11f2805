# SPDX-License-Identifier: GPL-2.0
"""Steering by the guest: the requests of the control ring, and what they should come to."""

import struct

GET_FLAGS, SET_FLAGS, SET_KEY, GET_MAPPING_SIZE, SET_MAPPING_SIZE, SET_MAPPING, SET_ALGORITHM = range(1, 8)
SUCCESS, NOT_SUPPORTED, INVALID = 0, 1, 2
NONE, TOEPLITZ = 0, 1
IPV4, IPV4_TCP, IPV6, IPV6_TCP = range(4)
ALL = 0xF
MAX_KEY, MAX_MAPPING = 40, 128

# The key of the published verification suite for receive side scaling.
KEY = bytes.fromhex("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")


def toeplitz(key, data):
    """The hash of some bytes, bit by bit."""
    key = int.from_bytes(key.ljust(MAX_KEY, b"\0"), "big")
    value = 0
    for bit in range(8 * len(data)):
        if data[bit // 8] << bit % 8 & 0x80:
            value ^= key >> (8 * MAX_KEY - 32 - bit) & 0xFFFFFFFF
    return value


def entries(queues):
    """The bytes of entries of a mapping."""
    return struct.pack(f"={len(queues)}I", *queues)


def configure(peer, key=KEY, flags=ALL, mapping=()):
    """Configures everything, as a guest does; returns the statuses that are not success."""
    asked = [peer.control(SET_ALGORITHM, TOEPLITZ), peer.control(SET_FLAGS, flags),
             peer.control(SET_KEY, 0, len(key), page=key), peer.control(SET_MAPPING_SIZE, len(mapping))]
    if mapping:
        asked.append(peer.control(SET_MAPPING, 0, len(mapping), 0, page=entries(mapping)))
    return [status for status, _ in asked if status != SUCCESS]


def text(key, flags, mapping):
    """What debugfs shows of a configuration with the algorithm of Toeplitz."""
    kinds = [name for bit, name in enumerate(("IPv4", "IPv4 + TCP", "IPv6", "IPv6 + TCP")) if flags >> bit & 1]
    lines = ["Hash Algorithm: TOEPLITZ"]
    if kinds:
        lines += ["", "Hash Flags:"] + [f"- {kind}" for kind in kinds]
    lines += ["", "Hash Key:"]
    for at in range(0, MAX_KEY, 8):
        lines.append(f"[{at:2} - {at + 7:2}]: " + "".join(f"{byte:02x} " for byte in key[at:at + 8]))
    if mapping:
        lines += ["", "Hash Mapping:"]
    for at in range(0, len(mapping), 8):
        row = mapping[at:at + 8]
        lines.append(f"[{at:4} - {at + len(row) - 1:4}]: " + "".join(f"{queue:4} " for queue in row))
    return "\n".join(lines) + "\n"
