# SPDX-License-Identifier: GPL-2.0
"""Runs this boot's scenarios in dom0 and reports to the host, one JSON object a line.

    {"event": "ready"}                                  dom0 is up
    {"event": "scenario", "name", "about", "limit"}     one begins; it has `limit` seconds
    {"event": "check" | "note" | "print", ...}          what it says
    {"event": "record", "driver", "facts"}              what a record holds for one of the drivers
    {"event": "result", "ok", "check", "detail", "final"}   how it ended; not final if a busy machine may be why
    {"event": "end"}                                    nothing follows
"""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from rig import driver, kmemleak, kmsg, recording  # noqa: E402  (the path had to be set first)
from rig.checks import Broken, Checks, Failed, wait_for  # noqa: E402

PORT = "/dev/ttyS1"
AFTER = 400  # Seconds for what follows each scenario.
# How many times slower a busy machine may be than those whose seconds the scenarios' limits are.
PATIENCE = 3


class Late(Exception):
    """A scenario's time is over."""


def _late(*_):
    raise Late()


class Scenario:
    """A file of tests/integration/scenarios or tests/hostile/attacks: `run(t)` with its docstring, its time
    limit and perhaps another one for long runs; or one of tests/conformance/records, which has `record(r)` instead."""

    def __init__(self, folder, name, long):
        specification = importlib.util.spec_from_file_location(name, f"/mnt/{folder}/{name}.py")
        self.module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(self.module)
        self.name = name
        self.about = self.module.__doc__.strip().splitlines()[0]
        self.limit = PATIENCE * (getattr(self.module, "LONG_LIMIT", self.module.LIMIT) if long else self.module.LIMIT)

    def run(self, t):
        """Runs it."""
        if hasattr(self.module, "record"):
            recording.run(t, self.module)
        else:
            self.module.run(t)

    def expected(self):
        """The kernel messages which it provokes."""
        return getattr(self.module, "EXPECTED_MESSAGES", ())


class Runner:
    """What a scenario gets as `t`: its checks, and what the job says."""

    def __init__(self, job, port):
        self.driver = job["driver"]
        self.long = job["long"]
        self.module = job.get("module")
        self.options = job.get("options", {})
        self.turn = 0
        self._folder = job.get("folder", "scenarios")
        self._port = port
        checks = Checks(self.report)
        self.check, self.equal, self.note = checks.check, checks.equal, checks.note
        self.at_most, self.at_least, self.eventually = checks.at_most, checks.at_least, checks.eventually

    def report(self, **event):
        """Sends one event to the host."""
        line = json.dumps(event).encode() + b"\n"
        while line:
            line = line[os.write(self._port, line):]

    def print(self, text=""):
        """A line for people to read, as it is."""
        self.report(event="print", text=text)

    def run(self, name, last):
        """Runs one scenario, perhaps the `last`, and reports its result; true when it passed."""
        scenario = Scenario(self._folder, name, self.long)
        self.turn += 1
        self.report(event="scenario", name=name, about=scenario.about, limit=scenario.limit + AFTER + 20)
        mark = kmsg.mark()
        signal.alarm(scenario.limit)
        failed = None
        try:
            scenario.run(self)
            signal.alarm(AFTER)
            self._leaves_nothing(mark, scenario.expected(), last)
        except Failed as failure:
            failed = failure
        except Late:
            failed = Failed("ends in time", f"not within {scenario.limit} s\n{traceback.format_exc(limit=-3)}")
        except Exception:  # A defect of the scenario itself fails it like any other.
            failed = Failed("runs without an exception", traceback.format_exc(limit=-4))
        signal.alarm(0)
        if failed:
            trouble = kmsg.trouble(mark, scenario.expected())
            self.report(event="result", ok=False, check=failed.name, detail=failed.detail, kernel=trouble[:20],
                        final=bool(trouble) or isinstance(failed, Broken))
        else:
            self.report(event="result", ok=True)
        return not failed

    def _leaves_nothing(self, mark, expected, last):
        """What holds after every scenario. That no memory is lost is looked at once, for all of them."""
        if driver.loaded("c") or driver.loaded("rust"):
            self.clean_up()
            wait_for("no vif left", 60, lambda: not driver.devices() and not driver.interfaces())
            for which in ("c", "rust"):
                driver.unload(which)
        self.check("vifs gone, module unloaded", True)
        if last and kmemleak.exists():
            kmemleak.check(self)
        trouble = kmsg.trouble(mark, expected)
        self.check("kernel log clean", not trouble, "\n".join(trouble[:25]))
        self.check("lockdep alive", kmsg.lockdep_alive(), "it has switched itself off")

    def clean_up(self):
        """Detaches what the scenario left attached to guests that outlive it."""
        for device in driver.devices():
            _, domid, handle = device.split("-")
            subprocess.run(["xl", "network-detach", domid, handle], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, timeout=120, check=False)


def main():
    """Runs the job."""
    job = json.loads(Path("/mnt/job.json").read_text())
    signal.signal(signal.SIGALRM, _late)
    if job.get("shell"):
        subprocess.run(["stty", "-F", PORT, "sane"], check=False)
        terminal = os.open(PORT, os.O_RDWR | os.O_NOCTTY)
        subprocess.run(["setsid", "--ctty", "--wait", sys.executable, "/mnt/dom0/shell.py", job["driver"]],
                       stdin=terminal, stdout=terminal, stderr=terminal, check=False)
        return
    port = os.open(PORT, os.O_WRONLY | os.O_NOCTTY)
    runner = Runner(job, port)
    if kmemleak.exists():
        kmemleak.begin()
    runner.report(event="ready", limit=60)
    for name in job["scenarios"]:
        if not runner.run(name, name == job["scenarios"][-1]):
            # What a failed scenario leaves behind would fail the next ones too.
            break
    runner.report(event="end")


main()
