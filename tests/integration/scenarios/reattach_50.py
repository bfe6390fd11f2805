# SPDX-License-Identifier: GPL-2.0
"""The guest's netfront is reloaded 50 times under traffic; it works each time and no memory is lost."""

from rig import driver, guest, vif
from rig.checks import wait_for
from rig.traffic import free_memory, kernel_memory, rain, settle

LIMIT = 400
TIMES = 50
WARM_UP = 10  # By then every cache has the size it needs.


def run(t):
    driver.use(t.driver)
    this = guest.get("pv1")
    link = vif.attach(this, number=2)
    before = slabs_before = free_before = None
    with rain(link.address):
        for turn in range(1, TIMES + 1):
            this.netfront(False)
            wait_for(f"reload {turn}: backend saw the frontend go", 15, lambda: link.states()[0] in ("2", "5", "6"))
            this.netfront(True)
            link.wait_connected()
            link.configure()
            settle(link.address)
            if turn == WARM_UP:
                (before, slabs_before), free_before = kernel_memory(), free_memory()
        t.check(f"traffic was back after each of {TIMES} reloads", True)
        (after, slabs_after), free_after = kernel_memory(), free_memory()
    grown = {name: after - slabs_before.get(name, 0) for name, after in slabs_after.items()}
    most = sorted(grown.items(), key=lambda one: -one[1])[:5]
    t.note("slabs that grew most: " + ", ".join(f"{name} {size} KiB" for name, size in most))
    # A lost page for each reload would make 160 KiB, a lost queue 10 MiB.
    t.at_most("growth of slabs", after - before, 1024, "KiB")
    t.at_most("loss of free memory", free_before - free_after, 8192, "KiB")
