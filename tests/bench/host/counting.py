# SPDX-License-Identifier: GPL-2.0
"""The instructions that the machine executes, which do not depend on how fast it does: counted by a plugin of
QEMU (instructions.c) for the hypervisor, kernels, their modules and user space."""

import base64
import bisect
import collections
import socket
import zlib
from pathlib import Path

_PLACES = ("Xen", "kernel", "module", "user")


class Instructions:
    """The counts of one boot, whose QEMU gets `options`."""

    def __init__(self, folder):
        self._path = f"{folder}/instructions"
        self.options = ["-plugin", f"/xnb/cache/run/instructions.so,socket={self._path}"]
        self._client = None
        self._begin = ()

    def _ask(self, request):
        if self._client is None:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(self._path)
            self._client = connection.makefile("rwb")
        self._client.write(request)
        self._client.flush()
        lines = []
        while line := self._client.readline().strip():
            lines.append(line.decode())
        return lines

    def _totals(self):
        (line,) = self._ask(b"t")
        return tuple(map(int, line.split()))

    def begin(self):
        """What is counted begins here."""
        self._begin = self._totals()

    def end(self, work, unit):
        """The instructions since `begin` for each of `work`, a number of `unit`."""
        counts = [now - then for now, then in zip(self._totals(), self._begin)]
        figures = {f"{place} instructions/{unit}": count / work for place, count in zip(_PLACES, counts)}
        figures[f"instructions/{unit}"] = sum(counts) / work
        return figures

    def blocks(self):
        """[(address, number)]: what each block of code has executed since the last call."""
        return [(int(address, 16), int(count)) for address, count in (line.split() for line in self._ask(b"b"))]


class Profile:
    """Where the instructions were executed: a file for each measurement, functions with the most first."""

    def __init__(self, folder):
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._names, self._addresses = [], []

    def symbols(self, text):
        """Takes dom0's /proc/kallsyms."""
        found = []
        for line in zlib.decompress(base64.b64decode(text)).decode().splitlines():
            address, kind, name = line.split(maxsplit=2)
            if kind in "tTwW":
                found.append((int(address, 16), name.replace("\t", " ")))
        found.sort()
        self._addresses = [address for address, _ in found]
        self._names = [name for _, name in found]

    def _name(self, address):
        if address >> 47 == 0:
            return "user space"
        if address < 0xffff880000000000:
            return f"Xen {address & ~0xfff:x}"
        at = bisect.bisect_right(self._addresses, address) - 1
        return self._names[at] if at >= 0 else hex(address)

    def save(self, blocks, title):
        """Writes where the instructions in `blocks` were executed."""
        counts = collections.Counter()
        for address, count in blocks:
            counts[self._name(address)] += count
        total = counts.total()
        (self._folder / title).write_text("".join(
            f"{count / total:7.2%} {count:12} {name}\n" for name, count in counts.most_common(150)))
