# SPDX-License-Identifier: GPL-2.0
"""An XDP program in a guest is attached and detached under way; frames of one slot pass, others are not made."""

import time

from rig import driver, guest, vif
from rig.checks import run as command, wait_for
from rig.peer import Peer
from rig.traffic import Pinger, iperf, ping, transfer
from rig.wire import Wire

LIMIT = 180
# With the C driver frames of more than 3584 bytes are lost.
ONLY_WITH = "rust"
# What is left of a slot behind Linux' headroom, and the MTU that goes with it.
LARGEST = 3840
MTU = LARGEST - 14
# Bytes of a ping's frame before its payload.
HEADERS = 14 + 20 + 8
# Changes of the headroom in five seconds after which there are no more; pairs of them that are tried; the seconds
# after which there may be more.
ALLOWED, MOST, QUIET = 10, 100, 6
SIZES = (60, 61, 128, 256, 257, 1000, 1514, 2048, 3583, 3584, 3585, 3839, LARGEST)


def all_sizes(t, what, link):
    """Pings of all sizes that fit into one slot."""
    lost = [size for size in SIZES if ping(link.address, count=2, size=size - HEADERS, interval="0.02",
                                           extra=("-M", "do"))[1] != 2]
    t.equal(f"{what}: frames of {SIZES[0]} to {SIZES[-1]} bytes that did not come back", lost, [])


class Program:
    """An XDP program that ends each packet in one way, attached in the guest while this is open."""

    def __init__(self, this, name, action):
        self._guest = this
        this.run(f"traffic xdp {name} {action} >/tmp/xdp 2>&1 </dev/null &")
        said = wait_for("the program is attached", 15, lambda: this.run("cat /tmp/xdp"))
        assert said == "attached", said

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._guest.run("killall traffic")
        wait_for("the program is detached", 15, lambda: not self._guest.run("pidof traffic", ok=False))


def connected(t, what, link):
    """Both ends are connected; the backend shows still that it has answered, once it has."""
    t.eventually(f"{what}: both ends are connected", 10, lambda: link.states() in (("4", "4"), ("8", "4")))


def in_guest(t):
    this = guest.get("pv1")
    link = vif.attach(this, number=2)
    for name in (vif.BRIDGE, link.name):
        command("ip", "link", "set", name, "mtu", MTU)
    name = link.configure(mtu=MTU)
    command("ping", "-c", 1, "-W", 5, link.address)
    all_sizes(t, "before", link)
    t.check("before: segmentation is left to the guest", vif.segmentation(link.name))
    for turn in ("first", "second"):
        with Program(this, name, "pass"):
            connected(t, f"{turn} program attached", link)
            t.check(f"{turn} program attached: segmentation is not left to the guest", not vif.segmentation(link.name))
            all_sizes(t, f"{turn} program attached", link)
            t.at_least(f"{turn} program attached: bulk to the guest", iperf(this, link, 1), 1, "Mbit/s")
            t.equal(f"{turn} program attached: TCP streams that did not arrive whole", transfer(this, link.address), [])
        connected(t, f"{turn} program detached", link)
        t.eventually(f"{turn} program detached: segmentation is left to the guest", 5, lambda: vif.segmentation(link.name))
        all_sizes(t, f"{turn} program detached", link)
    with Program(this, name, "drop"):
        connected(t, "a program that drops", link)
        t.equal("a program that drops: answers", ping(link.address, count=5, extra=("-W", "1"))[1], 0)
    connected(t, "detached again", link)
    pings = Pinger(link.address, interval="0.05")
    for _ in range(5):
        with Program(this, name, "pass"):
            pass
    sent, received = pings.stop()
    t.at_least("attached and detached five times under traffic: answers", received, sent * 0.7, f"of {sent}")
    connected(t, "in the end", link)
    command("ip", "link", "set", vif.BRIDGE, "mtu", "1500")


def frame(peer, size):
    """A frame that says nothing."""
    return bytes.fromhex(peer.mac.replace(":", "")) + bytes.fromhex("02000000000288b5") + bytes(size - 14)


def laid_out(t, peer, wire, headroom, sizes):
    """Frames come with the headroom, in as many slots as it takes."""
    room = 4096 - headroom
    wrong = []
    for size in sizes:
        wire.send(frame(peer, size))
        packets = peer.receive(0)
        seen = [(len(packet.data), packet.headroom, packet.pieces) for packet in packets]
        lengths = [min(room, size - at) for at in range(0, size, room)]
        if seen != [(size, headroom, [[headroom, length] for length in lengths])]:
            wrong.append(f"{size}: {seen}")
    t.check(f"headroom {headroom}: layout of frames of {sizes[0]} to {sizes[-1]} bytes", not wrong, "\n".join(wrong))


def from_a_peer(t):
    with Peer() as peer:
        peer.connect()
        peer.up(mtu=9000)
        peer.post(0)
        with Wire(peer.name) as wire:
            laid_out(t, peer, wire, 0, (60, LARGEST, LARGEST + 1, 4096, 4097, 9014))
            # A frontend that has nothing to change.
            for _ in range(3):
                peer.set_state(7)
                peer.wait(8)
                peer.set_state(4)
            laid_out(t, peer, wire, 0, (60, LARGEST + 1))
            t.check("a frontend that reconfigures nothing: segmentation is left to it", vif.segmentation(peer.name))
            for headroom in (256, 1, 455, 0, 256):
                peer.headroom(headroom)
                peer.settle(wire)
                laid_out(t, peer, wire, headroom, (60, LARGEST, LARGEST + 1, 4096 - headroom, 4097 - headroom, 9014))
                t.eventually(f"headroom {headroom}: segmentation is left to the guest or not", 5,
                             lambda: vif.segmentation(peer.name) == (headroom == 0))
            for value in (456, 4096, 65535, 4294967295):
                peer.headroom(value, 455)
                peer.settle(wire)
                laid_out(t, peer, wire, 455, (60, 9014))
            # What is written after the answer counts when the frontend goes on.
            peer.set_state(7)
            peer.wait(8)
            peer.wish("none", 0)
            peer.set_state(4)
            peer.settle(wire)
            laid_out(t, peer, wire, 0, (60, 9014))
            peer.keys["xdp-headroom"] = 128
            peer.call("expect", headrooms=[128])
            peer.reconnect()
            peer.call("expect", headrooms=[128])
            peer.post(0)
            laid_out(t, peer, wire, 128, (60, 4000))
            t.check("a new connection begins with its headroom: no segmentation", not vif.segmentation(peer.name))


def restless(t):
    """A frontend that changes its headroom all the time goes on, and all of the host does not hear of each change.

    Fails when every change is allowed (`Budget::allowed`)."""
    def change_twice():
        for headroom in (256, 0):
            peer.headroom(headroom)
            peer.settle(wire)

    with Peer() as peer:
        peer.connect()
        peer.post(0)
        with Wire(peer.name) as wire:
            # How many it takes depends on how many there are in five seconds.
            for pairs in range(1, MOST + 1):
                change_twice()
                if 2 * pairs > ALLOWED and not vif.segmentation(peer.name):
                    break
            t.check("many changes: segmentation is not left to the guest any more", not vif.segmentation(peer.name))
            laid_out(t, peer, wire, 0, (60, 1514))
            time.sleep(QUIET)
            change_twice()
        t.eventually("a change after a while: it is again", 5, lambda: vif.segmentation(peer.name))


def not_offered(t):
    command("sh", "-c", "echo N >/sys/module/xen_netback_rs/parameters/provides_xdp_headroom")
    with Peer(keys={"xdp-headroom": 256}) as peer:
        command("sh", "-c", "echo Y >/sys/module/xen_netback_rs/parameters/provides_xdp_headroom")
        t.equal("not offered: feature-xdp-headroom", command("xenstore-read", f"{peer.backend}/feature-xdp-headroom").strip(), "0")
        peer.call("expect", headrooms=[0])
        peer.connect()
        peer.post(0)
        with Wire(peer.name) as wire:
            laid_out(t, peer, wire, 0, (60, 1514))
            peer.set_state(7)
            peer.wait(8)
            peer.set_state(4)
            laid_out(t, peer, wire, 0, (60, 1514))


def run(t):
    driver.use(t.driver)
    from_a_peer(t)
    restless(t)
    not_offered(t)
    in_guest(t)
