# SPDX-License-Identifier: GPL-2.0
"""The kernel's trace events, as tracefs shows them."""

import re
from pathlib import Path

from .checks import run

TRACEFS = Path("/sys/kernel/tracing")


class Trace:
    """Records trace events while it is open. `events` are folders below `events` of tracefs."""

    def __init__(self, *events):
        if not (TRACEFS / "trace").exists():
            run("mount", "-t", "tracefs", "tracefs", TRACEFS)
        self._enable = [TRACEFS / "events" / event / "enable" for event in events]

    def __enter__(self):
        self.clear()
        for file in self._enable:
            file.write_text("1")
        return self

    def __exit__(self, *_):
        for file in self._enable:
            if file.exists():
                file.write_text("0")
        self.clear()

    def clear(self):
        """Forgets what was recorded."""
        (TRACEFS / "trace").write_text("")

    def seen(self, event):
        """The texts of the events of this name."""
        lines = (TRACEFS / "trace").read_text().splitlines()
        return [found[1] for found in (re.search(rf": {event}: (.*)", line) for line in lines) if found]


class Losses(Trace):
    """Records why the kernel drops packets while it is open."""

    def __init__(self, *others):
        super().__init__("skb/kfree_skb", *others)

    def reasons(self):
        """The names of the reasons so far."""
        return {text.rpartition("reason: ")[2] for text in self.seen("kfree_skb")}


class Stopwatch:
    """Measures how long calls of kernel functions take while it is open (stock kernel). A call within another
    is part of that."""

    def __init__(self, *functions):
        self._functions = functions
        self._trace = Trace("stopwatch")

    def __enter__(self):
        probes = [f"{kind}:stopwatch/{name}_{function} {function}\n" for function in self._functions
                  for kind, name in (("p", "begin"), ("r", "end"))]
        (TRACEFS / "kprobe_events").write_text("".join(probes))
        self._trace.__enter__()
        return self

    def __exit__(self, *_):
        self._trace.__exit__()
        (TRACEFS / "kprobe_events").write_text("")

    def calls(self):
        """The seconds of each call that has ended, in order."""
        found, depth, begun = [], 0, 0.0
        for at, what in re.findall(r" (\d+\.\d+): (begin|end)_", (TRACEFS / "trace").read_text()):
            if what == "begin":
                begun = begun if depth else float(at)
                depth += 1
            elif depth:
                depth -= 1
                if not depth:
                    found.append(float(at) - begun)
        return found
