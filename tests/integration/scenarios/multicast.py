# SPDX-License-Identifier: GPL-2.0
"""A guest filters multicast frames: by addresses that it names, switched at any time, whoever sends."""

from rig import driver
from rig.checks import Failed
from rig.checks import run as command
from rig.peer import ERROR, OKAY, Peer, multicast
from rig.trace import Losses
from rig.wire import Wire

LIMIT = 120
KEY = "request-multicast-control"
MOST = 64
BROADCAST = "ff:ff:ff:ff:ff:ff"
WANTED, OTHER = "01:00:5e:00:00:01", "33:33:00:00:00:02"


def address(number):
    """One of many multicast addresses."""
    return f"01:00:5e:7f:{number >> 8:02x}:{number & 255:02x}"


def frame(destination):
    """A frame that no host answers."""
    return bytes.fromhex(destination.replace(":", "")) + bytes.fromhex("02000000000288b5") + bytes(50)


def passes(peer, wire, destination):
    """Whether a frame that is sent on the wire comes to the peer. A frame to the peer alone follows it."""
    wanted, marker = frame(destination), frame(peer.mac)
    wire.send(wanted)
    wire.send(marker)
    got = []
    while marker not in got:
        packets = peer.receive(0, seconds=5)
        if not packets:
            raise Failed("a frame to the guest alone arrives", "it does not")
        got += [packet.data for packet in packets]
    return wanted in got


def forwarded(t, peer, outside):
    """What the bridge forwards from another interface."""
    peer.write(KEY, 0)
    t.check("forwarded: without a filter a frame to any group arrives", passes(peer, outside, OTHER))
    peer.write(KEY, 1)
    t.eventually("forwarded: switched on, a group that was not named is filtered", 5,
                 lambda: not passes(peer, outside, OTHER))
    counted = int(peer.counter("guest_rx_multicast_filtered")) if t.driver == "rust" else 0
    t.equal("a group is named", peer.multicast_add(WANTED), OKAY)
    t.check("forwarded: its frames arrive", passes(peer, outside, WANTED))
    t.check("forwarded: others do not", not passes(peer, outside, OTHER))
    if t.driver == "rust":
        t.equal("what is filtered is counted", peer.counter("guest_rx_multicast_filtered") - counted, 1)
        with Losses() as losses:
            passes(peer, outside, OTHER)
            t.check("and lost by the filter", "TAP_TXFILTER" in losses.reasons(), losses.reasons())
    t.check("forwarded: a broadcast arrives", passes(peer, outside, BROADCAST))
    t.equal("a group that was never named is taken back", peer.multicast_delete(OTHER), OKAY)
    t.equal("the group is taken back", peer.multicast_delete(WANTED), OKAY)
    t.check("forwarded: its frames do not arrive any more", not passes(peer, outside, WANTED))
    peer.write(KEY, 0)
    t.eventually("forwarded: switched off, they do", 5, lambda: passes(peer, outside, WANTED))


def own(t, peer, wire):
    """What the host itself sends, and what a filter does with addresses."""
    peer.multicast_add(WANTED)
    peer.write(KEY, 1)
    t.eventually("from the host: a group that was not named is filtered", 5, lambda: not passes(peer, wire, OTHER))
    t.check("from the host: a group that was named before the filter is switched on arrives",
            passes(peer, wire, WANTED))
    t.check("from the host: a broadcast arrives", passes(peer, wire, BROADCAST))

    for _ in range(3):
        peer.multicast_add(WANTED)
    added = [peer.multicast_add(address(number)) for number in range(MOST)]
    t.equal("a group that is named again takes no place", added, [OKAY] * (MOST - 1) + [ERROR])
    t.check("the last one that found a place arrives", passes(peer, wire, address(MOST - 2)))
    t.check("the one that found none does not", not passes(peer, wire, address(MOST - 1)))
    t.equal("a group that is known is not refused", peer.multicast_add(address(0)), OKAY)
    peer.multicast_delete(WANTED)
    t.equal("one more is remembered for one that is taken back", peer.multicast_add(address(MOST - 1)), OKAY)
    t.check("and arrives", passes(peer, wire, address(MOST - 1)))

    for value in ("", "yes", "-1", "4294967296"):
        peer.write(KEY, value)
        t.eventually(f"the key {value!r} switches the filter off", 5, lambda: passes(peer, wire, OTHER))
        peer.write(KEY, 1)
        t.eventually("and 1 on", 5, lambda: not passes(peer, wire, OTHER))
    for turn in range(300):
        peer.write(KEY, turn % 2)
    t.eventually("switched 300 times, it is as it was left", 5, lambda: not passes(peer, wire, OTHER))

    peer.keys[KEY] = 1
    peer.reconnect()
    peer.post(0)
    t.check("a new connection begins with the filter that it asks for", not passes(peer, wire, OTHER))
    t.check("and without the addresses of the one before", not passes(peer, wire, address(0)))
    added = [peer.multicast_add(address(number)) for number in range(MOST)]
    t.equal("and with room for all", added, [OKAY] * MOST)
    peer.keys[KEY] = None
    peer.reconnect()
    peer.post(0)
    t.check("and without a filter when it asks for none", passes(peer, wire, OTHER))


def several_queues(t):
    """Addresses are named and taken back by two queues at a time."""
    driver.unload(t.driver)
    driver.load(t.driver, "max_queues=2")
    with Peer(queues=2, keys={KEY: 1}) as peer:
        peer.connect()
        add = [peer.packet(b"", [{"size": 0, "claims": {"gref": 0}}], [multicast(address(number))])
               for number in range(MOST)]
        delete = [peer.packet(b"", [{"size": 0, "claims": {"gref": 0}}], [multicast(address(number), add=False)])
                  for number in range(MOST)]
        for turn in range(5):
            for queue in range(2):
                peer.start("send", queue=queue, packets=add)
            answers = [peer.finish()["statuses"] for _ in range(2)]
            wrong = [one for each in answers for one in each if one is None or one[0] != OKAY]
            t.check(f"turn {turn + 1}: both queues name the same {MOST} groups", not wrong, wrong)
            t.equal(f"turn {turn + 1}: and there is no room for another one", peer.multicast_add(WANTED, queue=1), ERROR)
            for queue in range(2):
                peer.start("send", queue=queue, packets=delete)
            for _ in range(2):
                peer.finish()
            t.equal(f"turn {turn + 1}: all taken back by both, there is", peer.multicast_add(WANTED), OKAY)
            peer.multicast_delete(WANTED, queue=1)


def run(t):
    driver.use(t.driver)
    # An address for the outside, a bridge, and the guest.
    command("ip", "link", "add", "outside", "type", "veth", "peer", "name", "inside")
    command("ip", "link", "add", "groups", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
    try:
        for name in ("outside", "inside", "groups"):
            command("sh", "-c", f"echo 1 >/proc/sys/net/ipv6/conf/{name}/disable_ipv6; ip link set {name} up")
        command("ip", "link", "set", "inside", "master", "groups")
        with Peer() as peer, Wire("outside") as outside:
            peer.connect()
            peer.post(0)
            command("ip", "link", "set", peer.name, "master", "groups")
            forwarded(t, peer, outside)
            if t.driver == "rust":
                # The C driver filters only what is forwarded, and remembers an address as often as it is named.
                with Wire(peer.name) as wire:
                    own(t, peer, wire)
    finally:
        command("ip", "link", "del", "outside")
        command("ip", "link", "del", "groups")
    if t.driver == "rust":
        several_queues(t)
