# SPDX-License-Identifier: GPL-2.0
"""The states of the backend, in the order in which they are written, for whatever the frontend does."""

import os

from rig import xenstore
from rig.frontend import Frontend, Rings
from rig.xenlog import Writes

LIMIT = 600
EXPECTED_MESSAGES = (r"vif-0-0|vif vif-0-0|vif0\.0",)

# A number is a state of the frontend, a text what somebody else does.
CASES = {
    "attach": (1, 3, 4),
    "attach at once": (4,),
    "connected twice": (4, 4),
    "close and reopen": (4, 5, 6, 1, 4),
    "close without Closing, and reopen": (4, 6, 1, 4),
    "start anew without closing": (4, 1, 4),
    "start anew from Closing": (4, 5, 1, 4),
    "connect from Closing": (4, 5, 4),
    "connect from Closed": (4, 6, 4),
    "Closing before connected": (5, 6, 1, 4),
    "Closing twice": (4, 5, 5),
    "Closed twice": (4, 6, 6),
    "Closing after Closed": (4, 6, 5, 6),
    "Closed before connected": (6, 1, 4),
    "Initialised while connected": (4, 3),
    "reconfiguring": (4, 7, 4, 7, 4),
    "reconfiguring twice": (4, 7, 7, 4),
    "reconfiguring before connected": (7, 4),
    "reconfiguring, then closing": (4, 7, 5, 6),
    "state 2": (2, 1, 4),
    "state 2 while connected": (4, 2, 6, 1, 4),
    "state 8 while connected": (4, 8, 6, 1, 4),
    "state 9 while connected": (4, 9, 6, 1, 4),
    "state 4294967295": (4, 4294967295, 6, 1, 4),
    "state -1": (4, -1, 6, 1, 4),
    "no number as state": (4, "state is x", 6, 1, 4),
    "no text as state": (4, "state is empty", 6, 1, 4),
    "state 9 before connected": (9, 6, 1, 4),
    "state 9 after closing": (4, 5, 9, 6, 1, 4),
    "script late": ("script anew", 4, "script connected", 5, 6),
    "script late, frontend closing before": ("script anew", 4, 5, "script connected", 6, 1, 4),
    "script late, frontend closed before": ("script anew", 4, 6, "script connected", 1, 4),
    "script late, frontend starting anew before": ("script anew", 4, 1, "script connected", 4),
    "script late, reconfiguring before": ("script anew", 4, 7, "script connected", 4),
    "script late, state 9 before": ("script anew", 4, 9, "script connected", 6, 1, 4),
    "script fails": ("script anew", 4, "script error", 5, 6),
    "script gone while connected": (4, "script anew", 5, 6, 1, 4, "script connected"),
    "unplugged by the toolstack": (4, "offline", "toolstack closes", 5, 6),
    "unplugged, frontend closing at once": (4, "offline", 6),
    "offline before connected": ("offline", 6),
    "offline after closing": (4, 5, "offline", 6),
    "offline after closed": (4, 6, "offline", 1, 6),
    "destroyed before connected": ("destroyed",),
    "destroyed while connected": (4, "destroyed"),
    "destroyed while closing": (4, 5, "destroyed"),
    "destroyed after closed": (4, 6, "destroyed"),
    "destroyed while waiting for the script": ("script anew", 4, "destroyed"),
    "destroyed after state 9": (4, 9, "destroyed"),
    "state node removed": (4, "state removed"),
}
ACTIONS = {
    "state is x": lambda frontend: frontend.switch("x"),
    "state is empty": lambda frontend: frontend.switch(""),
    "state removed": lambda frontend: xenstore.remove(f"{frontend.path}/state"),
    "script anew": lambda frontend: xenstore.write(f"{frontend.backend}/hotplug-status", ""),
    "script connected": lambda frontend: xenstore.write(f"{frontend.backend}/hotplug-status", "connected"),
    "script error": lambda frontend: xenstore.write(f"{frontend.backend}/hotplug-status", "error"),
    "offline": lambda frontend: xenstore.write(f"{frontend.backend}/online", 0),
    "toolstack closes": lambda frontend: xenstore.write(f"{frontend.backend}/state", 5),
    "destroyed": lambda frontend: xenstore.remove(frontend.path),
}


def record(r):
    rings = Rings()
    writes = Writes()
    for name, steps in CASES.items():
        writes.take()
        frontend = Frontend()
        frontend.publish(rings.keys())
        r.step(name)
        for number, step in zip(range(-1, 99), ("appears", *steps)):
            if step in ACTIONS:
                ACTIONS[step](frontend)
            elif step != "appears":
                frontend.switch(step)
            written = writes.take()
            states = [value for node, value in written if node == "0/0/state"]
            prefix = f"{number + 1}, {step}:" if isinstance(step, str) else f"{number + 1}, frontend {step}:"
            r.put(f"{prefix} states", " ".join(states) or "none")
            r.put(f"{prefix} others", " ".join(
                f"{node} {'removed' if value is None else 'written'}" for node, value in written
                if node not in ("0/0/state", "error/0/0/error") and step != "appears") or "none")
            r.put(f"{prefix} error", "reported" if frontend.error() else "none")
        r.put("device", "there" if os.path.exists("/sys/bus/xen-backend/devices/vif-0-0") else "gone")
        r.put("interface", "there" if os.path.exists(f"/sys/class/net/{frontend.name}") else "gone")
        frontend.remove()
    rings.close()
