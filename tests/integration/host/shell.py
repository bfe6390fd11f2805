# SPDX-License-Identifier: GPL-2.0
"""A prompt in dom0. Started by scripts/shell."""

import sys

from boot import Kernel, Machine

LOG = "/xnb/cache/log/shell.log"


def main(module, driver):
    """Boots and leaves the terminal to dom0."""
    print("Booting; the prompt comes in about half a minute. `exit` ends the machine, Ctrl-a x ends QEMU.", flush=True)
    job = {"driver": driver, "shell": True}
    with Machine(Kernel("stock"), job, files=[module], log=LOG, interactive=True) as machine:
        machine.process.wait()


main(*sys.argv[1:])
