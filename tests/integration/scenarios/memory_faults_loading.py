# SPDX-License-Identifier: GPL-2.0
"""Every allocation of the module's start fails once: it is loaded and works, or it is not there at all.

Fails when the folder in debugfs is not taken away again (`ManuallyDrop` around that of `Module`), in the list of
what is there and by what kmemleak finds."""

import ctypes
import os
from pathlib import Path

from rig import driver, faults, kmemleak, leftovers
from rig.neighbour import served
from rig.peer import Peer

LIMIT = 300
ONLY_WITH = "rust"
KERNEL = "debug"
EXPECTED_MESSAGES = faults.MESSAGES
_SYS_FINIT_MODULE = 313
DEBUGFS = Path("/sys/kernel/debug")


def load():
    """Loads the module in this task; returns the error, or 0."""
    libc = ctypes.CDLL(None, use_errno=True)
    file = os.open(driver.RUST_FILE, os.O_RDONLY)
    try:
        return ctypes.get_errno() if libc.syscall(_SYS_FINIT_MODULE, file, b"", 0) else 0
    finally:
        os.close(file)


def works():
    """Packets go both ways; an error tells what is wrong."""
    with Peer() as peer:
        peer.connect()
        return served(peer)


def run(t):
    for other in ("c", "rust"):
        driver.unload(other)
    faults.loading_only()
    refused = 0
    with faults.hurried(), leftovers.none(t, "modules that were not loaded"):
        for fault in faults.each_here():
            with fault:
                error = load()
            name = f"loading, allocation {fault.nth}: " + (os.strerror(error) if error else "loaded")
            folders = [folder.name for folder in DEBUGFS.glob("xen-netback*")]
            t.check(name, driver.loaded("rust") == (not error) and not (error and folders), f"{error}, {folders}")
            if error:
                refused += 1
            else:
                t.equal("what is wrong", works(), "")
                driver.unload("rust")
    t.at_least("failed allocations that it was not loaded with", refused, 5)
    kmemleak.check(t)
