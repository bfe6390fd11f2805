# SPDX-License-Identifier: GPL-2.0
"""Traffic, and how it is measured."""

import contextlib
import json
import os
import re
import socket
import subprocess
import threading
from pathlib import Path

from .checks import Failed, run, wait_for
from .vif import HOST

TRAFFIC = "/mnt/guest/traffic"
MEASURE = "/mnt/guest/measure"
PROGRAMS = (TRAFFIC, MEASURE)
_OUTGOING = 4
_IPERF = 5201
_ETH_P_ALL = 3


@contextlib.contextmanager
def xdp(interface, action):
    """An XDP program that ends each packet in one way (pass, drop, return) is attached in dom0 while this is open."""
    program = subprocess.Popen([TRAFFIC, "xdp", interface, action], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        if (said := program.stdout.readline().strip()) != "attached":
            raise Failed("the program is attached", said)
        yield
    finally:
        program.kill()
        program.communicate()


def ping(address, count=10, size=56, interval="0.1", extra=(), execute=run):
    """Pings from dom0, or from where `execute` runs commands; returns (sent, received)."""
    shown = execute("ping", "-n", "-q", "-c", count, "-i", interval, "-s", size, "-W", "2", *extra, address,
                    limit=count * 2 + 20, ok=(0, 1))
    found = re.search(r"(\d+) packets transmitted, (\d+) received", shown)
    if not found:
        raise Failed(f"ping {address}", shown)
    return int(found[1]), int(found[2])


def settle(address, execute=run):
    """Waits until pings of an address come back. The first packets of a connection may go to the neighbour of
    before, and the links of both ends and of the bridge are put into use by and by."""
    def back():
        sent, received = ping(address, count=3, extra=("-W", "1"), execute=execute)
        return received == sent
    wait_for(f"pings of {address} come back", 20, back)


def _serve_iperf(guest):
    """Starts iperf3's server in a guest, which serves one client at a time."""
    # One of before may still wait for a client which it has lost with the interface.
    guest.run("while killall -q iperf3; do sleep 0.1; done; iperf3 -s -D >/dev/null 2>&1 </dev/null")
    listens = f":{_IPERF:04X} 00000000"
    wait_for("the guest's iperf3 listens", 20, lambda: listens in guest.run("cat /proc/net/tcp /proc/net/tcp6"))


def iperf(guest, vif, seconds=3, towards_guest=True, streams=1, execute=run):
    """TCP bulk between dom0, or where `execute` runs commands, and a guest; returns what the receiver
    saw, in Mbit/s."""
    _serve_iperf(guest)
    shown = execute("iperf3", "-c", vif.address, "-t", seconds, "-P", streams, "-J", "--connect-timeout", 5000,
                    *([] if towards_guest else ["-R"]), limit=seconds + 40, ok=None)
    try:
        return round(json.loads(shown)["end"]["sum_received"]["bits_per_second"] / 1e6)
    except (ValueError, KeyError):
        raise Failed(f"iperf3 {'to' if towards_guest else 'from'} the guest", shown[-800:]) from None


def transfer(guest, address, host=HOST, size=4 << 20, port=6500, execute=run):
    """Sends `size` bytes over TCP to a guest and as many from it to `host`, an address of dom0 or of where
    `execute` runs commands; returns what the receivers say of each direction that is not whole."""
    arguments = (port, size, 3)
    words = " ".join(map(str, arguments))
    guest.run(f"traffic receive {words} >/tmp/received 2>&1 </dev/null &")
    execute(TRAFFIC, "send", address, *arguments, limit=90)
    said = {"to": wait_for("the guest's receiver ends", 30, lambda: guest.run("cat /tmp/received"))}
    guest.run(f"traffic send {host} {words} >/dev/null 2>&1 </dev/null &")
    said["from"] = execute(TRAFFIC, "receive", *arguments, limit=90, ok=None).strip()
    return [f"{direction} the guest: {text}" for direction, text in said.items() if text != f"ok {size}"]


def check(t, what, guest, link, host=HOST, execute=run):
    """Checks that pings and verified TCP streams go both ways between a guest and `host`, an address of dom0
    or of where `execute` runs commands."""
    settle(link.address, execute)
    sent, received = ping(link.address, count=10, execute=execute)
    t.equal(f"{what}: ping without loss", received, sent)
    t.equal(f"{what}: TCP streams that did not arrive whole",
            transfer(guest, link.address, host, execute=execute), [])


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


@contextlib.contextmanager
def bulk_both_ways(guest, vif, streams):
    """TCP streams to a guest, and as many from it, while it is open. It may be closed when the interface has
    gone."""
    _serve_iperf(guest)
    # Not at the cost of the toolstack, whose scripts have their time.
    client = subprocess.Popen(["nice", "-n", "19", "iperf3", "-c", vif.address, "-t", "90", "-P", str(streams), "--bidir"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        client.kill()
        client.wait()


class Load:
    """A run of the traffic program in dom0 that goes on while it is open."""

    def __init__(self, *arguments):
        self._process = subprocess.Popen([TRAFFIC, *map(str, arguments)], stdin=subprocess.DEVNULL,
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


class Trickle:
    """A slow TCP connection from a guest to dom0 while it is open: a number every tenth of a second."""

    def __init__(self, guest, address, numbers, port=6100):
        self._wanted = [str(number) for number in range(numbers)]
        self._listener = socket.create_server((address, port))
        self._listener.settimeout(20)
        guest.run(f"(for i in $(seq 0 {numbers - 1}); do echo $i; sleep 0.1; done | nc {address} {port}) "
                  ">/dev/null 2>&1 </dev/null &")
        self._connection = self._listener.accept()[0]

    def finish(self, limit=60):
        """Waits for the end of the connection; returns whether every number came, in order."""
        self._connection.settimeout(limit)
        received = b""
        while piece := self._connection.recv(65536):
            received += piece
        return received.decode().split() == self._wanted

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._connection.close()
        self._listener.close()


def guest_flood(guest, address, size=1400):
    """UDP packets from a guest to an address, as fast as they go, until `end_guest_flood`."""
    guest.run(f"traffic flood {address} 9 {size} >/dev/null 2>&1 </dev/null & echo $! >/tmp/flood")


def guest_rain(guest, address, per_second, size=100):
    """UDP packets from a guest to an address at a steady rate, until `end_guest_flood`."""
    guest.run(f"traffic rain {address} 9 {size} {1000000 // per_second} >/dev/null 2>&1 </dev/null & echo $! >/tmp/flood")


def end_guest_flood(guest):
    """Ends what `guest_flood` or `guest_rain` has started."""
    guest.run("kill $(cat /tmp/flood)")


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
