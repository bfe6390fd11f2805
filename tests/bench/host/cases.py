# SPDX-License-Identifier: GPL-2.0
"""The matrix: which cases there are, and the machines on which they run.

A case is named PATH/LOAD/SHAPE. The shape is that of the machine: pv1, pv2 and pv4 are a PV dom0 with so many
virtual processors, pvh a PVH driver domain; -q4 means four queues instead of one, -v8 eight interfaces for each
guest instead of one.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase

PATHS = ("from-guest", "to-guest", "guests", "routed")
LOADS = ("bulk", "mtu", "small", "rr", "loaded")
# Before all others: without traffic.
_EXTRA = ("queues/memory", "ceiling/copy")
_DOM0S = {"pv1": 1, "pv2": 2, "pv4": 4}
_DRIVER_DOMAIN_VCPUS = 2

# What is measured unless everything is asked for: the cells that decide, each shape with what it is there for.
_CORE = [f"{path}/bulk" for path in PATHS] + ["from-guest/small", "to-guest/small", "from-guest/loaded"]
_DEFAULT = {
    "pv1": [*_CORE, "from-guest/mtu", "to-guest/mtu", "from-guest/rr", "ceiling/copy"],
    "pv2": [*_CORE, "to-guest/loaded"],
    "pv2-v8": ["from-guest/bulk", "to-guest/bulk"],
    "pv4-q4": ["queues/memory", *_CORE],
    "pvh": [*_CORE, "ceiling/copy"],
}


@dataclass(frozen=True)
class Shape:
    """A machine: who has the backends, with how many processors, and how many queues and interfaces."""

    name: str

    @property
    def _words(self):
        return self.name.split("-")

    @property
    def backend(self):
        """"dom0" or "domain"."""
        return "dom0" if self._words[0] in _DOM0S else "domain"

    @property
    def vcpus(self):
        """Processors of the domain with the backends."""
        return _DOM0S.get(self._words[0], _DRIVER_DOMAIN_VCPUS)

    @property
    def dom0_vcpus(self):
        """Processors of dom0."""
        return _DOM0S.get(self._words[0], 1)

    @property
    def queues(self):
        """Queues of each interface."""
        return 4 if "q4" in self._words else 1

    @property
    def vifs(self):
        """Interfaces of each guest."""
        return 8 if "v8" in self._words else 1


def _everything():
    found = {}
    for machine in (*_DOM0S, "pvh"):
        for queues in ("", "-q4"):
            for vifs in ("", "-v8"):
                found[machine + queues + vifs] = [*_EXTRA, *(f"{path}/{load}" for path in PATHS for load in LOADS)]
    return found


def choose(patterns, everything=False):
    """The cases that match one of the patterns, or of the default without any: [(shape, [(path, load)])]."""
    chosen = []
    for name, cases in (_everything() if everything or patterns else _DEFAULT).items():
        wanted = [tuple(case.split("/")) for case in cases
                  if not patterns or any(fnmatchcase(f"{case}/{name}", pattern) for pattern in patterns)]
        if wanted:
            chosen.append((Shape(name), wanted))
    return chosen
