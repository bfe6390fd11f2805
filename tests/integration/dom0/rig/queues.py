# SPDX-License-Identifier: GPL-2.0
"""The queues of an interface: their interrupts, their threads, and traffic that reaches all of them."""

import re
import socket
import time
from pathlib import Path

from . import vif, xenstore
from .checks import wait_for
from .traffic import settle

ECHO = 7000
FLOWS = 64  # So many that no queue of a few is missed by chance.


def _lines(interrupts):
    """The lines of /proc/interrupts: a list of (name, number, how often on each processor)."""
    found = []
    for line in interrupts.splitlines()[1:]:
        number, _, rest = line.partition(":")
        counts = re.match(r"[\d ]*", rest)[0].split()
        found.append((line.split()[-1], number.strip(), list(map(int, counts))))
    return found


def by_processor(link):
    """The interrupts of the interface in dom0: {name: (number, how often on each processor)}."""
    return {name: (number, counts) for name, number, counts in _lines(Path("/proc/interrupts").read_text())
            if name.startswith(f"{link.name}-q")}


def interrupts(link):
    """How often each interrupt of the interface came in dom0: {name: times}."""
    return {name: sum(counts) for name, (_, counts) in by_processor(link).items()}


def guest_interrupts(guest, interface):
    """How often each interrupt of the interface came in the guest: a list of (name, times). All queues with
    one event channel have the same name there."""
    return [(name, sum(counts)) for name, _, counts in _lines(guest.run("cat /proc/interrupts"))
            if name == interface or name.startswith(f"{interface}-q")]


def threads(link):
    """The numbers of the interface's threads for packets to the guest: {name: process}."""
    found = {}
    for file in Path("/proc").glob("[0-9]*/comm"):
        try:
            name = file.read_text().strip()
        except OSError:
            continue
        if name.startswith(f"{link.name}-q") and name.endswith("-guest-rx"):
            found[name] = file.parent.name
    return found


def in_use(link):
    """The number of transmit and of receive queues in use."""
    folder = Path("/sys/class/net", link.name, "queues")
    return len(list(folder.glob("tx-*"))), len(list(folder.glob("rx-*")))


def reconnect(link, count):
    """Has the guest's netfront start anew, with at most `count` queues."""
    link.guest.netfront(False)
    wait_for("backend saw the frontend go", 15, lambda: link.states()[0] in ("2", "5", "6"))
    link.guest.netfront(True, f"max_queues={count}")
    link.wait_connected()
    return link.configure()


def check_layout(t, what, link, count, split):
    """Checks everything that has a name: keys, interrupts, threads, queues of the interface."""
    t.equal(f"{what}: transmit and receive queues in use", in_use(link), (count, count))
    folders = [f"{link.frontend}/queue-{k}" for k in range(count)] if count > 1 else [link.frontend]
    channels = ("event-channel-tx", "event-channel-rx") if split else ("event-channel",)
    missing = [f"{folder}/{key}" for folder in folders for key in ("tx-ring-ref", "rx-ring-ref", *channels)
               if xenstore.read(f"{folder}/{key}") is None]
    t.equal(f"{what}: keys of the frontend that are missing", missing, [])
    wanted = [f"{link.name}-q{k}{suffix}" for k in range(count) for suffix in (("-tx", "-rx") if split else ("",))]
    t.equal(f"{what}: interrupts", sorted(interrupts(link)), sorted(wanted))
    t.equal(f"{what}: threads", sorted(threads(link)), [f"{link.name}-q{k}-guest-rx" for k in range(count)])


class Echo:
    """An echo of UDP packets in a guest while it is open."""

    def __init__(self, guest):
        self._guest = guest
        guest.run(f"traffic echo {ECHO} >/dev/null 2>&1 </dev/null &\n"
                  f"until grep -q :{ECHO:04X} /proc/net/udp6; do usleep 20000; done")

    def mute(self):
        """Goes on to receive, but does not answer any more."""
        self._guest.run("killall -STOP traffic")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._guest.run("killall -KILL traffic; true")


def flows(address, count=FLOWS, wait=5):
    """Sends a packet in each of `count` flows to an echo; returns how many were answered."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sockets = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for number, one in enumerate(sockets):
            one.setblocking(False)
            one.sendto(b"flow %d" % number, (address, ECHO))
        waiting = dict(enumerate(sockets))
        end = time.monotonic() + wait
        while waiting and time.monotonic() < end:
            for number, one in list(waiting.items()):
                try:
                    if one.recv(64) == b"flow %d" % number:
                        del waiting[number]
                except BlockingIOError:
                    pass
            time.sleep(0.01)
        return count - len(waiting)
    finally:
        for one in sockets:
            one.close()


def check_traffic(t, what, link, interface, split):
    """Checks that packets come through every queue, in both directions."""
    settle(link.address)
    host, peer = interrupts(link), guest_interrupts(link.guest, interface)
    with Echo(link.guest) as echo:
        t.equal(f"{what}: answered flows of {FLOWS}", flows(link.address), FLOWS)
        idle = [name for name, total in interrupts(link).items()
                if total == host[name] and not name.endswith("-rx")]
        t.equal(f"{what}: queues without a packet from the guest", idle, [])
        if not split:
            # What comes from the guest is answered by the same event channel.
            echo.mute()
            peer = guest_interrupts(link.guest, interface)
            flows(link.address, wait=0.5)
    idle = [f"{name} #{k}" for k, ((name, before), (_, after)) in
            enumerate(zip(peer, guest_interrupts(link.guest, interface)))
            if after == before and not name.endswith("-tx")]
    t.equal(f"{what}: queues without a packet to the guest", idle, [])


def check_gone(t, link):
    """Checks that nothing is left of a detached interface's queues."""
    t.equal("interrupts left", interrupts(link), {})
    t.equal("threads left", threads(link), {})


def several(t, guest, split, counts=(4, 2, 1)):
    """Attaches an interface that may have the most of `counts` queues, and tries every number of them."""
    guest.netfront(False)
    link = vif.attach(guest, number=2, parameters=f"max_queues={counts[0]}")
    interface = link.configure()
    for turn, count in enumerate(counts):
        if turn:
            interface = reconnect(link, count)
        what = f"{count} queue{'s' if count > 1 else ''} with {'two event channels' if split else 'one event channel'}"
        check_layout(t, what, link, count, split)
        check_traffic(t, what, link, interface, split)
    link.detach()
    check_gone(t, link)
