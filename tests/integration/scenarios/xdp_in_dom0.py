# SPDX-License-Identifier: GPL-2.0
"""An XDP program in dom0 sends packets back to their guest, which gets segments to cut only if it takes them."""

from rig import driver, frames
from rig.peer import BLANK, HOST_MAC, OKAY, VALIDATED, Peer, gso
from rig.trace import Losses
from rig.traffic import xdp

LIMIT = 90
ONLY_WITH = "rust"  # The C driver sends what is larger than the MTU as if it were not.
KERNEL = "stock"  # The debug kernel runs no such programs.
SEGMENT = 500
COUNTER = "guest_rx_unsendable"
KINDS = (("IPv4", "feature-gso-tcpv4", 1, ("10.8.0.2", "10.8.0.1")),
         ("IPv6", "feature-gso-tcpv6", 2, ("fd08::2", "fd08::1")))


def run(t):
    """Fails when `plan` does not ask what the guest takes."""
    driver.use(t.driver)
    for name, key, kind, addresses in KINDS:
        for takes in (1, 0):
            with Peer(keys={key: takes}) as peer:
                peer.connect()
                peer.post(0)
                before = peer.counter(COUNTER)
                large = frames.tcp((peer.mac, HOST_MAC), addresses, (1000, 2000), bytes(2 * SEGMENT), blank=True)
                small = frames.ethernet(HOST_MAC, peer.mac, 0x88B5, bytes(100))
                with Losses() as losses, xdp(peer.name, "return"):
                    t.equal(f"{name}, {takes}: sent",
                            peer.send(0, large, extras=[gso(SEGMENT, kind)], flags=BLANK | VALIDATED), [OKAY])
                    t.equal(f"{name}, {takes}: sent without segments", peer.send(0, small), [OKAY])
                    came = peer.receive(0, count=1 + takes)
                    t.equal(f"{name}, {takes}: lost as too big", "PKT_TOO_BIG" in losses.reasons(), not takes)
                wanted = [(len(large), (SEGMENT, kind))] * takes + [(len(small), None)]
                t.equal(f"{name}, {takes}: came back, with their segments",
                        [(len(packet.data), packet.gso) for packet in came], wanted)
                t.equal(f"{name}, {takes}: {COUNTER}", peer.counter(COUNTER) - before, 1 - takes)
