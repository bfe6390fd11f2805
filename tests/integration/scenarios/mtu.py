# SPDX-License-Identifier: GPL-2.0
"""Every MTU from the least to the largest: refused beyond, and whole packets of that size both ways."""

import os
from pathlib import Path

from rig import driver, frames, guest, vif
from rig.checks import run as command
from rig.peer import HOST_MAC, Peer
from rig.traffic import echo, ping, transfer
from rig.wire import Wire

LIMIT = 120
LEAST, LARGEST = 68, 65517
HEADERS = 20 + 8
STREAM = 1 << 20


def without_scatter_gather(t):
    """A frontend to which every packet has to fit into one slot."""
    with Peer(keys={"feature-sg": 0, "feature-gso-tcpv4": 0, "feature-gso-tcpv6": 0}) as peer, Wire(peer.name) as wire:
        peer.up(mtu=9000)
        peer.connect()
        mtu = Path("/sys/class/net", peer.name, "mtu")
        t.equal("MTU of 9000 after a frontend without scatter-gather connected", mtu.read_text().strip(), "1500")
        command("ip", "link", "set", peer.name, "mtu", 1501, ok=(2,))
        t.equal("MTU after 1501 was refused", mtu.read_text().strip(), "1500")
        peer.post()
        full = frames.ethernet(peer.mac, HOST_MAC, 0x88b5, os.urandom(1500))
        wire.send(full)
        arrived = [(packet.data, packet.slots) for packet in peer.receive()]
        t.check("a full frame arrives in one slot", arrived == [(full, 1)], arrived)
        large = frames.tcp((HOST_MAC, peer.mac), ("10.8.0.1", "10.8.0.2"), (5000, 5001), os.urandom(4000), blank=True)
        wire.send(large, gso=(1448, 1), blank=frames.blank_at(large))
        t.equal("a large packet arrives in segments: (bytes, slots)",
                [(len(packet.data), packet.slots) for packet in peer.receive(count=3)],
                [(1502, 1), (1502, 1), (1158, 1)])


def run(t):
    driver.use(t.driver)
    without_scatter_gather(t)
    this = guest.get("pv1")
    link = vif.attach(this, number=2)
    name = link.configure()
    this.run("traffic echo 7000 >/dev/null 2>&1 </dev/null &")

    def set_mtu(mtu, inside=None):
        command("ip", "link", "set", link.name, "mtu", mtu)
        command("ip", "link", "set", vif.BRIDGE, "mtu", mtu)
        this.run(f"ip link set {name} mtu {inside or mtu}")

    for mtu in (LEAST - 1, LARGEST + 1):
        command("ip", "link", "set", link.name, "mtu", mtu, ok=(2,))
        t.equal(f"MTU after {mtu} was refused", link.sysfs("mtu"), "1500")

    for mtu in (9000, LARGEST, 576, LEAST):
        set_mtu(mtu)
        t.equal("MTU as set", link.sysfs("mtu"), str(mtu))
        sent, received = ping(link.address, count=3, size=mtu - HEADERS, extra=("-M", "do"))
        t.equal(f"MTU {mtu}: the largest packets, whole", received, sent)
        shown = command("ping", "-c", 1, "-W", 1, "-s", mtu - HEADERS + 1, "-M", "do", link.address, ok=(1, 2))
        t.check(f"MTU {mtu}: larger ones are the stack's to refuse", "too long" in shown, shown)
        sizes = [size for size in (mtu - HEADERS - 1, mtu - HEADERS, mtu - HEADERS + 1, 2 * mtu, 2000)
                 if size <= 65507]
        t.equal(f"MTU {mtu}: UDP both ways, in fragments if need be: sizes that came back wrong",
                echo(link.address, sizes), [])
        if mtu > LEAST:  # TCP does not go in so small packets.
            t.equal(f"MTU {mtu}: TCP streams that did not arrive whole",
                    transfer(this, link.address, size=STREAM), [])

    # A guest's MTU says what it sends. What it gets is cut by those who know better.
    set_mtu(9000, inside=1500)
    t.equal("larger packets than the guest sends: sizes that came back wrong", echo(link.address, (4000, 8972)), [])
    set_mtu(1500)
    command("ip", "-6", "address", "replace", f"{vif.HOST6}/64", "dev", vif.BRIDGE, "nodad")
    this.run("killall traffic")
    if t.driver == "rust":
        counters = link.counters()
        lost = {key: counters[key] for key in (
            "guest_tx_too_many_slots", "guest_tx_size_overflow", "guest_tx_bad_offload", "guest_rx_unsendable",
            "guest_rx_copy_failed") if counters[key]}
        t.equal("packets lost because of their size", lost, {})
