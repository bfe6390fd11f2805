# SPDX-License-Identifier: GPL-2.0
"""A PVH guest with 4, 2 and 1 queues of two event channels, and 4 of one: all carry traffic both ways."""

from rig import driver, guest, queues

LIMIT = 240


def run(t):
    driver.use(t.driver)
    driver.parameter(t.driver, "max_queues", 4)
    this = guest.get("pvh4", kind="pvh", vcpus=4)
    for split, counts in ((True, (4, 2, 1)), (False, (4,))):
        driver.parameter(t.driver, "separate_tx_rx_irq", "Y" if split else "N")
        queues.several(t, this, split, counts)
    this.destroy()
