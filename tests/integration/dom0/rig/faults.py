# SPDX-License-Identifier: GPL-2.0
"""Allocations of the driver that fail when a scenario wants it: the kernel's fault injection (debug kernel).

    driver_only()
    for fault in each(task("xenwatch")):
        with fault:
            ...                  # what the driver does in that task: here its next allocation fails
        ...                      # then the second, the third, until there is none left to fail

Only allocations below a function of the driver count, those of the kernel for the driver included. What the
debug kernel allocates to note them does not count.
"""

import contextlib
import os
import re
from pathlib import Path

from . import driver
from .checks import Failed

_DEBUGFS = Path("/sys/kernel/debug")
_KINDS = ("failslab", "fail_page_alloc")
_HURRY = Path("/sys/kernel/rcu_expedited")
_EVERYWHERE = (0, 2**64 - 1)
# What the kernel says of its own allocations for the driver.
MESSAGES = (r"^debugfs: ", r"^bus_add_driver: ", r"^kobject: ", r"^sysfs: ", r"[Ff]ailed to create a worker",
            r"^ref_tracker: ",
            # Of an interrupt, to whose folder the same had happened.
            r"^WARNING: fs/proc/generic\.c:\d+ at remove_proc_entry")
MOST = 2000  # Allocations of one task in one step; more means that the search does not end.


def task(name):
    """The number of the kernel thread with this name, a regular expression."""
    for file in Path("/proc").glob("[0-9]*/comm"):
        try:
            if re.fullmatch(name, file.read_text().strip()):
                return int(file.parent.name)
        except OSError:
            continue
    raise Failed(f"there is a thread {name}")


def _functions(pattern, module=""):
    """Where the first function begins and the last one ends whose name is like that, in the kernel or a module."""
    inside = {}
    for line in Path("/proc/kallsyms").read_text().splitlines():
        address, kind, name, *owner = line.split()
        if kind in "tT" and owner == ([f"[{module}]"] if module else []):
            inside.setdefault(int(address, 16), set()).add(name)
    found = [address for address, names in inside.items() if any(re.fullmatch(pattern, name) for name in names)]
    if not found:
        raise Failed(f"there is a function {pattern}")
    # The last one of all is in the pages that end after its start.
    return min(found), min((address for address in inside if address > max(found)), default=(max(found) | 0xfff) + 1)


def _below(start, end):
    """Lets only those allocations count which a function in this range has led to."""
    notes = _functions("kmemleak_(alloc|free|vmalloc).*")
    for kind in _KINDS:
        for name, value in (("ignore-gfp-wait", "N"), ("verbose", 0), ("stacktrace-depth", 32),
                            ("require-start", start), ("require-end", end),
                            ("reject-start", notes[0]), ("reject-end", notes[1])):
            (_DEBUGFS / kind / name).write_text(f"{value}")
    (_DEBUGFS / "fail_page_alloc/ignore-gfp-highmem").write_text("N")
    (_DEBUGFS / "fail_page_alloc/min-order").write_text("0")


def driver_only():
    """Lets the allocations of the loaded driver count."""
    _below(*_functions(".*", driver.module("rust")))


def loading_only():
    """Lets the allocations of modules' own start count, as that of the driver which is not loaded yet."""
    _below(*_functions("do_one_initcall"))


def anything():
    """Lets all allocations count."""
    _below(*_EVERYWHERE)


@contextlib.contextmanager
def hurried():
    """The kernel does not take its time for what it gives back: many devices come and go meanwhile."""
    _HURRY.write_text("1")
    try:
        yield
    finally:
        _HURRY.write_text("0")


class Fault:
    """The allocation number `nth` of a task, from when this is entered, fails. Once left, `injected` tells
    whether it came to that."""

    def __init__(self, pid, nth):
        self.nth = nth
        self.injected = None
        self._file = Path(f"/proc/{pid}/fail-nth")

    def __enter__(self):
        self._file.write_text(f"{self.nth}")
        return self

    def __exit__(self, *_):
        self.injected = int(self._file.read_text()) == 0
        self._file.write_text("0")


def each(which, step=1):
    """Faults for the first, the second, ... allocation of a task, up to the first that did not happen, or for
    one of `step` only. `which` is its number, or a function that finds it anew for each."""
    for nth in range(1, MOST, step):
        fault = Fault(which() if callable(which) else which, nth)
        yield fault
        if not fault.injected:
            return
    raise Failed("the allocations of one step come to an end", f"there are more than {MOST}")


def each_here(step=1):
    """As `each`, for what the kernel does when this task calls it."""
    return each(os.getpid(), step)


class Starved:
    """No allocation of a task succeeds while this is open."""

    def __init__(self, pid):
        self._task = Path(f"/proc/{pid}/make-it-fail")

    @staticmethod
    def _let(probability):
        for kind in _KINDS:
            for name, value in (("task-filter", "Y"), ("times", -1), ("probability", probability)):
                (_DEBUGFS / kind / name).write_text(f"{value}")

    def __enter__(self):
        self._task.write_text("1")
        self._let(100)

    def __exit__(self, *_):
        self._let(0)
        self._task.write_text("0")


class Outcomes:
    """How the steps with a failing allocation ended, which is told at the end."""

    def __init__(self):
        self.reported = self.went_on = 0

    def add(self, error):
        """Counts one, by the error which the driver reported, if any; returns in words what happened."""
        self.reported += bool(error)
        self.went_on += not error
        return f"reported: {error}" if error else "went on"

    def report(self, t, what, least):
        """Checks that there were enough for a test; the last step had no fault any more."""
        t.at_least(f"{what}: failed allocations ({self.reported} reported, {self.went_on - 1} without effect)",
                   self.reported + self.went_on - 1, least)
