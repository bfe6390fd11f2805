# SPDX-License-Identifier: GPL-2.0
"""The loads that the bench puts on a path."""

from .paths import ECHO, SINK


class Loads:
    """The kinds of load on a path, each for so many seconds. Each returns {metric: number} and the work done: a
    number and its unit."""

    def __init__(self, streams, seconds):
        self._streams, self._seconds = streams, seconds

    def source(self, path, seconds):
        """How `measure` is called for the streams of a path."""
        return f"source {SINK} {seconds} {self._streams} {' '.join(path.addresses)}"

    def bulk(self, path):
        """TCP streams with all offloads."""
        rate, total = path.source.measure(self.source(path, self._seconds), self._seconds)
        return {"Mbit/s": rate}, (total / 1e6, "MB")

    def mtu(self, path):
        """TCP streams in packets of the MTU."""
        for link in path.links:
            link.offloads("off")
        try:
            return self.bulk(path)
        finally:
            for link in path.links:
                link.offloads("on")

    def small(self, path):
        """Frames of 60 bytes, counted where they arrive."""
        before = path.target.arrived()
        _, took = path.source.measure(f"blast {self._seconds} {self._streams} {' '.join(path.targets)}", self._seconds)
        count = path.target.arrived() - before
        return {"packets/s": count / took}, (count, "packet")

    def rr(self, path, meanwhile=None):
        """One packet after the other, on an idle path or on one with a load."""
        rate, median, late = path.source.measure(f"pingpong {ECHO} {self._seconds} {path.addresses[0]}",
                                                 self._seconds, meanwhile)
        return {"rr/s": rate, "rtt p50 us": median, "rtt p99 us": late}, (rate * self._seconds, "rr")

    def loaded(self, path):
        """One packet after the other, while streams take the same way."""
        figures, _ = self.rr(path, self.source(path, self._seconds + 1))
        return figures, (0, "")
