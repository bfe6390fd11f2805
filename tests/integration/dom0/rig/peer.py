# SPDX-License-Identifier: GPL-2.0
"""A frontend in dom0 that speaks the protocol, and holds the backend to it (tests/hostile).

    with Peer(queues=2, split=True) as peer, Wire(peer.name) as wire:
        peer.connect()                       # both ends in state 4, rings empty
        peer.post(0)                         # as many receive buffers as fit
        wire.send(frame)                     # the host sends
        (packet,) = peer.receive(0)          # packet.data == frame
        peer.send(0, frame)                  # -> [0]: the status of each slot
        wire.receive()                       # the host has got it

Every response is checked against the rules of tests/hostile/src/rules.rs; a broken one fails the
scenario at once, by name, unless the peer is `tolerant`: then it is in `violations`. Several peers with
different handles can exist at the same time.
"""

import json
import os
import select
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from . import driver, frames, xenstore
from .checks import Broken, Failed, run, wait_for
from .frontend import Frontend

PROGRAM = "/mnt/frontend"
LARGEST_SLOT = 4096
HOST_MAC = "fe:ff:ff:ff:ff:ff"  # The address of the interface itself.
# The pages that may be granted by programs.
_LIMIT = Path("/sys/module/xen_gntalloc/parameters/limit")

# Statuses of packets from the guest.
OKAY, ERROR, DROPPED = 0, -1, -2
# Flags of packets from the guest.
BLANK, VALIDATED = 1, 2
# Flags of packets to the guest.
_RX_VALIDATED, _RX_BLANK = 1, 2
_UP = 1  # The flag of an interface.


def gso(size, kind=1):
    """An extra for `send`: to be cut into segments with `size` bytes of payload; 1 is TCP over IPv4, 2
    over IPv6."""
    return struct.pack("=BBHBBH", 1, 0, size, kind, 0, 0)


def multicast(address, add=True):
    """An extra for `send`: adds a multicast address to those wanted, or takes it away."""
    return bytes([2 if add else 3, 0]) + bytes.fromhex(address.replace(":", ""))


def raw_extra(kind):
    """An extra for `send` of any type, which says nothing else."""
    return bytes([kind, 0, 0, 0, 0, 0, 0, 0])


def hash_value(value, kind, algorithm=1):
    """An extra for `send`: the packet's hash; `kind` 0 to 3 for IPv4, IPv4 TCP, IPv6, IPv6 TCP."""
    return struct.pack("=BBBBI", 4, 0, kind, algorithm, value)


@dataclass
class Packet:
    """A packet that the peer received."""

    data: bytes      # Empty when the backend reported an error.
    queue: int
    blank: bool      # The checksum is that of the pseudo header.
    validated: bool  # The checksum is said to be right.
    slots: int       # Slots that it took, extras included.
    pieces: list     # [offset, length] of each data slot; the length is None for an error.
    gso: tuple       # (payload of a segment, 1 for TCP over IPv4 or 2 over IPv6), or None.
    hash: tuple      # (value, kind), or None.
    headroom: int    # What the XDP extra says, or 0.


def _packet(seen):
    gso_seen, hash_seen = seen.get("gso"), seen.get("hash")
    return Packet(
        data=bytes.fromhex(seen["frame"]), queue=seen["queue"], blank=bool(seen["flags"] & _RX_BLANK),
        validated=bool(seen["flags"] & _RX_VALIDATED), slots=seen["slots"], pieces=seen["pieces"],
        gso=(gso_seen["size"], gso_seen["kind"]) if gso_seen else None,
        hash=(hash_seen["value"], hash_seen["kind"]) if hash_seen else None,
        headroom=seen.get("xdp", {"headroom": 0})["headroom"])


class Peer(Frontend):
    """A device and its frontend. It is not connected before `connect`."""

    def __init__(self, handle=0, queues=1, split=False, control=False, keys=(), hotplug="connected",
                 backend_keys=(), tolerant=False, strict=None, start=0):
        """`keys` are more keys of the frontend, or other values; None leaves out one of the usual.
        `hotplug` is what the backend's `hotplug-status` is from the start; None for none.
        `strict` asks for whole packets in each publication, which is the default for our driver.
        The indices of its rings begin at `start`."""
        super().__init__({"hotplug-status": hotplug, **dict(backend_keys)}, handle)
        self.queues = queues
        self.keys = {"request-rx-copy": 1, "feature-rx-notify": 1, "feature-sg": 1, "feature-gso-tcpv4": 1,
                     "feature-gso-tcpv6": 1, "feature-ipv6-csum-offload": 1,
                     "multi-queue-num-queues": queues if queues > 1 else None}
        self.keys.update(keys)
        self.tolerant = tolerant
        self.violations = []
        self._layout = {"queues": queues, "split": split, "control": control, "start": start}
        self._headroom = 0
        if not _LIMIT.exists():
            run("modprobe", "xen-gntalloc")
        _LIMIT.write_text("100000")
        strict = driver.loaded("rust") if strict is None else strict
        self._program = subprocess.Popen([PROGRAM, self.path, "0", *(["strict"] if strict else [])],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._answers = b""
        self.wait(2)

    def keep_on(self, *processors):
        """Keeps the program, with all that it does from now on, on some processors."""
        os.sched_setaffinity(self._program.pid, processors)

    # What the program does.

    def call(self, do, seconds=5.0, **arguments):
        """Gives the program one of the commands of tests/hostile/src/commands.rs; returns its answer."""
        self.start(do, seconds=seconds, **arguments)
        return self.finish(seconds)

    def start(self, do, seconds=5.0, **arguments):
        """Gives the program a command without waiting for its answer."""
        self._program.stdin.write(json.dumps({"do": do, "seconds": seconds, **arguments}).encode() + b"\n")
        self._program.stdin.flush()

    def finish(self, seconds=5.0):
        """The answer to the oldest command that was started."""
        end = time.monotonic() + seconds + 30
        while b"\n" not in self._answers:
            ready = select.select([self._program.stdout], [], [], max(0, end - time.monotonic()))[0]
            more = os.read(self._program.stdout.fileno(), 1 << 20) if ready else b""
            if not more:
                raise Failed(f"{self.name}: the frontend answers", "it " + ("has ended" if ready else "is late"))
            self._answers += more
        line, _, self._answers = self._answers.partition(b"\n")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(f"{self.name}: the frontend does what it is told", answer["error"])
        broken = [f"{rule}: {detail}" for rule, detail in answer.get("violations", ())]
        self.violations += broken
        if broken and not self.tolerant:
            raise Broken(f"{self.name}: the backend keeps the rules", "\n".join(broken))
        return answer

    # The device.

    def write(self, key, value):
        """Writes a node in the frontend's directory (`backend/KEY` for the backend's); None removes it."""
        self.call("write", keys={key: None if value is None else str(value)})

    def set_state(self, state):
        """Writes the frontend's state."""
        self.write("state", state)

    def rings(self):
        """Makes fresh rings; returns the keys of a frontend that uses them, as `connect` writes them."""
        keys = self.call("rings", **self._layout)["keys"]
        return {**keys, **{key: value for key, value in self.keys.items() if value is not None}}

    def connect(self, up=True, seconds=10):
        """Connects with fresh rings, from the backend's state 2 to 4 at both ends. No buffer is posted.
        The interface is up unless `up` is false; the host's own packets are kept away from it."""
        keys = self.rings()
        self.publish({})
        self.call("write", keys={key: str(value) for key, value in keys.items()})
        if up:
            self.up()
        self.set_state(4)
        self.wait(4, seconds)
        if up:
            self.wait_carrier(seconds)

    def up(self, mtu=None):
        """Sets the interface up, without anything that makes packets by itself."""
        Path(f"/proc/sys/net/ipv6/conf/{self.name}/disable_ipv6").write_text("1")
        if mtu:
            self._sysfs("mtu").write_text(str(mtu))
        self._set_up()

    def _sysfs(self, attribute):
        return Path("/sys/class/net", self.name, attribute)

    def _set_up(self):
        flags = self._sysfs("flags")
        flags.write_text(hex(int(flags.read_text(), 16) | _UP))

    def carrier(self):
        """Whether the interface has a carrier; false while it is down."""
        try:
            return self._sysfs("carrier").read_text().strip() == "1"
        except OSError:
            return False

    def wait_carrier(self, seconds=10):
        """Waits until the interface has a carrier, and takes packets from the host."""
        wait_for(f"{self.name} has a carrier", seconds, self.carrier)
        state = self._sysfs("operstate")
        wait_for(f"{self.name} is up", seconds, lambda: state.read_text().strip() == "up")
        # This takes the lock under which the queues are put into use.
        self._set_up()

    def counter(self, name):
        """One of the interface's statistics, of `ethtool -S`."""
        for line in run("ethtool", "-S", self.name).splitlines():
            if line.strip().startswith(f"{name}:"):
                return int(line.rpartition(":")[2])
        raise Failed(f"{self.name} counts {name}", run("ethtool", "-S", self.name))

    def disconnect(self):
        """Closes in order: both ends in state 6, no rings."""
        self.set_state(5)
        self.wait(5)
        self.set_state(6)
        self.wait(6)
        self.call("release")
        self._headroom = 0

    def reconnect(self):
        """Closes and connects again, with fresh rings."""
        self.disconnect()
        self.set_state(1)
        self.wait(2)
        self.connect()

    def close(self):
        """The device goes as a toolstack takes it; the frontend ends."""
        self.remove()
        self.end()

    def vanish(self):
        """The frontend's domain is gone at once, as the backend sees it."""
        self._program.kill()
        self.end()
        xenstore.remove(self.path)
        self.gone()

    def end(self):
        """Ends the program, which gives back rings, buffers and ports."""
        self._program.stdin.close()
        self._program.wait(30)
        self._program.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        if failed:
            self._program.kill()
        elif self._program.returncode is None:
            self.close()

    # Packets.

    def post(self, queue=0, count=256, quiet=False):
        """Posts receive buffers, as many as fit into the ring at most; returns how many. A `quiet`
        frontend does not notify the backend, even if that has asked for it."""
        return self.call("post", queue=queue, count=count, quiet=quiet)["posted"]

    def post_bad(self, count, bad, gref, queue=0):
        """Posts receive buffers at once, of which the one numbered `bad` is said to be another page."""
        self.call("post", queue=queue, count=count, bad=bad, gref=gref)

    def send(self, queue, frame, slots=None, extras=(), flags=0, seconds=5):
        """Sends a frame; returns the status of each slot, or None when it is not answered in time.

        `slots`: the sizes of the pieces in which it is sent, by default as large as possible. Instead of
        a size there may be {"size": n, "at": offset in its page, "claims": {...}}, where the claims are
        fields of the request (gref, offset, flags, id, size) which are not the truth. `extras` are from
        `gso`, `multicast` and `hash_value`. `flags` are BLANK and VALIDATED."""
        return self.send_many(queue, [self.packet(frame, slots, extras, flags)], seconds)[0]

    def send_many(self, queue, packets, seconds=5):
        """Sends several packets, made by `packet`, as one batch where there is room; returns the statuses
        of each as `send` does."""
        return self.call("send", seconds, queue=queue, packets=packets)["statuses"]

    @staticmethod
    def packet(frame, slots=None, extras=(), flags=0):
        """A packet for `send_many`; the arguments are those of `send`."""
        if slots is None:
            slots = [min(LARGEST_SLOT, len(frame) - at) for at in range(0, max(len(frame), 1), LARGEST_SLOT)]
        return {"frame": frame.hex(), "slots": slots, "extras": [extra.hex() for extra in extras], "flags": flags}

    def receive(self, queue=None, seconds=5, count=1, refill=True):
        """Waits for `count` packets from a queue, or from all; returns those that came in time, and
        perhaps more. Unless `refill` is false, as many buffers are posted as they have used."""
        queues = None if queue is None else [queue]
        seen = self.call("receive", seconds, queues=queues, count=count, refill=refill)["packets"]
        return [_packet(one) for one in seen]

    def trickle(self, queue=0, count=1, window=1, seconds=5):
        """Receives `count` packets, or those that come in time, into buffers that are posted one by one, of
        which `window` at most wait; returns (length, the first bytes, slots) of each."""
        seen = self.call("trickle", seconds, queue=queue, count=count, window=window)["packets"]
        return [(length, bytes.fromhex(head), slots) for length, head, slots in seen]

    def control(self, kind, d0=0, d1=0, d2=0, page=None, seconds=5):
        """Asks the control ring; returns (status, data), both None when there is no answer. The bytes
        `page` are granted to the backend in a page whose reference takes the place of `d0`."""
        arguments = {} if page is None else {"page": page.hex()}
        answer = self.call("control", seconds, kind=kind, data=[d0, d1, d2], **arguments)
        return answer["status"], answer["data"]

    def multicast_add(self, address, queue=0):
        """Asks for frames to a multicast address; returns the status."""
        return self._multicast(queue, multicast(address))

    def multicast_delete(self, address, queue=0):
        """Asks for no frames to a multicast address any more; returns the status."""
        return self._multicast(queue, multicast(address, add=False))

    def _multicast(self, queue, extra):
        packet = self.packet(b"", [{"size": 0, "claims": {"gref": 0}}], [extra])
        (statuses,) = self.send_many(queue, [packet])
        return None if statuses is None else statuses[0]

    def wish(self, size, granted=None):
        """Writes that it wants `size` bytes before the data of each packet, of which it expects those to be granted."""
        granted = size if granted is None else granted
        self.call("expect", headrooms=[self._headroom, granted])
        self.write("xdp-headroom", size)
        self._headroom = granted

    def headroom(self, size, granted=None):
        """The same, and asks the backend to look, as a frontend with an XDP program does."""
        self.wish(size, granted)
        self.set_state(7)
        self.wait(8)
        self.set_state(4)

    def settle(self, wire):
        """Waits until frames from the wire come with the headroom that was asked for last; from then on none may come
        with another. The backend goes on showing that it has answered the first such wish."""
        frame = frames.ethernet(self.mac, HOST_MAC, 0x88B5, bytes(46))

        def taken_up():
            wire.send(frame)
            return [packet.headroom for packet in self.receive(0)][-1:] == [self._headroom]

        wait_for(f"{self.name} leaves {self._headroom} bytes before the data", 5, taken_up)
        self.call("expect", headrooms=[self._headroom])

    # What no frontend does.

    def notify(self, ring="rx", queue=0, count=1):
        """Sends events for a ring ("tx", "rx" or "control"), whether there is a reason or not."""
        self.call("notify", ring=ring, queue=queue, count=count)

    def indices(self, ring, queue=0):
        """(req_prod, req_event, rsp_prod, rsp_event) of a ring as they stand in its page."""
        return tuple(self.call("indices", ring=ring, queue=queue)["shared"])

    def poke(self, offset, data, **page):
        """Writes into a granted page: `ring` and `queue` name a ring, with `buffer` one of its buffers;
        `gref` one from `grant`."""
        self.call("poke", offset=offset, bytes=data.hex(), **page)

    def peek(self, offset, size, **page):
        """Reads a granted page, named as in `poke`."""
        return bytes.fromhex(self.call("peek", offset=offset, len=size, **page)["bytes"])

    def grant(self, data=b"", writable=True):
        """Grants a page that begins with `data`; returns its reference."""
        return self.call("grant", bytes=data.hex(), writable=writable)["gref"]

    def revoke(self, **page):
        """Takes a grant back: of a `gref` from `grant`, or of a `buffer` of a `ring` and `queue`."""
        self.call("revoke", **page)

    def storm(self, ring, queue=0):
        """Sends events for a ring without end, until `calm`."""
        self.call("storm", ring=ring, queue=queue)

    def overfill(self, ring, groups, queue=0):
        """Keeps a ring as full as it can be with `groups` of requests in turn, each a list of their bytes, and
        sends events, until `calm`; no answer is read. The ring is of no other use before it is made anew."""
        self.call("overfill", ring=ring, queue=queue, groups=[[one.hex() for one in group] for group in groups])

    def flip(self, offset, values, **page):
        """Writes one of the values after the other into a granted page, named as in `poke`, until `calm`."""
        self.call("flip", offset=offset, values=[value.hex() for value in values], **page)

    def rewrite(self, key, values):
        """Writes one of the values after the other to a node, as `write` names it, until `calm`."""
        self.call("rewrite", key=key, values=[str(value) for value in values])

    def calm(self):
        """Ends all that goes on by itself; returns how often each did what it does."""
        return self.call("calm")["rounds"]
