# SPDX-License-Identifier: GPL-2.0
"""Frontends in dom0 that are left to themselves: they act at random, from a seed (tests/hostile/src/random.rs).

    with Fuzzer(2, seed=7) as fuzzer:
        fuzzer.launch(5)      # plays rounds for about 5 seconds
        fuzzer.result()         # -> None, or {"round": number, "why": text} of the one that failed

A round which fails is reduced by `minimise` to a few actions that still do, which are printed as a file for
tests/hostile/corpus.
"""

import contextlib
import json
import re
from pathlib import Path

from . import kmsg
from .checks import Failed, run
from .peer import HOST_MAC, Peer

CORPUS = Path("/mnt/corpus")
QUEUES = 2
_LATE = 200  # Seconds that the last round of several may take.


def ends(peer):
    """The addresses of both ends, for `exchange`."""
    return {"mac": peer.mac, "address": f"10.7.{peer.handle}.2", "host_mac": HOST_MAC, "host": f"10.7.{peer.handle}.1"}


def setting_up(peer):
    """The shell command that sets the interface up, so that dom0 answers the frontend's echo requests."""
    return (f"echo 1 >/proc/sys/net/ipv6/conf/{peer.name}/disable_ipv6 && ip link set {peer.name} up && "
            f"ip address add 10.7.{peer.handle}.1/24 dev {peer.name} && "
            f"ip neigh replace 10.7.{peer.handle}.2 lladdr {peer.mac} dev {peer.name} nud permanent")


@contextlib.contextmanager
def quick_connections():
    """Lets the kernel hurry where it waits for all processors, which is most of the time that a connection takes:
    so more is done in the same time."""
    hurry = Path("/sys/kernel/rcu_expedited")
    before = hurry.read_text()
    hurry.write_text("1")
    try:
        yield
    finally:
        hurry.write_text(before)


class Innocent(Peer):
    """A connected frontend that keeps the rules."""

    def __init__(self, handle, queues=1):
        super().__init__(handle=handle, queues=queues, split=True)
        run("sh", "-c", setting_up(self))
        self.connect()

    def launch(self, seconds):
        """Starts to exchange packets with dom0 for so long."""
        self.start("exchange", seconds=seconds, window=16, **ends(self))

    def result(self):
        """How many have come back meanwhile."""
        return self.finish()["back"]

    def works(self):
        """A few packets go each way."""
        # Those of a load that has ended may still come.
        return self.call("exchange", seconds=20, most=40, **ends(self))["back"] >= 40

    def plight(self):
        """What its rings, its queues and its interface say."""
        rings = Path("/sys/kernel/debug/xen-netback", self.name).glob("io_ring_*")
        return "\n".join([*(ring.read_text() for ring in sorted(rings)), run("ethtool", "-S", self.name),
                          run("ip", "-s", "link", "show", self.name)])


class Fuzzer(Peer):
    """A frontend that acts at random; it has not connected before its first round."""

    def __init__(self, handle, seed=0):
        super().__init__(handle=handle, tolerant=True)
        self.seed = seed
        self.done = dict.fromkeys(("rounds", "actions", "hostile", "connections", "faults"), 0)
        self._world = {"queues": QUEUES, "toolstack": setting_up(self)}
        run("sh", "-c", setting_up(self))

    def launch(self, seconds):
        """Starts to play rounds for so long; the last one is played to its end."""
        self.start("fuzz", seconds=seconds, seed=self.seed, first=self.done["rounds"], **ends(self), **self._world)

    def result(self):
        """Waits for the end of what `launch` has started; returns the round that failed, if one did."""
        return self._told(self.finish(_LATE))

    def _told(self, answer):
        for name in self.done:
            self.done[name] += answer[name]
        return answer["failed"]

    def round(self, number):
        """A round of its seed."""
        return self.call("round", seed=self.seed, number=number, **self._world)["round"]

    def replay(self, one):
        """Plays a round; returns why it failed, if it did."""
        failed = self._told(self.call("replay", seconds=_LATE, round=one, **ends(self), **self._world))
        return failed and failed["why"]

    def counters(self):
        """The statistics of the interface that are not 0."""
        shown = run("ethtool", "-S", self.name, ok=None)
        return {name for name, value in re.findall(r"^\s*([\w.\-]+): (\d+)$", shown, re.M) if value != "0"}


class Trial:
    """Plays rounds on devices of their own, and tells which of them fail: by what the player says, by the
    kernel log, by a neighbour that does not work, by a device that does not go."""

    def __init__(self, neighbour, expected, handle=100):
        self._neighbour = neighbour
        self._expected = expected
        self._handle = handle

    def __call__(self, one):
        """Why a round fails, or None."""
        # A device that failed may be stuck: the next one has another number.
        self._handle += 1
        mark = kmsg.mark()
        try:
            with Fuzzer(self._handle) as fuzzer:
                why = fuzzer.replay(one)
                if not self._neighbour.works():
                    why = "a neighbour has no packets"
        except Failed as failed:
            why = f"{failed.name}: {failed.detail}"
        trouble = kmsg.trouble(mark, self._expected)
        return trouble[0] if trouble else why


def minimise(one, fails, most=150):
    """The shortest round that was found to fail when parts of this one, which does, were left out; `fails` is
    asked at most so often. First large parts are tried, then smaller ones, in the end single actions."""
    actions, parts = one["actions"], 2
    while len(actions) > 1 and most > 0:
        size = -(-len(actions) // parts)
        for start in range(0, len(actions), size):
            fewer = actions[:start] + actions[start + size:]
            most -= 1
            if fails({**one, "actions": fewer}):
                actions, parts = fewer, max(parts - 1, 2)
                break
            if most == 0:
                break
        else:
            if size == 1:
                break
            parts = min(parts * 2, len(actions))
    return {**one, "actions": actions}


def to_text(one, about):
    """A round as a file of the corpus."""
    head = {name: value for name, value in one.items() if name != "actions"}
    lines = ["# SPDX-License-Identifier: GPL-2.0", f"# {about}", *map(json.dumps, [head, *one["actions"]])]
    return "\n".join(lines) + "\n"


def from_text(text):
    """A round from a file of the corpus: comments, a line with how it connects, and one for each action."""
    head, *actions = [json.loads(line) for line in text.splitlines() if not line.startswith("#")]
    return {**head, "actions": actions}
