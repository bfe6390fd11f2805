# SPDX-License-Identifier: GPL-2.0
"""Memory of the kernel that nothing refers to any more, if the kernel looks for it (debug kernel)."""

import time
from pathlib import Path

_FILE = Path("/sys/kernel/debug/kmemleak")
_AGE = 5.5  # Seconds; younger objects are not taken for lost.


def exists():
    """Whether this kernel looks for lost memory."""
    return _FILE.exists()


def _scan():
    for _ in range(2):  # What moved during the first scan is found by the second.
        _FILE.write_text("scan")
    return _FILE.read_text()


def begin():
    """What was lost before is not the driver's."""
    _scan()
    _FILE.write_text("clear")


def check(t):
    """Checks that nothing was lost since `begin`. All that is in use is referred to."""
    time.sleep(_AGE)
    lost = _scan()
    t.check("kmemleak is silent", not lost, lost)
