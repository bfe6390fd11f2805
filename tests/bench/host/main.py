# SPDX-License-Identifier: GPL-2.0
"""Measures both drivers side by side and prints a table. Started by scripts/bench inside the build root."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from cases import choose
from counting import Instructions, Profile
from report import rst, svg
from table import Table

TOP = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(TOP / "tests/integration/host"))

from boot import Kernel, Machine, console_tail  # noqa: E402  (the path had to be set first)

LOG = "/xnb/cache/log/bench-{}.log"


class Boot:
    """One machine, and the cases that are measured on it."""

    def __init__(self, shape, cases, arguments, profile):
        self._shape, self._profile = shape, profile
        self._log = LOG.format(shape.name)
        self._files, self._instruction_time = arguments.file, arguments.instruction_time
        self._job = {"driver": "rust", "long": False, "scenarios": ["bench"], "options": {
            "backend": shape.backend, "vcpus": shape.vcpus, "queues": shape.queues, "vifs": shape.vifs, "cases": cases,
            "pairs": arguments.pairs, "seconds": arguments.seconds, "symbols": bool(profile)}}

    def run(self, table):
        """Takes what the boot measures into the table; returns what went wrong, as lines."""
        wrong = ["dom0 ended without a result"]
        with tempfile.TemporaryDirectory(prefix="bench.", dir="/xnb/cache/run") as folder:
            # QEMU does not count them where they are the clock.
            instructions = None if self._instruction_time else Instructions(folder)
            with Machine(Kernel("stock"), self._job, files=self._files, log=self._log,
                         dom0_vcpus=self._shape.dom0_vcpus, qemu_options=instructions.options if instructions else (),
                         instruction_time=self._instruction_time) as machine:
                for report in machine.events():
                    if report["event"] == "result":
                        wrong = [] if report["ok"] else [report["check"], report["detail"], *report["kernel"]]
                    elif report["event"] == "lost":
                        wrong = [report["why"], *console_tail(self._log)]
                    else:
                        self._take(report, instructions, table)
        table.finish()
        table.shares(self._shape.name)
        return wrong

    def _take(self, report, instructions, table):
        if report["event"] == "begin":
            if self._profile:
                instructions.blocks()
            if instructions:
                instructions.begin()
        elif report["event"] == "symbols":
            self._profile.symbols(report["text"])
        elif report["event"] == "figures":
            if report["work"] and instructions:
                report["figures"].update(instructions.end(report["work"], report["unit"]))
            case = f"{report['case']}/{self._shape.name}"
            if self._profile and report["work"]:
                self._profile.save(instructions.blocks(), f"{case.replace('/', '-')}-{report['driver']}")
            table.add(case, report["driver"], report["figures"])


def main():
    """Measures what the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--file", action="append", required=True)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--instruction-time", action="store_true")
    parser.add_argument("--profile")
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    chosen = choose(arguments.cases, arguments.long)
    if not chosen:
        sys.exit("no such case; a case is PATH/LOAD/SHAPE, as in from-guest/bulk/pv1, * for any")
    if arguments.profile and arguments.instruction_time:
        sys.exit("where instructions are the clock, they are not counted: no profile")
    # Of other folders the build root has its own.
    if arguments.profile and TOP not in Path(arguments.profile).resolve().parents:
        sys.exit(f"the folder for profiles must be below {TOP}")
    profile = Profile(arguments.profile) if arguments.profile else None
    table, failed, start = Table(arguments.out), False, time.monotonic()
    table.head()
    for shape, cases in chosen:
        wrong = Boot(shape, cases, arguments, profile).run(table)
        if wrong:
            failed = True
            print(f"FAILED {shape.name}; the whole log: {LOG.format(shape.name).replace('/xnb/cache', arguments.cache)}",
                  *wrong, sep="\n  | ", file=sys.stderr)
    arguments.out.with_suffix(".svg").write_text(svg(table.rows))
    arguments.out.with_suffix(".rst").write_text(rst(table.rows))
    print(f"{len(table.rows)} rows in {arguments.out}, after {time.monotonic() - start:.0f} s")
    sys.exit(failed)


main()
