# SPDX-License-Identifier: GPL-2.0
"""The toolstack's limit on what a guest sends is kept, over both of its queues together, and changed under way.

Seen to fail with a limit for each queue.
"""

import time

from rig import driver, guest, vif, xenstore

LIMIT = 180
SECONDS = 3
PORTS = range(9, 25)  # Of UDP: so many flows that both queues have some.
# Of the limit: a busy machine does not always look in time.
LEAST, MOST = 0.3, 1.1


def sends(link):
    """What the guest sends when it always has something to send, in Mbit/s."""
    for port in PORTS:
        link.guest.run(f"traffic rain {vif.HOST} {port} 1400 10000 >/dev/null 2>&1 </dev/null &")
    try:
        # By then nothing is left of what could be sent at once.
        time.sleep(1)
        start, before = time.monotonic(), int(link.sysfs("statistics/rx_bytes"))
        time.sleep(SECONDS)
        took, got = time.monotonic() - start, int(link.sysfs("statistics/rx_bytes")) - before
    finally:
        link.guest.run("killall traffic")
    return round(got * 8 / took / 1e6, 3)


def keeps(t, what, link, mbits):
    """Checks that what the guest sends, by both queues, is as much as the limit allows."""
    def sent():
        return [link.counter(f"q{queue}_guest_tx_packets") for queue in range(2)]

    before = sent()
    seen = sends(link)
    t.check(f"{what}: both queues send", all(now > then for now, then in zip(sent(), before)), sent())
    t.at_most(f"{what}: the guest sends", seen, mbits * MOST, "Mbit/s")
    t.at_least(f"{what}: the guest sends", seen, mbits * LEAST, "Mbit/s")


def run(t):
    driver.use(t.driver)
    driver.parameter(t.driver, "max_queues", 2)
    this = guest.get("pv1")
    this.netfront(False)
    # A guest may have more queues than processors.
    link = vif.attach(this, number=2, parameters="max_queues=2", settings=(f"bridge={vif.BRIDGE}", "rate=500Kb/s"))
    rate = f"{link.backend}/rate"
    t.equal("what xl writes for 500Kb/s", xenstore.read(rate), "3125,50000")
    keeps(t, "500 kbit/s", link, 0.5)
    xenstore.write(rate, "1250,10000")
    keeps(t, "changed to 1 Mbit/s", link, 1)
    link.detach(limit=20)
    this.netfront(False)
