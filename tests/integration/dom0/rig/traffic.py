# SPDX-License-Identifier: GPL-2.0
"""Traffic, and how it is measured."""

import json
import os
import re
import socket
import subprocess
import threading
from pathlib import Path

from .checks import Failed, run

_OUTGOING = 4
_ETH_P_ALL = 3


def ping(address, count=10, size=56, interval="0.1", extra=()):
    """Pings from dom0; returns (sent, received)."""
    shown = run("ping", "-n", "-q", "-c", count, "-i", interval, "-s", size, "-W", "2", *extra, address,
                limit=count * 2 + 20, ok=(0, 1))
    found = re.search(r"(\d+) packets transmitted, (\d+) received", shown)
    if not found:
        raise Failed(f"ping {address}", shown)
    return int(found[1]), int(found[2])


def iperf(guest, vif, seconds=3, towards_guest=True, streams=1):
    """TCP bulk between dom0 and a guest; returns what the receiver saw, in Mbit/s."""
    guest.run("pidof iperf3 >/dev/null || iperf3 -s -D >/dev/null 2>&1 </dev/null")
    shown = run("iperf3", "-c", vif.address, "-t", seconds, "-P", streams, "-J", "--connect-timeout", 5000,
                *([] if towards_guest else ["-R"]), limit=seconds + 40, ok=None)
    try:
        return round(json.loads(shown)["end"]["sum_received"]["bits_per_second"] / 1e6)
    except (ValueError, KeyError):
        raise Failed(f"iperf3 {'to' if towards_guest else 'from'} the guest", shown[-800:]) from None


class Sniffer:
    """Watches the sizes of the packets on an interface, by direction, while it is open."""

    def __init__(self, interface):
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._socket.bind((interface, 0))
        self._socket.settimeout(0.2)
        self.largest = {"to guest": 0, "from guest": 0}
        self._open = True
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self):
        buffer = bytearray(64)
        while self._open:
            try:
                size, address = self._socket.recvfrom_into(buffer, 64, socket.MSG_TRUNC)
            except OSError:
                continue
            direction = "to guest" if address[2] == _OUTGOING else "from guest"
            self.largest[direction] = max(self.largest[direction], size)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._open = False
        self._thread.join()
        self._socket.close()


def largest_packets(guest, vif, enough=60000):
    """The sizes of the largest packets that TCP bulk makes on an interface, by direction. A stream
    needs a while until its packets are as large as they get."""
    with Sniffer(vif.name) as sniffer:
        for turn in range(4):
            for towards_guest in (True, False):
                iperf(guest, vif, 1 + turn, towards_guest)
            if min(sniffer.largest.values()) >= enough:
                break
        return sniffer.largest


class Load:
    """A run of the traffic program in dom0 that goes on while it is open."""

    def __init__(self, *arguments):
        self._process = subprocess.Popen(["/mnt/guest/traffic", *map(str, arguments)], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()


def flood(address, size=1400):
    """UDP packets to an address, as fast as they go, while it is open."""
    return Load("flood", address, 9, size)


def rain(address, size=1400, per_second=500):
    """UDP packets to an address at a steady rate, while it is open."""
    return Load("rain", address, 9, size, 1000000 // per_second)


def echo(address, sizes, port=7000):
    """Sends random UDP payloads to the echo at an address (IPv4 or IPv6); returns the sizes which
    did not come back byte by byte."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    wrong = []
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.settimeout(3)
        for size in sizes:
            payload = os.urandom(size)
            sender.sendto(payload, (address, port))
            try:
                if sender.recv(65536) != payload:
                    wrong.append(size)
            except TimeoutError:
                wrong.append(size)
    return wrong


class Pinger:
    """Pings in the background while it is open; tells afterwards what was lost."""

    def __init__(self, address, interval="0.2"):
        self._process = subprocess.Popen(["ping", "-n", "-q", "-i", interval, address], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def stop(self):
        """Ends the pings; returns (sent, received). One may be under way and count as lost."""
        self._process.send_signal(2)
        shown = self._process.communicate(timeout=10)[0]
        found = re.search(r"(\d+) packets transmitted, (\d+) received", shown)
        if not found:
            raise Failed("ping", shown)
        return int(found[1]), int(found[2])


def kernel_memory():
    """Kernel memory that no cache gives back, after the caches were dropped: (KiB, {slab: KiB})."""
    Path("/proc/sys/vm/drop_caches").write_text("3")
    total = int(re.search(r"^SUnreclaim:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M)[1])
    slabs = {}
    for line in Path("/proc/slabinfo").read_text().splitlines()[2:]:
        name, _, objects, size = line.split()[:4]
        slabs[name] = int(objects) * int(size) // 1024
    return total, slabs


def free_memory():
    """Free memory in KiB, after the caches were dropped."""
    Path("/proc/sys/vm/drop_caches").write_text("3")
    return int(re.search(r"^MemFree:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M)[1])
