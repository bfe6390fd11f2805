# SPDX-License-Identifier: GPL-2.0
"""Shows the demo (tests/integration/scenarios/demo.py). Started by scripts/demo."""

import sys

from boot import Kernel, Machine, console_tail

LOG = "/xnb/cache/log/demo.log"


def main(module, cache):
    """Boots, prints what the demo says, and tells how it ended."""
    log = LOG.replace("/xnb/cache", cache)
    print("boot      Xen and a stock Debian dom0 in QEMU, without hardware virtualisation", flush=True)
    job = {"driver": "rust", "long": False, "scenarios": ["demo"], "module": module}
    with Machine(Kernel("stock"), job, files=[module], log=LOG) as machine:
        for report in machine.events():
            if report["event"] == "print":
                print(report["text"], flush=True)
            elif report["event"] == "result":
                if report["ok"]:
                    print("log       no warning, no error in dom0's kernel log")
                    print("demo: ok")
                    return 0
                lines = report["detail"].splitlines() + report["kernel"]
                return failed(report["check"], lines, log)
            elif report["event"] == "lost":
                return failed("the machine answers", [report["why"], *console_tail(LOG)], log)
    return failed("the demo ran", ["dom0 ended without a result"], log)


def failed(check, lines, log):
    """Tells what did not hold, with the lines that matter."""
    print(f"demo: FAILED: {check}")
    for line in lines:
        print(f"  | {line}")
    print(f"the whole log: {log}")
    return 1


sys.exit(main(*sys.argv[1:]))
