# SPDX-License-Identifier: GPL-2.0
"""What the kernel tells by netlink: the queues of network devices, and events of devices."""

import os
import socket
import struct

_HEADER = struct.Struct("=IHHII")
_GENERIC = struct.Struct("=BBH")
_NETLINK_KOBJECT_UEVENT, _NETLINK_GENERIC = 15, 16
_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
_CTRL, _CTRL_GETFAMILY, _CTRL_NAME, _CTRL_ID = 16, 3, 2, 1

# linux/include/uapi/linux/netdev.h: commands and attributes of the family "netdev".
_PAGE_POOL_GET, _PAGE_POOL_STATS_GET, _QUEUE_GET, _NAPI_GET, _QSTATS_GET = 5, 9, 10, 11, 12
_PAGE_POOL = {1: "id", 2: "ifindex", 3: "napi-id", 4: "inflight", 5: "inflight-mem"}
_PAGE_POOL_STATS = {1: "info", 8: "alloc-fast", 9: "alloc-slow", 12: "alloc-refill", 14: "recycle-cached",
                    16: "recycle-ring"}
_QUEUE = {1: "id", 2: "ifindex", 3: "type", 4: "napi-id"}
_NAPI = {1: "ifindex", 2: "id", 3: "irq"}
_QSTATS = {1: "ifindex", 2: "type", 3: "id", 8: "rx-packets", 9: "rx-bytes", 10: "tx-packets", 11: "tx-bytes",
           12: "rx-alloc-fail", 13: "rx-hw-drops", 24: "tx-hw-drops"}
_SCOPE_OF_QSTATS, _SCOPE_QUEUE = 4, 1
TYPES = ("rx", "tx")


def _attribute(kind, value):
    size = 4 + len(value)
    return struct.pack("=HH", size, kind) + value + bytes(-size % 4)


def _attributes(data):
    found = {}
    while len(data) >= 4:
        size, kind = struct.unpack_from("=HH", data)
        found[kind & 0x3fff] = data[4:size]
        data = data[(size + 3) & ~3:]
    return found


def _numbers(data, names):
    """The attributes that have names, as numbers."""
    return {names[kind]: int.from_bytes(value, "little") for kind, value in _attributes(data).items() if kind in names}


class _Generic:
    """A socket to a family of generic netlink."""

    def __init__(self, family):
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC)
        self._socket.settimeout(5)
        self._family = _CTRL
        (answer,) = self.ask(_CTRL_GETFAMILY, _attribute(_CTRL_NAME, family.encode() + b"\0"), dump=False)
        self._family = int.from_bytes(_attributes(answer)[_CTRL_ID], "little")

    def ask(self, command, attributes=b"", dump=True):
        """The attributes of each message of the answer, as bytes."""
        body = _GENERIC.pack(command, 1, 0) + attributes
        flags = _REQUEST | (_DUMP if dump else 0)
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), self._family, flags, 1, 0) + body)
        found = []
        while True:
            data = self._socket.recv(65536)
            while data:
                size, kind, _, _, _ = _HEADER.unpack_from(data)
                message, data = data[_HEADER.size:size], data[(size + 3) & ~3:]
                if kind == _ERROR:
                    error = -int.from_bytes(message[:4], "little", signed=True)
                    raise OSError(error, os.strerror(error))
                if kind == _DONE:
                    return found
                found.append(message[_GENERIC.size:])
            if not dump:
                return found


def _dump(command, names, interface, attributes=b""):
    index = socket.if_nametoindex(interface)
    family = _Generic("netdev")
    ifindex = next(kind for kind, name in names.items() if name == "ifindex")
    asked = _attribute(ifindex, struct.pack("=I", index)) + attributes
    return [numbers for numbers in (_numbers(one, names) for one in family.ask(command, asked))
            if numbers.get("ifindex") == index]


def queues(interface):
    """The queues of an interface that is up: [{"id", "type", "napi-id" if one polls it}]."""
    return _dump(_QUEUE_GET, _QUEUE, interface)


def napis(interface):
    """The NAPI instances of an interface that is up: [{"id", "irq" if known}]."""
    return _dump(_NAPI_GET, _NAPI, interface)


def statistics(interface):
    """The statistics of the whole interface."""
    (found,) = _dump(_QSTATS_GET, _QSTATS, interface)
    return found


def queue_statistics(interface):
    """The statistics of the queues in use: {(type, id): {name: number}}."""
    scope = _attribute(_SCOPE_OF_QSTATS, struct.pack("=I", _SCOPE_QUEUE))
    return {(TYPES[one["type"]], one["id"]): one for one in _dump(_QSTATS_GET, _QSTATS, interface, scope)}


def all_page_pools():
    """The page pools of all interfaces, and of those that are gone."""
    return [_numbers(data, _PAGE_POOL) for data in _Generic("netdev").ask(_PAGE_POOL_GET)]


def page_pools(interface):
    """The page pools of an interface, with their statistics."""
    index = socket.if_nametoindex(interface)
    family = _Generic("netdev")
    pools = {one["id"]: one for one in all_page_pools() if one.get("ifindex") == index}
    for data in family.ask(_PAGE_POOL_STATS_GET):
        pool = pools.get(_numbers(_attributes(data)[1], _PAGE_POOL)["id"])
        if pool is not None:
            pool.update({name: value for name, value in _numbers(data, _PAGE_POOL_STATS).items() if name != "info"})
    return list(pools.values())


class Uevents:
    """The kernel's events about devices, from when it is made."""

    _GROUP_KERNEL = 1

    def __init__(self):
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_KOBJECT_UEVENT)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind((0, self._GROUP_KERNEL))
        # A device has left its bus some time before it says so: the kernel waits for readers of the interface.
        self._socket.settimeout(2)

    def take(self):
        """The events since the last call, up to where no more come: [(action, path, {variable: value})]."""
        found = []
        while True:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                return found
            words = data.decode(errors="replace").split("\0")
            action, _, path = words[0].partition("@")
            found.append((action, path, dict(word.split("=", 1) for word in words[1:] if "=" in word)))

    def seen(self, device):
        """The variables of each event since the last call whose device path ends with `device`."""
        return [variables for _, _, variables in self.take() if variables.get("DEVPATH", "").endswith(device)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()
