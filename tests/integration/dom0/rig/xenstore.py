# SPDX-License-Identifier: GPL-2.0
"""xenstore, through xenstored's own socket."""

import socket
import struct

_DIRECTORY, _READ, _WRITE, _MKDIR, _RM, _SET_PERMS, _ERROR = 1, 2, 11, 12, 13, 14, 16
_HEADER = struct.Struct("=IIII")


class XenstoreError(OSError):
    """xenstored refused; the text is the name of its errno."""


class _Client:
    def __init__(self):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        self._socket.connect("/run/xenstored/socket")

    def request(self, kind, body):
        self._socket.sendall(_HEADER.pack(kind, 0, 0, len(body)) + body)
        answer, _, _, size = _HEADER.unpack(self._receive(_HEADER.size))
        payload = self._receive(size)
        if answer == _ERROR:
            raise XenstoreError(payload.rstrip(b"\0").decode())
        return payload

    def _receive(self, size):
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise XenstoreError("xenstored closed the connection")
            data += piece
        return data


_shared = None


def _request(kind, path, rest=b""):
    global _shared
    if _shared is None:
        _shared = _Client()
    return _shared.request(kind, path.encode() + b"\0" + rest)


def read(path, default=None):
    """The value of a node as text; `default` when it does not exist."""
    try:
        return _request(_READ, path).decode(errors="replace")
    except XenstoreError as error:
        if str(error) == "ENOENT":
            return default
        raise


def write(path, value):
    """Writes a node; makes it, and those above it, where they are missing."""
    value = value if isinstance(value, bytes) else str(value).encode()
    _request(_WRITE, path, value)


def remove(path):
    """Removes a node and everything below it; nothing happens when it does not exist."""
    try:
        _request(_RM, path)
    except XenstoreError as error:
        if str(error) != "ENOENT":
            raise


def children(path):
    """The names of the nodes below a node."""
    try:
        return [name for name in _request(_DIRECTORY, path).decode().split("\0") if name]
    except XenstoreError as error:
        if str(error) == "ENOENT":
            return []
        raise


def tree(path):
    """Everything below a node, as {path relative to it: value}."""
    found = {}
    for name in children(path):
        found[name] = read(f"{path}/{name}", "")
        found.update({f"{name}/{below}": value for below, value in tree(f"{path}/{name}").items()})
    return found
