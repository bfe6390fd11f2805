# SPDX-License-Identifier: GPL-2.0
"""Without Xen the module does not load, with ENODEV, and says nothing else."""

import errno
import os

from rig import driver, kmsg
from rig.checks import run as command

LIMIT = 60
BOOT = "no-xen"


def run(t):
    t.check("this machine is not on Xen", not os.path.exists("/sys/hypervisor/type"))
    before = kmsg.mark()
    file = driver.RUST_FILE if t.driver == "rust" else command("modinfo", "-F", "filename", "xen-netback").strip()
    shown = command("insmod", file, ok=None)
    t.check("loading fails with ENODEV", os.strerror(errno.ENODEV) in shown, shown or "it was loaded")
    t.check("the module is not in the kernel", not driver.loaded(t.driver))
    said = [message.text for message in kmsg.messages(before)
            if "taints kernel" not in message.text and "module verification failed" not in message.text]
    t.equal("the kernel log says", said, [])
