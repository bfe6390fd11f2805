# SPDX-License-Identifier: GPL-2.0
"""Frames of every kind go both ways byte by byte, with and without VLAN tags, as large as they are announced."""

from rig import driver, guest, vif
from rig.checks import run as command
from rig.kinds import SERVICE_VLAN, TCP, UDP, VLAN, Kind, Side, exchange
from rig.traffic import ping

LIMIT = 120
SCTP, HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION = 132, 0, 43, 44, 51, 60

OTHER = [Kind(f"{name}, {14 + size} bytes", ethertype=ethertype, size=size) for name, ethertype, size in (
    ("only a header", 0x88b5, 0), ("one byte", 0x88b5, 1), ("ARP", 0x0806, 28), ("one byte too short", 0x88b5, 45),
    ("the least of Ethernet", 0x88b5, 46), ("LLDP", 0x88cc, 64), ("IPX", 0x8137, 90), ("802.3", 38, 38),
    ("full", 0x88b5, 1500))]
PLAIN = [Kind(f"{transport} over IPv{6 if v6 else 4}", v6=v6, protocol=protocol)
         for v6 in (False, True) for transport, protocol in (("UDP", UDP), ("TCP", TCP))]
WHOLE = [
    Kind("UDP over IPv4 without checksum", no_checksum=True),
    Kind("UDP, of odd length", size=101),
    Kind("UDP, without payload", size=0),
    Kind("first fragment", fragment=0x2000),
    Kind("last fragment", fragment=0x0010),
    Kind("fragment of IPv6", v6=True, extensions=((FRAGMENT, 8),), no_checksum=True),
    Kind("SCTP", protocol=SCTP),
    Kind("ESP over IPv6", v6=True, protocol=50),
]
CHAINS = (((HOP_BY_HOP, 8),), ((DESTINATION, 24),), ((ROUTING, 24), (DESTINATION, 16)),
          ((HOP_BY_HOP, 40), (DESTINATION, 104)))
LONG_HEADERS = [Kind("TCP behind options of IPv4", protocol=TCP, options=40, tcp_words=15)] + [
    Kind(f"{transport} behind {sum(length for _, length in chain)} bytes of extensions", v6=True, protocol=protocol,
         extensions=chain) for chain in CHAINS for transport, protocol in (("TCP", TCP), ("UDP", UDP))]
STACKS = ((VLAN,), (SERVICE_VLAN,), (SERVICE_VLAN, VLAN), (VLAN, VLAN))


def kinds():
    """What an Ethernet carries, as hosts with offloads send it."""
    claimed = [kind.unfinished() for kind in PLAIN + LONG_HEADERS]
    claimed += [kind.uncut() for kind in PLAIN + LONG_HEADERS if kind.protocol == TCP]
    yield from OTHER + WHOLE + PLAIN + claimed
    for tags in STACKS:
        for kind in [OTHER[2], *PLAIN, PLAIN[0].unfinished(), PLAIN[3].unfinished(), PLAIN[1].uncut(), PLAIN[3].uncut()]:
            yield kind.tagged(*tags)
    yield LONG_HEADERS[4].unfinished().tagged(SERVICE_VLAN, VLAN)
    yield LONG_HEADERS[3].uncut().tagged(VLAN)


def wrong_claims():
    """What no host sends: checksums and segments of what has none."""
    yield Kind("SCTP", protocol=SCTP).unfinished()
    yield Kind("first fragment", fragment=0x2000).unfinished()
    yield Kind("fragment of IPv6", v6=True, extensions=((FRAGMENT, 8),)).unfinished()
    yield PLAIN[0].unfinished().tagged(VLAN, VLAN, VLAN)
    yield PLAIN[0].uncut()
    yield Kind("TCP behind authentication", v6=True, protocol=TCP, extensions=((AUTHENTICATION, 16),)).uncut()


def as_untagged(kind):
    """A guest's stack computes the checksum of what it knows to be tagged, or to have extensions; so
    that frames leave as other systems send them, it is not told."""
    if kind.ethertype or not (kind.tags or kind.extensions) or not (kind.blank or kind.gso):
        return None
    return 0x0800


def compare(t, what, sent, arrived, expected):
    """Checks that every kind arrived as expected: a list of bytes for each."""
    wrong = []
    for kind, frames, wanted in zip(sent, arrived, expected):
        got = [frame.data for frame in frames]
        if got != wanted:
            shown = [f"{len(data)} {data.hex()[:400]}" for data in got]
            wrong += [f"{kind.name}: got", *shown, "instead of", *(f"{len(data)} {data.hex()[:400]}" for data in wanted)]
    t.check(f"{what}: {len(sent)} kinds of frames", not wrong, "\n".join(wrong[:30]))


def run(t):
    driver.use(t.driver)
    pv1 = guest.get("pv1")
    link = vif.attach(pv1, number=2)
    name = link.configure()
    # Its guest's stack merges segments of one stream again.
    pv1.run(f"ethtool -K {name} gro off")
    # A wire on the bridge: what leaves through it is finished, what comes from it need not be.
    command("ip", "link", "add", "wire0", "type", "veth", "peer", "name", "wire1")
    command("ip", "link", "set", "wire0", "master", vif.BRIDGE, "up")
    command("ip", "link", "set", "wire1", "up")
    command("ethtool", "-K", "wire0", "tx", "off", "gso", "on")
    wire, inside = Side("wire1"), Side(name, pv1)

    # The C driver does not look behind tags.
    sent = [kind for kind in kinds() if t.driver == "rust" or not (kind.tags and (kind.blank or kind.gso))]
    arrived = exchange(inside, wire, sent, as_untagged)
    compare(t, "from the guest, cut and with checksums when they leave", sent, arrived,
            [kind.segments(number) for number, kind in enumerate(sent)])
    t.check("no checksum is left to others", not any(frame.said[0] for frames in arrived for frame in frames))

    sent = list(kinds())
    arrived = exchange(wire, inside, sent)
    # A guest's stack does not find the headers behind these.
    hidden = [bool(kind.tags or kind.extensions) for kind in sent]
    compare(t, "to the guest", sent, arrived,
            [kind.segments(number) if hidden[number] else [kind.whole(number)] for number, kind in enumerate(sent)])
    wrong = [kind.name for kind, frames, hides in zip(sent, arrived, hidden) for frame in frames
             if frame.said != ((False, 0, 0) if hides else kind.said())]
    t.check("the guest is left what it can do, and no more", not wrong, "\n".join(wrong))

    if t.driver == "rust":
        before = link.counter("guest_tx_bad_offload")
        sent = list(wrong_claims())
        arrived = exchange(inside, wire, sent, lambda kind: 0x0800)
        compare(t, "dropped because of wrong claims", sent, arrived, [[] for _ in sent])
        t.equal("all of them are counted", link.counter("guest_tx_bad_offload") - before, len(sent))
    link.configure()
    sent, received = ping(link.address, count=5)
    t.equal("ping without loss afterwards", received, sent)
    command("ip", "link", "delete", "wire0")
