# SPDX-License-Identifier: GPL-2.0
"""All views of the statistics agree about known traffic, and they survive a reconnection of the guest."""

import json
import time

from rig import driver, guest, netlink, vif
from rig.checks import run as command, wait_for
from rig.traffic import ping

LIMIT = 90
COUNT, SIZE = 40, 1000
FRAME = SIZE + 8 + 20 + 14
# What the neighbours of an interface say unasked meanwhile.
NOISE = 12


def of_link(name):
    """(packets, bytes) from the guest, and to it, as `ip -s link` shows."""
    (link,) = json.loads(command("ip", "-s", "-j", "link", "show", "dev", name))
    stats = link["stats64"]
    return {way: (stats[way]["packets"], stats[way]["bytes"]) for way in ("rx", "tx")}


def of_ethtool(counters, prefix=""):
    """The same, as `ethtool -S` shows: of the interface, or of a queue."""
    return {way: (counters[f"{prefix}guest_{of}_packets"], counters[f"{prefix}guest_{of}_bytes"])
            for way, of in (("rx", "tx"), ("tx", "rx"))}


def of_netlink(numbers):
    """The same, as the family "netdev" shows."""
    return {way: (numbers[f"{way}-packets"], numbers[f"{way}-bytes"]) for way in ("rx", "tx")}


def views(link):
    """What each view says. They are not taken at the same time."""
    counters = link.counters()
    of_queue = netlink.queue_statistics(link.name)
    return {"ip -s link": of_link(link.name), "ethtool -S": of_ethtool(counters), "ethtool -S, queue 0": of_ethtool(counters, "q0_"),
            "netlink": of_netlink(netlink.statistics(link.name)),
            "netlink, queue 0": of_netlink({**of_queue["rx", 0], **of_queue["tx", 0]})}


def agreed(t, link, what):
    """The numbers, about which all views agree at a moment when nothing happens."""
    def same():
        seen = views(link)
        first = seen["ip -s link"]
        return first if all(one == first for one in seen.values()) else None

    try:
        return wait_for("one moment of peace", 10, same)
    finally:
        t.note(f"{what}: {views(link)['ip -s link']}")


def traffic(t, link, before):
    """Counts known traffic; returns the numbers after it."""
    sent, received = ping(link.address, count=COUNT, size=SIZE, interval="0.02")
    t.equal("ping without loss", received, sent)
    after = of_link(link.name) if t.driver != "rust" else agreed(t, link, "after the pings")
    for way in ("rx", "tx"):
        packets, size = (new - old for new, old in zip(after[way], before[way]))
        t.at_least(f"{way}: packets", packets, COUNT)
        t.at_most(f"{way}: packets", packets, COUNT + NOISE)
        t.at_least(f"{way}: bytes", size, COUNT * FRAME)
        t.at_most(f"{way}: bytes", size, COUNT * FRAME + NOISE * 200)
    return after


def run(t):
    driver.use(t.driver)
    link = vif.attach(guest.get("pv1"), number=2)
    ping(link.address, count=2)
    time.sleep(1)
    if t.driver != "rust":
        traffic(t, link, of_link(link.name))
        return
    before = agreed(t, link, "at first")
    after = traffic(t, link, before)

    link.guest.netfront(False)
    wait_for("the frontend is gone", 10, lambda: not link.carrier())
    kept = of_link(link.name)
    t.check("nothing is lost when the guest goes", all(kept[way] >= after[way] for way in kept), f"{after}, then {kept}")
    link.guest.netfront(True)
    link.wait_connected()
    link.configure()
    ping(link.address, count=2)
    time.sleep(1)
    back = agreed(t, link, "after the reconnection")
    t.check("nor when it comes back", all(back[way] > kept[way] for way in kept), f"{kept}, then {back}")
    traffic(t, link, back)
