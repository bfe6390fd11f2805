# SPDX-License-Identifier: GPL-2.0
"""A record: what an outsider sees of a driver, made with each of the drivers in turn."""

from contextlib import contextmanager
from pathlib import Path

from . import driver, vif
from .checks import wait_for

_ORDER = ("c", "rust")
_NO_IPV6 = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")


class Record:
    """What a file of tests/conformance/records gets as `r`: it is filled with facts."""

    def __init__(self, t, which):
        self.long = t.long
        self.driver = which
        self.facts = {}
        self._step = ""

    def step(self, name):
        """The facts that follow are about this step."""
        self._step = name

    def put(self, key, value):
        """One fact about the current step."""
        key = f"{self._step}: {key}" if self._step else key
        if key in self.facts:
            raise ValueError(f"recorded twice: {key}")
        self.facts[key] = " ".join(str(value).split())

    def put_all(self, found):
        """Many facts about the current step."""
        for key, value in found.items():
            self.put(key, value)


@contextmanager
def _quiet():
    """New interfaces send nothing on their own."""
    vif.bridge()  # Which has addresses of both families.
    before = _NO_IPV6.read_text()
    _NO_IPV6.write_text("1")
    try:
        yield
    finally:
        _NO_IPV6.write_text(before)


def run(t, scenario):
    """Makes the record `scenario` with each driver, and reports both."""
    # Neither is always the first one.
    for which in _ORDER if t.turn % 2 else reversed(_ORDER):
        for other in _ORDER:
            driver.unload(other)
        driver.load(which, *getattr(scenario, "PARAMETERS", ()))
        record = Record(t, which)
        try:
            with _quiet():
                scenario.record(record)
        finally:
            t.report(event="record", driver=which, facts=record.facts)
        t.clean_up()
        wait_for("no vif left", 60, lambda: not driver.devices() and not driver.interfaces())
        t.check(f"recorded with {driver.module(which)}", bool(record.facts), "no facts")
