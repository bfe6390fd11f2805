# SPDX-License-Identifier: GPL-2.0
"""Frames of many kinds, sent by a host as they are, and what arrives of them."""

import struct
from dataclasses import dataclass, replace

from .checks import Failed, run, wait_for
from .frames import checksum

SOURCE = bytes.fromhex("020000000001")
_TO = bytes.fromhex("0200000001")  # And the number of the frame.
_END = 0x88b6

TCP, UDP = 6, 17
VLAN, SERVICE_VLAN = 0x8100, 0x88a8
_NEEDS_CHECKSUM = 1
_GSO = {False: 1, True: 4}  # TCP over IPv4 and IPv6, as struct virtio_net_hdr has it.
_SAID = struct.Struct("<BBHHHH")


def _put(data, at, value):
    return data[:at] + struct.pack("!H", value) + data[at + 2:]


@dataclass(frozen=True)
class Kind:
    """What a frame is made of."""

    name: str
    ethertype: int = 0  # Of what is no IP: `size` bytes of payload, and nothing below counts but tags.
    v6: bool = False
    protocol: int = UDP
    size: int = 100
    tags: tuple = ()
    options: int = 0  # Bytes of options in the header of IPv4, a multiple of 4.
    fragment: int = 0x4000
    extensions: tuple = ()  # Of IPv6: (protocol, bytes), a multiple of 8.
    tcp_words: int = 5
    # What is said about it.
    blank: bool = False
    no_checksum: bool = False
    gso: int = 0

    @property
    def checksum_field(self):
        """Where the checksum is in the transport header."""
        return 16 if self.protocol == TCP or self.gso else 6

    def unfinished(self):
        """The same with the checksum left to the receiver."""
        return replace(self, name=f"{self.name}, checksum left out", blank=True)

    def uncut(self, size=350):
        """A packet of three segments, with `size` bytes each but the last, that the receiver has to cut."""
        return replace(self, name=f"{self.name}, to be cut", size=2 * size + 20, gso=size)

    def tagged(self, *tags):
        """The same behind VLAN tags."""
        shown = "+".join(f"{tag:x}" for tag in tags)
        return replace(self, name=f"{self.name} in {shown}", tags=tags)

    def transport_at(self):
        """Where the transport header starts."""
        network = 14 + 4 * len(self.tags)
        return network + (40 + sum(length for _, length in self.extensions) if self.v6 else 20 + self.options)

    def payload(self):
        """What the frame carries, which is another for every length."""
        return bytes((7 * i + self.size) % 251 for i in range(self.size))

    def build(self, number, payload, at=0, turn=0):
        """The bytes of the frame with a right checksum; `at` and `turn` are those of a segment."""
        link = _TO + bytes([number]) + SOURCE
        for place, tag in enumerate(self.tags):
            link += struct.pack("!HH", tag, 0x2000 + 100 * place + number)
        if self.ethertype:
            return link + struct.pack("!H", self.ethertype) + payload
        if self.protocol == TCP:
            header = struct.pack("!HHIIBBHHH", 1000 + number, 9, 5000 + at, 77, self.tcp_words << 4, 0x10, 500, 0, 0)
            header += b"\1" * (4 * self.tcp_words - 20)
        elif self.protocol == UDP:
            header = struct.pack("!HHHH", 1000 + number, 9, 8 + len(payload), 0)
        else:
            header = bytes(8)
        transport = header + payload
        if self.v6:
            addresses = bytes.fromhex("20010db8") + bytes(11) + b"\1" + bytes.fromhex("20010db8") + bytes(11) + b"\2"
        else:
            addresses = bytes([192, 0, 2, 1, 192, 0, 2, 2])
        if self.protocol in (TCP, UDP) and not self.no_checksum:
            pseudo = addresses + struct.pack("!HH", self.protocol, len(transport))
            right = checksum(pseudo + transport) or 0xffff
            transport = _put(transport, self.checksum_field, right)
        if not self.v6:
            words = 5 + self.options // 4
            ip = struct.pack("!BBHHHBBH", 0x40 | words, 0, 4 * words + len(transport), number + turn, self.fragment,
                             64, self.protocol, 0) + addresses + b"\1" * self.options
            ip = _put(ip, 10, checksum(ip))
            return link + b"\x08\x00" + ip + transport
        chain = [protocol for protocol, _ in self.extensions] + [self.protocol]
        between = b""
        for (protocol, length), following in zip(self.extensions, chain[1:]):
            # The second byte is the length; of a fragment header it is reserved, and more follow.
            between += bytes([following, length // 8 - 1 if protocol != 44 else 0, 0, 1 if protocol == 44 else 0])
            between += bytes(length - 4)
        ip = struct.pack("!IHBB", 0x60000000, len(between) + len(transport), chain[0], 64) + addresses
        return link + b"\x86\xdd" + ip + between + transport

    def whole(self, number):
        """The frame with a right checksum."""
        return self.build(number, self.payload())

    def segments(self, number):
        """The frames that a receiver without segmentation gets."""
        if not self.gso:
            return [self.whole(number)]
        payload = self.payload()
        return [self.build(number, payload[at:at + self.gso], at, turn)
                for turn, at in enumerate(range(0, len(payload), self.gso))]

    def said(self):
        """What is said about it: whether it needs a checksum, and to be cut as what into which size, or zeros."""
        return bool(self.blank or self.gso), _GSO[self.v6] if self.gso else 0, self.gso

    def line(self, number, sent_as=None):
        """The input of `frames send` for it, perhaps as another protocol than it is."""
        data, said = self.whole(number), bytes(_SAID.size)
        blank, kind, size = self.said()
        if blank:
            start, field = self.transport_at(), self.checksum_field
            length = len(data) - start
            network = start - (32 if self.v6 else 8) - self.options - sum(length for _, length in self.extensions)
            addresses = data[network:network + (32 if self.v6 else 8)]
            data = _put(data, start + field, ~checksum(addresses + struct.pack("!HH", self.protocol, length)) & 0xffff)
            headers = start + (4 * self.tcp_words if self.protocol == TCP else 8)
            said = _SAID.pack(_NEEDS_CHECKSUM, kind, max(headers, start + field + 2), size, start, field)
        protocol = sent_as or struct.unpack_from("!H", data, 12)[0]
        return f"{protocol:04x} {said.hex()} {data.hex()}\n"


@dataclass(frozen=True)
class Caught:
    """A frame that has arrived, with an announced checksum put in."""

    data: bytes
    said: tuple  # As in `Kind.said`.

    @classmethod
    def parse(cls, line):
        """Reads a line of `frames catch`."""
        said, tag, data = line.split()
        flags, kind, _, size, start, field = _SAID.unpack(bytes.fromhex(said))
        data = bytes.fromhex(data)
        if flags & _NEEDS_CHECKSUM:
            data = _put(data, start + field, checksum(data[start:]) or 0xffff)
        if tag != "-":
            data = data[:12] + bytes.fromhex(tag) + data[12:]
        return cls(data, (bool(flags & _NEEDS_CHECKSUM), kind, size))

    @property
    def number(self):
        """The number of the frame that it came from."""
        return self.data[5]


class Side:
    """An interface, in dom0 or in a guest, where frames are sent and caught."""

    def __init__(self, interface, guest=None):
        self._interface = interface
        self._shell = (lambda command: guest.run(command, limit=60)) if guest else (
            lambda command: run("sh", "-c", command))
        self._program = "frames" if guest else "/mnt/guest/frames"

    def send(self, lines):
        """Sends frames, in order."""
        try:
            self._shell(f"{self._program} send {self._interface} <<'END'\n{''.join(lines)}END\n")
        except Failed as failed:
            # The name would be the whole command.
            raise Failed(f"frames are sent on {self._interface}", failed.detail) from None

    def catch(self):
        """Starts to watch."""
        self._shell(f"{self._program} catch {self._interface} {SOURCE.hex()} >/tmp/caught 2>&1")

    def caught(self):
        """The frames that came until the last one."""
        wait_for(f"the last frame on {self._interface}", 20, lambda: "end" in self._shell("tail -n 1 /tmp/caught"))
        caught = [Caught.parse(line) for line in self._shell("cat /tmp/caught").splitlines()[:-1]]
        # A host says things of its own, perhaps from the same address.
        return [frame for frame in caught if frame.data.startswith(_TO)]


def exchange(sender, receiver, kinds, sent_as=lambda kind: None):
    """Sends a frame of every kind; returns for each the frames that arrived."""
    receiver.catch()
    sender.send([kind.line(number, sent_as(kind)) for number, kind in enumerate(kinds)])
    # By itself, since segments may be held back for a moment, to be merged with the next of their stream.
    sender.send([Kind("end", ethertype=_END).line(255)])
    caught = receiver.caught()
    return [[frame for frame in caught if frame.number == number] for number in range(len(kinds))]
