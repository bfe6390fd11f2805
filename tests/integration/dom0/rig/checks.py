# SPDX-License-Identifier: GPL-2.0
"""Named checks, and waiting for what takes time."""

import subprocess
import time

_LONGEST_PAUSE = 0.05  # Seconds.


class Failed(Exception):
    """A check did not hold. `detail` holds the lines that matter."""

    def __init__(self, name, detail=""):
        super().__init__(name)
        self.name = name
        self.detail = str(detail)


class Broken(Failed):
    """The driver did what it must never do, however busy the machine is."""


class Checks:
    """The checks of one scenario. A check that does not hold ends it."""

    def __init__(self, report):
        self._report = report

    def check(self, name, holds, detail=""):
        """Reports the check; raises Failed with `detail` when it does not hold."""
        self._measured(name, holds, "", detail)

    def _measured(self, name, holds, seen, wrong=None):
        if not holds:
            raise Failed(name, seen if wrong is None else wrong)
        self._report(event="check", name=name, detail=seen)

    def equal(self, name, got, wanted):
        """The check that `got` is `wanted`."""
        self._measured(name, got == wanted, str(got), f"got {got!r}, wanted {wanted!r}")

    def at_most(self, name, got, limit, unit=""):
        """The check that a measured number is within its limit."""
        self._measured(name, got <= limit, f"{got} {unit}".rstrip() + f" (limit {limit})")

    def at_least(self, name, got, limit, unit=""):
        """The check that a measured number reaches its limit."""
        self._measured(name, got >= limit, f"{got} {unit}".rstrip() + f" (at least {limit})")

    def eventually(self, name, seconds, condition):
        """The check that `condition()` becomes true in time; reports how long it took."""
        start = time.monotonic()
        wait_for(name, seconds, condition)
        self._measured(name, True, f"after {time.monotonic() - start:.1f} s")

    def note(self, text):
        """Tells something worth reading that is no check."""
        self._report(event="note", text=text)


def wait_for(what, seconds, condition):
    """Waits until `condition()` is true and returns its value; raises Failed when it is late."""
    end = time.monotonic() + seconds
    pause = 0.002
    while True:
        seen = condition()
        if seen:
            return seen
        if time.monotonic() > end:
            raise Failed(what, f"not within {seconds} s; last seen: {seen!r}")
        # What comes soon is seen soon, and what takes long is not asked for all the time.
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def run(*command, limit=60, ok=(0,)):
    """Runs a command and returns what it printed; raises Failed with that when it fails."""
    try:
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=limit)
    except subprocess.TimeoutExpired as late:
        raise Failed(" ".join(map(str, command)),
                     f"did not end within {limit} s\n{(late.stdout or b'').decode(errors='replace')}") from None
    if ok is not None and done.returncode not in ok:
        raise Failed(" ".join(map(str, command)), f"status {done.returncode}\n{done.stdout.strip()}")
    return done.stdout
