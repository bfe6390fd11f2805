# SPDX-License-Identifier: GPL-2.0
"""The module is loaded and unloaded 20 times, with and without an interface attached meanwhile."""

from rig import driver, guest, vif
from rig.traffic import kernel_memory, ping

LIMIT = 200
TIMES = 20
ATTACHED_EVERY = 5


def run(t):
    this = guest.get("pv1")
    for other in ("c", "rust"):
        driver.unload(other)
    before = None
    for turn in range(TIMES):
        driver.load(t.driver)
        if turn % ATTACHED_EVERY == 0:
            link = vif.attach(this, number=2)
            sent, received = ping(link.address, count=3)
            t.equal(f"load {turn + 1}: ping without loss", received, sent)
            link.detach()
        driver.unload(t.driver)
        if turn == ATTACHED_EVERY:
            before = kernel_memory()[0]
    t.check(f"loaded and unloaded {TIMES} times", not driver.loaded(t.driver))
    t.at_most("growth of slabs", kernel_memory()[0] - before, 1024, "KiB")
