# SPDX-License-Identifier: GPL-2.0
"""Guests' memory is copied and never mapped, as Xen counts it; the bench's loads work with either driver."""

from rig.cost import Hypercalls
from rig.loads import Loads
from rig.paths import Dom0, Network, move

LIMIT = 180
ONLY_WITH = "rust"
STOCK = True  # Its modules are not part of the debug kernel.
# The C driver's directory in debugfs.
EXPECTED_MESSAGES = (r"'xen-netback' already exists in '/'",)


def run(t):
    network = Network(Dom0(), queues=1, vifs=1)
    loads = Loads(1, 1)
    for which in ("rust", "c"):
        move(network.links, which)
        for name, load in (("to-guest", "small"), ("guests", "rr")):
            figures, _ = getattr(loads, load)(network.paths[name])
            for metric, value in figures.items():
                t.check(f"{which}: {name}, {load}: {metric}", value > 0, "0")
        with Hypercalls(0, "pv") as trace:
            loads.bulk(network.paths["from-guest"])
        t.at_least(f"{which}: bulk from a guest: operations that copy", trace.operations["copy"], 1)
        # With the C driver, to see that they are counted.
        maps = [trace.operations[name] for name in ("map", "unmap")]
        if which == "rust":
            t.equal("operations that map and unmap", maps, [0, 0])
        else:
            t.at_least("with the C driver, operations that map and unmap", min(maps), 1)
    network.close()
