# SPDX-License-Identifier: GPL-2.0
"""What follows from the frontend's keys for the interface's features and for its MTU."""

import subprocess

from rig import facts
from rig.frontend import Frontend, Rings
from rig.xenlog import settle

LIMIT = 120

FLAGS = ("feature-sg", "feature-gso-tcpv4", "feature-gso-tcpv6", "feature-no-csum-offload",
         "feature-ipv6-csum-offload")
FLAG_VALUES = {"0": "0", "1": "1", "2": "2", "empty": "", "no number": "yes", "negative": "-1", "huge": "4294967296"}
FEATURES = ("tx-checksum-ipv4", "tx-checksum-ipv6", "scatter-gather", "tx-tcp-segmentation", "tx-tcp6-segmentation",
            "rx-checksumming", "tx-scatter-gather-fraglist", "generic-segmentation-offload")
MTUS = (67, 68, 1500, 1501, 9000, 65517, 65518)


def features(r, frontend, keys):
    """What the interface may leave to a frontend with these keys."""
    frontend.publish(keys)
    frontend.switch(4)
    settle()
    r.put("state", frontend.backend_state())
    shown = facts.ethtool(frontend.name, "-k")
    for feature in FEATURES:
        r.put(feature, " ".join(value for key, value in shown.items() if key.endswith(" " + feature)))


def sizes(r, frontend, when):
    """The MTUs that the interface takes."""
    for mtu in MTUS:
        done = subprocess.run(["ip", "link", "set", frontend.name, "mtu", str(mtu)], stderr=subprocess.DEVNULL,
                              check=False)
        r.put(f"{when}: MTU {mtu}", "refused" if done.returncode else "accepted")


def mtu_of(frontend):
    """The MTU of the interface."""
    return facts.interface(frontend.name).get("sysfs mtu", facts.ABSENT)


def record(r):
    rings = Rings()
    plain = {key: value for key, value in rings.keys().items() if not key.startswith("feature-")}
    everything = {**plain, "feature-sg": 1, "feature-gso-tcpv4": 1, "feature-gso-tcpv6": 1,
                  "feature-ipv6-csum-offload": 1}
    # One device whose frontend comes again and again: what one asked for must not stay.
    frontend = Frontend()
    frontend.wait(2)
    cases = [("all features", everything), ("no features", plain)]
    for flag in FLAGS:
        cases += [(f"{flag} {what}", {**everything, flag: FLAG_VALUES[what]}) for what in ("0", "1")]
    cases += [(f"feature-sg {what}", {**everything, "feature-sg": value}) for what, value in FLAG_VALUES.items()
              if what not in ("0", "1")]
    for what, keys in cases:
        r.step(f"features, {what}")
        features(r, frontend, keys)
        if what in ("all features", "no features"):
            sizes(r, frontend, "connected")
            r.put("MTU at last", mtu_of(frontend))
            frontend.switch(6)
            settle()
            r.put("MTU while closed", mtu_of(frontend))
            sizes(r, frontend, "closed")
        else:
            frontend.switch(6)
        frontend.switch(1)
        settle()
    frontend.remove()
    rings.close()
