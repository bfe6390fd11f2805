# SPDX-License-Identifier: GPL-2.0
"""The backend driver is unbound and bound again under a running guest while verified streams go both ways."""

import subprocess

from rig import driver, guest, vif
from rig.traffic import TRAFFIC, end_guest_flood, guest_rain, ping, rain

LIMIT = 400
TIMES = 4
BYTES = 128 << 20
PORT = 6300
SEED = 11


def run(t):
    driver.use(t.driver)
    this = guest.get("pv1")
    link = vif.attach(this, number=2)
    said = this.run("dmesg | wc -l")

    arguments = (PORT, BYTES, SEED)
    this.run(f"traffic receive {' '.join(map(str, arguments))} >/tmp/received 2>&1 </dev/null &")
    from_guest = subprocess.Popen([TRAFFIC, "receive", *map(str, arguments)], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, text=True)
    this.run(f"traffic send {vif.HOST} {' '.join(map(str, arguments))} >/tmp/sent 2>&1 </dev/null &")
    to_guest = subprocess.Popen([TRAFFIC, "send", link.address, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, text=True)
    guest_rain(this, vif.HOST, 1000)
    under_way = 0
    with rain(link.address):
        for turn in range(TIMES):
            link.move(t.driver, t.driver)
            under_way += from_guest.poll() is None and to_guest.poll() is None
            link.wait_connected()
            # The first packet may go to the neighbour of before.
            ping(link.address, count=1)
            sent, received = ping(link.address, count=3)
            t.at_least(f"turn {turn + 1}: pings answered under load", received, 1, f"of {sent}")
    t.at_least("turns while both streams were under way", under_way, 1)
    end_guest_flood(this)
    sent, received = ping(link.address, count=10)
    t.equal("ping without loss", received, sent)

    t.equal("dom0 received", from_guest.communicate(timeout=400)[0].strip(), f"ok {BYTES}")
    t.equal("dom0 sent without an error", to_guest.communicate(timeout=400)[0], "")
    t.eventually("the guest has received everything", 30, lambda: this.run("cat /tmp/received"))
    t.equal("the guest received", this.run("cat /tmp/received"), f"ok {BYTES}")
    t.equal("the guest's kernel has nothing to say of it",
            this.run(f"dmesg | tail -n +$(({said} + 1)) | grep -iE 'vif|xen|eth|bug|warn'; true"), "")
