# SPDX-License-Identifier: GPL-2.0
"""An interface with 4 queues goes while TCP streams use all of them in both directions."""

import time

from rig import driver, guest, queues, vif
from rig.traffic import bulk_both_ways

LIMIT = 240
QUEUES = 4


def run(t):
    driver.use(t.driver)
    driver.parameter(t.driver, "max_queues", QUEUES)
    this = guest.get("pv1")
    this.netfront(False)
    # A guest may have more queues than processors.
    link = vif.attach(this, number=2, parameters=f"max_queues={QUEUES}")
    t.equal("queues", queues.in_use(link), (QUEUES, QUEUES))
    with bulk_both_ways(this, link, 16):
        def busy(before=queues.interrupts(link)):
            return all(times > before[name] + 10 for name, times in queues.interrupts(link).items()
                       if name.endswith("-tx"))

        t.eventually("every queue is busy", 60, busy)
        start = time.monotonic()
        link.detach()
        # The toolstack and the guest, which has to agree, get what the streams leave of the processors: how long the
        # driver takes by itself is what `detach_times` looks at.
        t.note(f"gone after {time.monotonic() - start:.1f} s")
    queues.check_gone(t, link)
    this.netfront(False)
