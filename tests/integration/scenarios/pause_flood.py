# SPDX-License-Identifier: GPL-2.0
"""A guest is paused for 30 s under a flood: what waits for it is bounded in bytes and in time."""

import time

from rig import driver, guest, vif
from rig.checks import run as command, wait_for
from rig.traffic import Pinger, flood, ping

LIMIT = 300
FLOOD = 30
BOUND = 512 * 1024
PACKET = 65536 + 4096  # The largest packet with its overhead.
DEADLINE = 10


def run(t):
    driver.use(t.driver)
    paused, other = guest.get("pv1"), guest.get("pv2")
    link, other_link = vif.attach(paused, number=2), vif.attach(other, number=3)
    ping(link.address, count=2)
    carrier_changes = link.sysfs("carrier_changes")
    expired_before = link.counter("guest_rx_expired")

    # The host's own queue, which is not the driver's to bound, shall not prolong the flood.
    command("tc", "qdisc", "replace", "dev", link.name, "root", "pfifo", "limit", "10")

    pinger = Pinger(other_link.address)
    paused.pause()
    most = 0
    with flood(link.address):
        end = time.monotonic() + FLOOD
        while time.monotonic() < end:
            most = max(most, link.counter("guest_rx_queued_bytes"))
            time.sleep(0.2)
    t.at_least("the flood filled the queue", most, BOUND // 2, "bytes")
    t.at_most("most that waited, as seen", most, BOUND + PACKET, "bytes")
    t.at_most("most that waited, as counted", link.counter("guest_rx_queued_bytes_max"), BOUND + PACKET, "bytes")
    # What the host's queue hands over when the last of the flood expires has its own deadline.
    t.eventually("everything older than the deadline is gone", 2 * DEADLINE + 3,
                 lambda: link.counter("guest_rx_queued_bytes") == 0)
    t.at_least("expired packets", link.counter("guest_rx_expired") - expired_before, 1)

    paused.unpause()
    unpaused = time.monotonic()
    wait_for("traffic is back within 2 s", 2, lambda: ping(link.address, count=1, interval="0.2", extra=("-W", "0.3"))[1])
    t.check(f"traffic was back {time.monotonic() - unpaused:.1f} s after the pause", True)
    t.equal("carrier changes", link.sysfs("carrier_changes"), carrier_changes)
    sent, received = pinger.stop()
    t.at_most("pings lost by the other guest", sent - received, 2, f"of {sent}")
    sent, received = ping(link.address, count=10)
    t.equal("ping without loss afterwards", received, sent)
