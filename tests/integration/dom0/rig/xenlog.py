# SPDX-License-Identifier: GPL-2.0
"""What the backend drivers write into xenstore, in order, and when they have done it all."""

import functools
import re
import time
from pathlib import Path

from . import xenstore
from .checks import Failed, run

_LOG = Path("/run/xenstored-trace.log")
# The kernel names nodes relative to its domain; the tools, and the rig, name them from the root.
_WRITTEN = re.compile(r"^io: IN .* (WRITE|RM) \(((?:error/)?backend/vif/[^ ]+) ?(.*)\)$", re.M)
_MEMORY = Path("/sys/devices/system/xen_memory/xen_memory0")
_PAGE = 4


def _target():
    """The size that dom0's memory is to have, in KiB."""
    return int((_MEMORY / "target_kb").read_text())


@functools.cache
def _begun_with():
    return _target()


def settle(rounds=2):
    """Waits until the kernel has handled every change of xenstore up to now, and what these led to.

    One thread of the kernel handles all changes, in order. So when it has taken a new size of dom0's
    memory, one page less or more, it has handled everything before. What handling a change led to comes
    after that, so there are a few `rounds`."""
    for _ in range(rounds):
        # Away from what dom0 began with, or back. A kernel that gave pages away for those of guests, which it has
        # mapped, has less than its target; it takes none in between.
        has = int((_MEMORY / "info/current_kb").read_text())
        wanted = has - _PAGE if _target() == _begun_with() else _begun_with()
        xenstore.write("/local/domain/0/memory/target", wanted)
        end = time.monotonic() + 30
        while _target() != wanted:
            if time.monotonic() > end:
                raise Failed("the kernel handles changes of xenstore", "not within 30 s")
            time.sleep(0.002)


class Writes:
    """What the kernel's backends write below `backend/vif`, from now on, as xenstored tells."""

    def __init__(self):
        run("xenstore-control", "logfile", _LOG)
        run("xenstore-control", "log", "+io")
        run("xenstore-control", "log", "on")
        self._seen = _LOG.stat().st_size

    def take(self):
        """Waits until the kernel is done, and returns what it wrote since the last call:
        [(node below backend/vif, value, or None where it was removed)]. Errors are in nodes that
        begin with `error/`."""
        settle()
        with open(_LOG, errors="replace") as log:
            log.seek(self._seen)
            new = log.read()
            self._seen = log.tell()
        return [(node.replace("backend/vif/", "", 1), value.rstrip() if kind == "WRITE" else None)
                for kind, node, value in _WRITTEN.findall(new)]
