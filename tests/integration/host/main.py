# SPDX-License-Identifier: GPL-2.0
"""Runs scenarios and prints their results. Started by scripts/integration inside the build root."""

import argparse
import ast
import sys
import time

from boot import Kernel, Machine, TESTS, console_tail


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


def all_scenarios():
    """The scenarios of the integration tier, by name."""
    found = [Scenario(path) for path in sorted((TESTS / "scenarios").glob("*.py"))]
    return {scenario.name: scenario for scenario in found if scenario.boot != "demo"}


class Results:
    """Prints what happens as it happens, and counts."""

    def __init__(self, verbose):
        self.passed = 0
        self.failed = []
        self.verbose = verbose
        self._current = None
        self._last = ""
        self._start = 0.0

    def show(self, report, log, console):
        """One report of dom0; `console` reads the end of the log, whose path for people is `log`."""
        event = report["event"]
        if event == "scenario":
            self._current, self._last, self._start = report["name"], "", time.monotonic()
            print(f"{report['name']}: {report['about']}", flush=True)
        elif event == "check":
            self._last = report["name"]
            if self.verbose:
                detail = f": {report['detail']}" if report["detail"] and "\n" not in report["detail"] else ""
                print(f"  ok    {report['name']}{detail}", flush=True)
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
        if report["ok"]:
            self.passed += 1
            print(f"ok {self._current} ({self._took()})", flush=True)
        else:
            self._fail(report["check"], report["detail"].splitlines(), report["kernel"], log)
        self._current = None

    def _lost(self, why, log, console):
        where = f"after the check '{self._last}'" if self._last else "before its first check"
        if self._current is None:
            self._current, where = "boot", "while dom0 came up"
        self._fail(f"the machine answers ({where})", [why, "the console ends with:", *console], [], log)
        self._current = None

    def _fail(self, check, detail, kernel, log):
        self.failed.append(self._current)
        print(f"  FAIL  {check}")
        for line in detail:
            print(f"        | {line}")
        if kernel:
            print("        kernel log:")
        for line in kernel:
            print(f"        | {line}")
        print(f"FAILED {self._current} ({self._took()}); the whole log: {log}", flush=True)


def boots(scenarios):
    """Groups the scenarios into lists that share a boot."""
    shared = [one for one in scenarios if one.boot == "shared"]
    return ([shared] if shared else []) + [[one] for one in scenarios if one.boot != "shared"]


def run_boot(group, arguments, results, log):
    """Boots and runs the group; returns those that a failure kept from running."""
    job = {"driver": arguments.driver, "long": arguments.long, "scenarios": [one.name for one in group]}
    outside = log.replace("/xnb/cache", arguments.cache)
    begun = 0
    with Machine(Kernel(arguments.kernel), job, files=arguments.file, log=log,
                 xen=group[0].boot != "no-xen", dom0_vcpus=arguments.vcpus) as machine:
        for report in machine.events():
            begun += report["event"] == "scenario"
            results.show(report, outside, lambda: console_tail(log))
    # A boot that came to no scenario at all is not tried again.
    return group[begun:] if begun else []


def main():
    """Runs what the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--driver", default="rust", choices=("c", "rust"))
    parser.add_argument("--kernel", default="stock")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--vcpus", type=int, default=1)
    parser.add_argument("--cache", default="/xnb/cache")
    parser.add_argument("--file", action="append", default=[])
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()

    known = all_scenarios()
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        sys.exit(f"no scenario named {', '.join(unknown)}; there are: {', '.join(known)}")
    chosen = [known[name] for name in arguments.names] or [
        one for one in known.values() if one.only_with in (None, arguments.driver)]
    results = Results(not arguments.quiet)
    groups = boots(chosen)
    number = 0
    while groups:
        number += 1
        log = f"/xnb/cache/log/integration-{arguments.kernel}-{number}.log"
        left = run_boot(groups.pop(0), arguments, results, log)
        if left:
            groups.insert(0, left)
    if results.failed:
        print(f"failed: {' '.join(results.failed)}")
    print(f"{results.passed} passed, {len(results.failed)} failed")
    sys.exit(bool(results.failed))


main()
