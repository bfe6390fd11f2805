# SPDX-License-Identifier: GPL-2.0
"""How long the driver takes to give an interface up: under full load, with the guest paused, with packets unread."""

import contextlib
import socket
import time

from rig import driver, guest, netlink, queues, vif
from rig.checks import wait_for
from rig.trace import Stopwatch
from rig.traffic import bulk_both_ways, flood

LIMIT = 400
KERNEL = "stock"  # The debug kernel has no probes for functions.
# Of the driver alone, from its first call to the last. The toolstack, the hotplug script and the guest's
# consent take longer, and are none of its business.
SLOWEST = 2.0
PORT = 7000
HELD = 4 << 20  # Bytes, with what the kernel counts for each packet.
QUEUES = 2
_SO_RCVBUFFORCE = 33


def timed(t, what, detach):
    """The time that the bus's calls into the driver take while `detach` runs."""
    # All that a change of the guest's state, or the end of the device, leads to is within these.
    with Stopwatch("xenbus_otherend_changed", "xenbus_dev_remove") as watch:
        start = time.monotonic()
        detach()
        whole = time.monotonic() - start
        calls = watch.calls()
    t.check(f"{what}: the driver was called", calls)
    t.at_most(f"{what}: detached by the driver within", round(sum(calls), 3), SLOWEST, "s")
    t.note(f"with the toolstack and the guest after {whole:.1f} s")


def loaded(t, this):
    """TCP streams use two queues in both directions."""
    this.netfront(False)
    link = vif.attach(this, number=2, parameters=f"max_queues={QUEUES}")
    t.equal("queues", queues.in_use(link), (QUEUES, QUEUES))
    with bulk_both_ways(this, link, 8):
        before = link.counters()
        wait_for("packets are copied in both directions", 60, lambda: all(
            value > before[name] + 200 for name, value in link.counters().items()
            if name in ("guest_rx_copy_calls", "guest_tx_copy_calls")))
        timed(t, "under full load", link.detach)
    this.netfront(False)


def paused(t, this):
    """The guest is paused, and as many packets wait for it as may. Fails when the thread does not end before the
    oldest of them has left or is too old (`Worker::wait` goes on while there is one)."""
    link = vif.attach(this, number=2)
    with flood(link.address):
        time.sleep(0.5)
        this.pause()
        time.sleep(2)
        timed(t, "with the guest paused", link.detach)
    this.unpause()
    # What netfront keeps of the device that went without it.
    this.netfront(False)


def unread(t, this):
    """A socket of dom0 holds packets of the guest, and nobody reads them."""
    link = vif.attach(this, number=2)
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as reader:
        reader.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, HELD)
        reader.bind((vif.HOST, PORT))
        this.run(f"traffic flood {vif.HOST} {PORT} 1400 >/dev/null 2>&1 </dev/null &")

        def held():
            with open("/proc/net/udp", encoding="ascii") as table:
                lines = [line.split() for line in table if f":{PORT:04X} " in line.split(" st ")[0]]
            return max((int(line[4].partition(":")[2], 16) for line in lines), default=0)

        t.eventually(f"{HELD} bytes wait in the socket", 60, lambda: held() > HELD // 2)
        this.run("killall traffic")
        pools = netlink.all_page_pools()
        timed(t, "with packets unread", link.detach)
        t.at_least("bytes which are still unread", held(), HELD // 2)
        t.equal("length of what is read then", {len(reader.recv(2048)) for _ in range(100)}, {1400})
    t.check("their memory came from the interface's pools", pools)
    t.eventually("it is given back", 30, lambda: not netlink.all_page_pools())


def run(t):
    driver.use(t.driver, f"max_queues={QUEUES}")
    this = guest.get("pv1")
    for case in (loaded, paused, unread):
        case(t, this)
