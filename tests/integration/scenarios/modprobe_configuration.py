# SPDX-License-Identifier: GPL-2.0
"""What is installed puts the module in the C driver's place, with its options, where the kernel has the module.

Seen to fail with the configuration that redirected the C driver's name alone, and blacklisted it: the options were
lost for the device's alias, and a kernel without the module loaded nothing.
"""

import os
import shutil
from pathlib import Path

from rig import driver
from rig.checks import run as command

LIMIT = 60
ONLY_WITH = "rust"
CONFIGURATION = Path("/etc/modprobe.d")
UPDATES = Path("/lib/modules", os.uname().release, "updates")
# How it is asked for: by an administrator, by what loads modules at boot, for a device that appears.
WAYS = (("xen-netback",), ("-b", "xen-netback"), ("-b", "xen-backend:vif"))


def loads(words, which):
    """What comes of asking modprobe: the drivers in the kernel, and the parameter of `which`."""
    command("modprobe", *words)
    found = [one for one in ("c", "rust") if driver.loaded(one)]
    value = Path("/sys/module", driver.module(which), "parameters/max_queues")
    seen = found, int(value.read_text()) if value.exists() else None
    for one in found:
        driver.unload(one)
    return seen


def run(t):
    for one in ("c", "rust"):
        driver.unload(one)
    ours, options = CONFIGURATION / "xen-netback-rs.conf", CONFIGURATION / "options.conf"
    try:
        shutil.copy("/mnt/modprobe.conf", ours)
        options.write_text("options xen_netback max_queues=3\n")
        UPDATES.mkdir()
        shutil.copy(driver.RUST_FILE, UPDATES)
        command("depmod")
        for words in WAYS:
            t.equal(f"modprobe {' '.join(words)}", loads(words, "rust"), (["rust"], 3))
        t.equal("modprobe --ignore-install xen-netback", loads(("--ignore-install", "xen-netback"), "c"), (["c"], 3))
        shutil.rmtree(UPDATES)
        command("depmod")
        for words in WAYS:
            t.equal(f"a kernel without it, modprobe {' '.join(words)}", loads(words, "c"), (["c"], 3))
    finally:
        for left in (ours, options):
            left.unlink(missing_ok=True)
        shutil.rmtree(UPDATES, ignore_errors=True)
        command("depmod")
