# SPDX-License-Identifier: GPL-2.0
"""What the module says about itself, its parameters, and what it makes of their values."""

import os
from pathlib import Path

from rig import driver, facts, xenstore
from rig.checks import run as command
from rig.frontend import Frontend
from rig.xenlog import settle

LIMIT = 150
EXPECTED_MESSAGES = (r"vif-0-0|vif0\.0", r"alloc_netdev", r"xen_netback")
VALUES = {"separate_tx_rx_irq": ("0", "N", "y", "2", ""), "rx_drain_timeout_msecs": ("1", "0", "-1"),
          "rx_stall_timeout_msecs": ("0",), "max_queues": ("0", "1", "-1", "x", "3"),
          "fatal_skb_slots": ("0", "17", "18", "19"), "hash_cache_size": ("0", "1"),
          "provides_xdp_headroom": ("0", "N"), "no_such_parameter": ("1",)}
OFFERS = ("feature-split-event-channels", "multi-queue-max-queues", "feature-xdp-headroom")


def file_of(which):
    """The module's file."""
    return driver.RUST_FILE if which == "rust" else command("modinfo", "-F", "filename", "xen-netback").strip()


def record(r):
    which = r.driver
    r.step("file")
    r.put_all(facts.modinfo(file_of(which)))
    r.step("loaded")
    r.put_all(facts.module(driver.module(which)))

    for name, values in VALUES.items():
        for value in values:
            r.step(f"loaded with {name}={value}")
            driver.unload(which)
            said = command("insmod", file_of(which), f"{name}={value}", ok=None)
            r.put("insmod", "refused" if said else "accepted")
            parameter = Path("/sys/module", driver.module(which), "parameters", name)
            r.put("value", parameter.read_text() if parameter.exists() else facts.ABSENT)
    driver.unload(which)
    driver.load(which)

    # What is changed while the module runs concerns devices that come later.
    for name, values in VALUES.items():
        parameter = Path("/sys/module", driver.module(which), "parameters", name)
        for value in values:
            r.step(f"written {name}={value}")
            if not parameter.exists() or not parameter.stat().st_mode & 0o222:
                r.put("write", facts.ABSENT)
                continue
            try:
                parameter.write_text(value)
                r.put("write", "accepted")
            except OSError as error:
                r.put("write", os.strerror(error.errno))
            r.put("value", parameter.read_text())
            frontend = Frontend()
            settle()
            r.put_all({offer: xenstore.read(f"{frontend.backend}/{offer}", facts.ABSENT) for offer in OFFERS})
            frontend.remove()
