# SPDX-License-Identifier: GPL-2.0
"""The files in debugfs: what they show is true, kick makes both directions look, and they go with the queues."""

import errno
import os
import re
import struct
import subprocess
import threading
import time
from pathlib import Path

from rig import driver, guest, vif
from rig.peer import Peer
from rig.traffic import ping
from rig.wire import Wire

LIMIT = 120
EXPECTED_MESSAGES = (r"Unknown command to io_ring_q0",)
DEBUGFS = Path("/sys/kernel/debug")
ROOT = DEBUGFS / "xen-netback"
RING = 64  # Where the entries of a ring begin.

INDEX = r"(\d+) \((-?\d+)\)"
LINES = "".join(f"{line}\n" for line in (
    r"Queue (?P<queue>\d+)",
    r"TX: nr_ents 256",
    rf"req prod {INDEX} cons (?P<tx_cons>\d+) \((-?\d+)\) event {INDEX}",
    rf"rsp prod (?P<tx_prod>\d+) \(base\) pvt {INDEX} event {INDEX}",
    r"pending prod \d+ pending cons \d+ nr_pending_reqs \d+",
    r"dealloc prod \d+ dealloc cons \d+ dealloc_queue \d+",
    r"",
    r"RX: nr_ents 256",
    rf"req prod {INDEX} cons (?P<rx_cons>\d+) \((-?\d+)\) event {INDEX}",
    rf"rsp prod (?P<rx_prod>\d+) \(base\) pvt {INDEX} event {INDEX}",
    r"",
    r"NAPI state: [0-9a-f]+ NAPI weight: 64 TX queue len \d+",
    r"Credit timer_pending: \d, credit: \d+, usec: \d+",
    r"remaining: \d+, expires: \d+, now: \d+",
    r"",
    r"Rx internal queue: len \d+ max \d+ pkts \d+ (stopped|running)"))


def shown(file):
    """What the file of a queue shows, as numbers by name; None when it is not as expected."""
    found = re.fullmatch(LINES, file.read_text())
    return found and {name: int(value) for name, value in found.groupdict().items()}


def refused(file, text):
    """The name of the error that writing `text` to the file ends with, or None."""
    try:
        with open(file, "wb", buffering=0) as out:
            out.write(text)
    except OSError as error:
        return errno.errorcode[error.errno]
    return None


def mode(file):
    """The permissions of a file."""
    return oct(file.stat().st_mode & 0o777)


def kick(t):
    """A frontend in dom0 puts requests without telling anybody: only a kick makes the backend look."""
    with Peer() as peer, Wire(peer.name) as wire:
        peer.connect()
        file = ROOT / peer.name / "io_ring_q0"

        def put(ring, index, request):
            peer.poke(RING + index * len(request), request, ring=ring)
            peer.poke(0, struct.pack("=I", index + 1), ring=ring)

        def responses():
            return peer.indices("tx")[2], peer.indices("rx")[2]

        # No page has this number: the answer is an error, but an answer.
        put("tx", 0, struct.pack("=IHHHH", 60000, 0, 0, 7, 60))
        wire.send(bytes(60))
        # The thread has looked, and sleeps.
        time.sleep(1)
        put("rx", 0, struct.pack("=HHI", 8, 0, 60000))
        time.sleep(0.5)
        t.equal("answered without an event (from, to the guest)", responses(), (0, 0))
        file.write_text("kick\n")
        t.eventually("answered after a kick (from, to the guest)", 3, lambda: responses() == (1, 1))
        seen = shown(file)
        t.equal("served, as the file shows", (seen["tx_cons"], seen["rx_cons"]), (1, 1))

        # No event came, so none was acknowledged, and one that comes now is served.
        put("tx", 1, struct.pack("=IHHHH", 60000, 0, 0, 9, 60))
        peer.notify("tx")
        t.eventually("answered after an event", 3, lambda: responses()[0] == 2)


def both_drivers(t):
    """The directory's name when the other driver has it."""
    driver.unload("rust")
    driver.load("c")
    driver.load("rust")
    t.check("beside the C driver the directory is xen-netback-rs",
            ROOT.is_dir() and (DEBUGFS / "xen-netback-rs").is_dir())
    driver.unload("c")
    driver.unload("rust")
    t.check("both directories go with their modules", not list(DEBUGFS.glob("xen-netback*")))
    driver.load("rust")


def run(t):
    driver.use(t.driver)
    link = vif.attach(guest.get("pv1"), number=2)
    folder = ROOT / link.name
    t.equal("files", [file.name for file in folder.glob("io_ring_q*")], ["io_ring_q0"])
    file = folder / "io_ring_q0"
    t.equal("mode", mode(file), "0o600")
    before = shown(file)
    t.check("the file has the lines that tools know", before, file.read_text())
    ping(link.address, count=10)
    after = shown(file)
    for name in ("tx_cons", "tx_prod", "rx_cons", "rx_prod"):
        t.at_least(f"{name} counts the pings", after[name] - before[name], 10)
    for command in (b"kill", b"kicks"):
        t.equal(f"unknown command {command}", refused(file, command), "EINVAL")
    t.equal("too long a command", refused(file, b"kick" + b" " * 30), "ENOSPC")

    # Readers at every moment of the interface's end.
    def read_all():
        while not done:
            for one in ROOT.glob("*/io_ring_q*"):
                try:
                    one.read_text()
                except OSError:
                    pass

    done = False
    readers = [threading.Thread(target=read_all, daemon=True) for _ in range(2)]
    for reader in readers:
        reader.start()
    held = os.open(file, os.O_RDONLY)
    link.detach()
    done = True
    for reader in readers:
        reader.join()
    t.check("the files are gone with the interface", not folder.exists())
    try:
        os.read(held, 10)
        gone = False
    except OSError:
        gone = True
    t.check("an open file cannot be read any more", gone)
    removal = subprocess.run(["rmmod", driver.module(t.driver)], capture_output=True, text=True, check=False)
    t.check("the module stays while a file is open", removal.returncode != 0, removal.stderr)
    os.close(held)

    if t.driver == "rust":
        kick(t)
        both_drivers(t)
