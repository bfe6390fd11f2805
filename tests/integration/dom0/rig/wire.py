# SPDX-License-Identifier: GPL-2.0
"""The host's end of an interface: frames to it and from it, byte by byte."""

import select
import socket
import struct
import time
from dataclasses import dataclass

_SOL_PACKET, _PACKET_VNET_HDR = 263, 15
_ETH_P_ALL, _OUTGOING = 3, 4
_SO_RCVBUFFORCE = 33
_OFFLOAD = struct.Struct("=BBHHHH")
_NEEDS_CHECKSUM, _VALID = 1, 2
_GSO = {1: 1, 2: 4}  # virtio's numbers for TCP over IPv4 and IPv6, by netif's.


@dataclass
class Frame:
    """A frame that the host got from the guest."""

    data: bytes
    blank: bool      # Its checksum is that of the pseudo header.
    validated: bool  # Its checksum is known to be right.
    gso: tuple       # (payload of a segment, 1 for TCP over IPv4 or 2 over IPv6), or None.


class Wire:
    """A socket on an interface, open as long as this is."""

    def __init__(self, name):
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._socket.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 64 << 20)
        self._socket.bind((name, 0))
        # That the interface is still down is no error.
        self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def send(self, data, gso=None, blank=None):
        """Gives the interface a frame for the guest. `gso` is (payload of a segment, 1 or 2) as in
        `Frame`, with `blank`, which says where the checksum is (`frames.blank_at`)."""
        flags = _NEEDS_CHECKSUM if blank else 0
        size, kind = gso or (0, 0)
        start, offset = blank or (0, 0)
        self._socket.send(_OFFLOAD.pack(flags, _GSO.get(kind, 0), start, size, start, offset) + data)

    def receive(self, count=1, seconds=5, match=lambda frame: True):
        """Frames from the guest that `match`: `count` of them, or fewer when the time is over."""
        found = []
        end = time.monotonic() + seconds
        while len(found) < count:
            if not select.select([self._socket], [], [], max(0, end - time.monotonic()))[0]:
                break
            data, address = self._socket.recvfrom(1 << 17)
            if address[2] == _OUTGOING:
                continue
            flags, kind, _, size, _, _ = _OFFLOAD.unpack_from(data)
            kinds = [ours for ours, theirs in _GSO.items() if theirs == kind & 0x7F]
            frame = Frame(data[_OFFLOAD.size:], bool(flags & _NEEDS_CHECKSUM), bool(flags & _VALID),
                          (size, kinds[0]) if kinds else None)
            if match(frame):
                found.append(frame)
        return found

    def close(self):
        """Closes the socket."""
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
