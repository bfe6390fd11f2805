# SPDX-License-Identifier: GPL-2.0
"""What ethtool and netlink show of an interface is what the C driver shows, and more."""

import re

from rig import driver, guest, netlink, vif
from rig.checks import run as command, wait_for
from rig.traffic import ping

LIMIT = 120
FIRST = ["rx_gso_checksum_fixup", "tx_zerocopy_sent", "tx_zerocopy_success", "tx_zerocopy_fail", "tx_frag_overflow"]
PER_QUEUE = [f"guest_{way}_{what}" for way in ("tx", "rx") for what in ("packets", "bytes", "dropped")]
# The views that both drivers have.
COMMON = ("-k", "-T", "")


def shown(option, name):
    """The lines that `ethtool OPTION NAME` prints, without the interface's name and number."""
    text = command("ethtool", *([option] if option else []), name, ok=None)
    return [line.strip() for line in text.splitlines() if line.strip() and name not in line]


def values(option, name):
    """The numbers that it prints, by what stands before them, in order of appearance."""
    found = {}
    for line in shown(option, name):
        match = re.fullmatch(r"([\w ]+):\s*(\d+)", line)
        if match:
            found.setdefault(match[1], []).append(int(match[2]))
    return found


def attach(t, which):
    """An interface of the guest with this driver, with the views that both have."""
    driver.use(which)
    link = vif.attach(guest.get("pv1"), number=2)
    t.equal(f"{which}: first names of -S", list(link.counters())[:len(FIRST)], FIRST)
    information = dict(line.split(": ", 1) for line in shown("-i", link.name) if ": " in line)
    t.equal(f"{which}: driver, bus-info", (information["driver"], information["bus-info"]),
            (driver.BUS_NAMES[which], f"vif-{link.guest.domid}-{link.handle}"))
    return link, {option: shown(option, link.name) for option in COMMON}


def run(t):
    link, common = attach(t, t.driver)
    t.check("link detected", "Link detected: yes" in common[""], common[""])
    t.check("timestamps by software", {"software-transmit", "software-receive"} <= set(common["-T"]), common["-T"])
    if t.driver != "rust":
        return

    offered = min(8, int(command("nproc")))
    t.equal("-l: most and in use", values("-l", link.name)["Combined"], [offered, 1])
    rings = values("-g", link.name)
    t.equal("-g: RX and TX, most and set", (rings["RX"], rings["TX"]), ([256, 256], [256, 256]))
    names = list(link.counters())
    t.equal("last names of -S", names[-len(PER_QUEUE) * offered:],
            [f"q{queue}_{name}" for queue in range(offered) for name in PER_QUEUE])

    # netlink's family "netdev".
    # Small packets take none of the pool's memory.
    ping(link.address, count=5, size=1400)
    polled = [one for one in netlink.queues(link.name) if "napi-id" in one]
    t.equal("receive queues with a NAPI instance", [(one["type"], one["id"]) for one in polled], [(0, 0)])
    t.equal("and its id", [one["napi-id"] for one in polled], [one["id"] for one in netlink.napis(link.name)])
    pools = netlink.page_pools(link.name)
    t.equal("page pools of the queue: pages, and blocks for large packets", len(pools), 2)
    allocated = sum(pool["alloc-fast"] + pool["alloc-slow"] for pool in pools)
    t.at_least("page pools: memory that was allocated", allocated, 1, "pages")

    # A guest that goes leaves no trace of its queues, and one that comes is shown again.
    link.guest.netfront(False)
    wait_for("no link", 10, lambda: "Link detected: no" in shown("", link.name))
    t.equal("without a guest: NAPI ids, page pools",
            ([one for one in netlink.queues(link.name) if "napi-id" in one], netlink.page_pools(link.name)), ([], []))
    link.guest.netfront(True)
    link.wait_connected()
    t.equal("the next guest's queue", [one["id"] for one in netlink.queues(link.name) if "napi-id" in one], [0])
    command("ip", "link", "set", link.name, "down")
    command("ip", "link", "set", link.name, "up")
    t.equal("after down and up", [one["id"] for one in netlink.queues(link.name) if "napi-id" in one], [0])
    link.detach()

    other, wanted = attach(t, "c")
    for option in COMMON:
        t.equal(f"ethtool {option or '(none)'} shows what it shows with the C driver", common[option], wanted[option])
    other.detach()
