# SPDX-License-Identifier: GPL-2.0
"""Runs what a tier consists of in dom0, and prints the results. Started by scripts/integration inside the
build root."""

import argparse
import ast
import json
import sys
import time
from pathlib import Path

from boot import ATTACKS, Kernel, Machine, RECORDS, SCENARIOS, XNB, console_tail
from differences import Differences

# The tiers, and where their scenarios are.
TIERS = {"integration": SCENARIOS, "conformance": RECORDS, "hostile": ATTACKS}


class Scenario:
    """What the host has to know of a scenario: read from its file, without running it."""

    def __init__(self, path):
        tree = ast.parse(path.read_text())
        constants = {node.targets[0].id: node.value for node in tree.body
                     if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)}
        self.name = path.stem
        self.about = ast.get_docstring(tree).splitlines()[0]
        # "shared" with others by default; "alone" when it harms the system; "no-xen" without Xen.
        self.boot = ast.literal_eval(constants["BOOT"]) if "BOOT" in constants else "shared"
        self.only_with = ast.literal_eval(constants["ONLY_WITH"]) if "ONLY_WITH" in constants else None
        # The only kernel with what it needs, if not every one has that.
        self.kernel = ast.literal_eval(constants["KERNEL"]) if "KERNEL" in constants else None
        # Whether its guests have kernels of their own.
        self.guest_kernels = "GUEST_KERNELS" in constants
        # Processors of dom0, if it matters.
        self.vcpus = ast.literal_eval(constants["DOM0_VCPUS"]) if "DOM0_VCPUS" in constants else None


def all_scenarios(folder):
    """The scenarios in a folder, by name."""
    found = [Scenario(path) for path in sorted(folder.glob("*.py"))]
    return {scenario.name: scenario for scenario in found if scenario.boot not in ("demo", "bench")}


class Results:
    """Prints what happens as it happens, and counts."""

    def __init__(self, verbose, differences=None, second_try=False):
        self.passed = 0
        self.failed = []
        # What gets a second try, with the check that failed.
        self.again = {}
        self.second_try = second_try
        self.verbose = verbose
        self._differences = differences
        self._records = {}
        self._current = None
        self._last = ""
        self._start = 0.0

    def show(self, report, log, console):
        """One report of dom0; `console` reads the end of the log, whose path for people is `log`."""
        event = report["event"]
        if event == "scenario":
            self._current, self._last, self._start = report["name"], "", time.monotonic()
            self._records = {}
            print(f"{report['name']}: {report['about']}", flush=True)
        elif event == "check":
            self._last = report["name"]
            if self.verbose:
                detail = f": {report['detail']}" if report["detail"] and "\n" not in report["detail"] else ""
                print(f"  ok    {report['name']}{detail}", flush=True)
        elif event == "record":
            self._records[report["driver"]] = report["facts"]
            Path(f"/xnb/cache/log/record-{self._current}.json").write_text(json.dumps(self._records, indent=1))
        elif event == "note":
            print(f"        {report['text']}", flush=True)
        elif event == "print":
            print(report["text"], flush=True)
        elif event == "result":
            self._result(report, log)
        elif event == "lost":
            self._lost(report["why"], log, console())
        elif event == "end" and self._current:
            self._lost("dom0 ended without its result", log, console())

    def _took(self):
        return f"{time.monotonic() - self._start:.0f} s"

    def _result(self, report, log):
        wrong = self._compare() if report["ok"] and self._records else []
        if wrong:
            self._fail("the drivers differ where Documentation/conformance.rst says, and only there", wrong, log)
        elif report["ok"]:
            self.passed += 1
            print(f"ok {self._current} ({self._took()})", flush=True)
        else:
            self._fail(report["check"], report["detail"].splitlines(), log, report["kernel"], report["final"])
        self._current = None

    def _compare(self):
        """Prints the differences that are intended; returns what is wrong with the others."""
        intended, wrong = self._differences.judge(self._current, self._records)
        for line in intended:
            print(f"        {line}")
        print(f"        {len(self._records['rust'])} facts with each driver", flush=True)
        return wrong

    def _lost(self, why, log, console):
        where = f"after the check '{self._last}'" if self._last else "before its first check"
        if self._current is None:
            self._current, where = "boot", "while dom0 came up"
        self._fail(f"the machine answers ({where})", [why, "the console ends with:", *console], log)
        self._current = None

    def _fail(self, check, detail, log, kernel=(), final=True):
        again = self.second_try and not final
        if again:
            self.again[self._current] = check
        else:
            self.failed.append(self._current)
        print(f"  FAIL  {check}")
        for line in detail:
            print(f"        | {line}")
        if kernel:
            print("        kernel log:")
        for line in kernel:
            print(f"        | {line}")
        print(f"FAILED {self._current} ({self._took()}){', to be tried once more' if again else ''}; "
              f"the whole log: {log}", flush=True)


def boots(scenarios):
    """Groups the scenarios into lists that share a boot."""
    groups = {}
    for one in scenarios:
        if one.boot == "shared":
            groups.setdefault(one.vcpus, []).append(one)
    return list(groups.values()) + [[one] for one in scenarios if one.boot != "shared"]


def run_boot(group, arguments, results, log, again):
    """Boots and runs the group; returns those that a failure kept from running. A dom0 that does not come up, which
    knows nothing of the driver yet, has failed only if it is tried `again`."""
    job = {"driver": arguments.driver, "long": arguments.long, "scenarios": [one.name for one in group],
           "folder": TIERS[arguments.tier].name}
    outside = log.replace("/xnb/cache", arguments.cache)
    files = list(arguments.file)
    if any(one.guest_kernels for one in group):
        files.append(XNB / "guest-kernels")
    begun, ready = 0, False
    with Machine(Kernel(arguments.kernel), job, files=files, log=log,
                 xen=group[0].boot != "no-xen", dom0_vcpus=group[0].vcpus or arguments.vcpus) as machine:
        for report in machine.events():
            begun += report["event"] == "scenario"
            ready |= report["event"] == "ready"
            if report["event"] == "lost" and not ready and not again:
                print(f"dom0 did not come up ({report['why']}): once more; the whole log: {outside}", flush=True)
                return group
            results.show(report, outside, lambda: console_tail(log))
    # A boot that came to no scenario at all is not tried again.
    return group[begun:] if begun else []


def run_boots(groups, arguments, results, number):
    """Runs all groups, the first in boot `number` + 1; returns the number of the last boot."""
    again = False
    while groups:
        number += 1
        group = groups.pop(0)
        log = f"/xnb/cache/log/{arguments.tier}-{arguments.kernel}-{number}.log"
        left = run_boot(group, arguments, results, log, again)
        again = left == group
        if left:
            groups.insert(0, left)
    return number


def main():
    """Runs what the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tier", default="integration", choices=TIERS)
    parser.add_argument("--driver", default="rust", choices=("c", "rust"))
    parser.add_argument("--kernel", default="stock")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--second-try", action="store_true")
    parser.add_argument("--vcpus", type=int, default=1)
    parser.add_argument("--cache", default="/xnb/cache")
    parser.add_argument("--file", action="append", default=[])
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()

    conformance = arguments.tier == "conformance"
    known = all_scenarios(TIERS[arguments.tier])
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        sys.exit(f"no scenario named {', '.join(unknown)}; there are: {', '.join(known)}")
    chosen = [known[name] for name in arguments.names] or [
        one for one in known.values()
        if one.only_with in (None, arguments.driver) and one.kernel in (None, arguments.kernel)]
    results = Results(not arguments.quiet and not conformance, Differences() if conformance else None,
                      arguments.second_try)
    number = run_boots(boots(chosen), arguments, results, 0)
    # What failed though the driver did nothing that it must not: alone, once the rest is through.
    tried = results.again
    results.again, results.second_try = {}, False
    run_boots([[known[name]] for name in tried], arguments, results, number)
    for name, check in tried.items():
        print(f"{name}: tried twice, {'failed' if name in results.failed else 'passed'} then; first failed: {check}")
    if results.failed:
        print(f"failed: {' '.join(results.failed)}")
    print(f"{results.passed} passed, {len(results.failed)} failed")
    sys.exit(bool(results.failed))


main()
