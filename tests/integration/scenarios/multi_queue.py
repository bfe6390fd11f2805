# SPDX-License-Identifier: GPL-2.0
"""A PV guest with 4, 2 and 1 queues, of two and of one event channel: all carry traffic both ways."""

from rig import driver, guest, queues

LIMIT = 600


def run(t):
    driver.use(t.driver)
    driver.parameter(t.driver, "max_queues", 4)
    this = guest.get("pv4", vcpus=4)
    for split in (True, False):
        driver.parameter(t.driver, "separate_tx_rx_irq", "Y" if split else "N")
        queues.several(t, this, split)
