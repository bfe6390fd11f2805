# SPDX-License-Identifier: GPL-2.0
"""A guest stops receiving: packets expire, the carrier goes down when it has stalled, and is back with the guest."""

import time

from rig import driver, guest, vif
from rig.checks import run as command, wait_for
from rig.traffic import flood, ping

LIMIT = 150
STALL, DRAIN = 3, 1  # Seconds.


def attach(t, this, stall, drain):
    """An interface of the driver with these timeouts in seconds."""
    driver.use(t.driver, f"rx_stall_timeout_msecs={stall * 1000:.0f}", f"rx_drain_timeout_msecs={drain * 1000:.0f}")
    link = vif.attach(this, number=2)
    ping(link.address, count=2)
    # The host's own queue is not what this is about.
    command("tc", "qdisc", "replace", "dev", link.name, "root", "pfifo", "limit", "10")
    return link


def back(link):
    """Waits until traffic flows again; raises Failed after two seconds."""
    wait_for("traffic is back within 2 s", 2, lambda: ping(
        link.address, count=1, interval="0.2", extra=("-W", "0.3"))[1])


def run(t):
    this = guest.get("pv1")
    link = attach(t, this, STALL, DRAIN)
    changes = int(link.sysfs("carrier_changes"))
    this.pause()
    paused = time.monotonic()
    with flood(link.address):
        wait_for("the carrier goes down", STALL + 6, lambda: not link.carrier())
        took = time.monotonic() - paused
        t.at_least("the carrier stayed up while the guest was slow", round(took, 1), STALL, "s")
        t.at_most("it was down soon after that", round(took, 1), STALL + 4, "s")
        time.sleep(2)
        t.equal("carrier changes while the guest stays away", int(link.sysfs("carrier_changes")) - changes, 1)
    if t.driver == "rust":
        t.equal("the stall is counted", link.counter("guest_rx_stalls"), 1)
        t.at_least("packets had expired before", link.counter("guest_rx_expired"), 1)
        t.equal("nothing waits for a stalled guest", link.counter("guest_rx_queued_bytes"), 0)
    this.unpause()
    t.eventually("the carrier is back with the guest", 2, link.carrier)
    back(link)
    t.equal("carrier changes", int(link.sysfs("carrier_changes")) - changes, 2)
    sent, received = ping(link.address, count=10)
    t.equal("ping without loss afterwards", received, sent)
    link.detach()

    link = attach(t, this, 0, DRAIN / 2)
    changes = link.sysfs("carrier_changes")
    this.pause()
    with flood(link.address):
        time.sleep(STALL + 2)
    if t.driver == "rust":
        t.at_least("without a stall timeout packets still expire", link.counter("guest_rx_expired"), 1)
        t.equal("stalls", link.counter("guest_rx_stalls"), 0)
        t.eventually("everything is gone after its time", 2, lambda: link.counter("guest_rx_queued_bytes") == 0)
    t.equal("carrier changes without a stall timeout", link.sysfs("carrier_changes"), changes)
    this.unpause()
    back(link)
    sent, received = ping(link.address, count=10)
    t.equal("ping without loss afterwards, without a stall timeout", received, sent)
