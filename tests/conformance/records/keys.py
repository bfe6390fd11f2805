# SPDX-License-Identifier: GPL-2.0
"""What the frontend and the toolstack write: which of it is refused, and what becomes of the device."""

import os

from rig import xenstore
from rig.frontend import Frontend, Rings
from rig.xenlog import Writes, settle

LIMIT = 600
EXPECTED_MESSAGES = (r"vif-0-0|vif vif-0-0|vif0\.0|xen_netback", r"xen:grant_table", r"d0v\d+ ")

NUMBERS = {"absent": None, "empty": "", "no number": "seven", "huge": "123456789012345678901234567890",
           "negative": "-1"}
REQUIRED = ("tx-ring-ref", "rx-ring-ref", "event-channel")
FORMS = {"with a newline": "{}\n", "with a space before": " {}", "with a letter after": "{}x",
         "hexadecimal": "0x{:x}"}
QUEUES = {"0": 0, "1": 1, "5 of 4": 5, "empty": "", "no number": "two", "huge": "4294967297", "negative": "-1"}
MACS = {"absent": None, "empty": "", "no number": "zz:zz:zz:zz:zz:zz", "short": "00:16:3e:00:00",
        "long": "00:16:3e:00:00:01:02", "without zeros": "0:16:3e:0:0:1", "capitals": "00:16:3E:AB:CD:EF"}
HANDLES = {"absent": None, "empty": "", "no number": "x", "another": "7", "negative": "-1"}
PARAMETERS = ("max_queues=4",)


def states(writes):
    """The states that the backend has gone through since the last call."""
    return " ".join(value for node, value in writes.take() if node == "0/0/state") or "none"


def refused(r, writes, what, keys, good, backend_keys=()):
    """Whether a frontend with these keys is connected, and whether one with good keys is afterwards."""
    r.step(what)
    writes.take()
    frontend = Frontend(backend_keys)
    settle()
    r.put("before", states(writes))
    frontend.publish(keys)
    frontend.switch(4)
    r.put("connecting", states(writes))
    r.put("error", "reported" if frontend.error() else "none")
    frontend.switch(6)
    r.put("closing", states(writes))
    xenstore.remove(f"/local/domain/0/error/backend/vif/0/{frontend.handle}")
    frontend.switch(1)
    frontend.publish(good)
    frontend.switch(4)
    r.put("with good keys afterwards", states(writes))
    r.put("error afterwards", "reported" if frontend.error() else "none")
    frontend.remove()


def record(r):
    spare, rings, second = Rings(), Rings(), Rings()
    revoked = spare.references[0]
    spare.close()
    good = rings.keys()
    writes = Writes()
    for key in REQUIRED:
        for what, value in NUMBERS.items():
            refused(r, writes, f"{key} {what}", {**good, key: value}, good)
    for what, form in FORMS.items():
        refused(r, writes, f"tx-ring-ref {what}", {**good, "tx-ring-ref": form.format(good["tx-ring-ref"])}, good)
    for key in ("tx-ring-ref", "rx-ring-ref"):
        for what, value in {"never granted": 60000, "out of range": 4294967295, "revoked": revoked}.items():
            refused(r, writes, f"{key} {what}", {**good, key: value}, good)
    for what, value in {"that does not exist": 1000, "out of range": 4294967295}.items():
        refused(r, writes, f"event-channel {what}", {**good, "event-channel": value}, good)
    for key in ("event-channel-tx", "event-channel-rx"):
        refused(r, writes, f"{key} alone, with a shared one", {**good, key: second.port}, good)
        refused(r, writes, f"{key} alone", {**good, "event-channel": None, key: second.port}, good)
    refused(r, writes, "two event channels", {**good, "event-channel": None, "event-channel-tx": rings.port,
                                              "event-channel-rx": second.port}, good)
    refused(r, writes, "one event channel named for both directions",
            {**good, "event-channel": None, "event-channel-tx": rings.port, "event-channel-rx": rings.port}, good)
    for what, value in {**NUMBERS, "0": 0, "2": 2}.items():
        refused(r, writes, f"request-rx-copy {what}", {**good, "request-rx-copy": value}, good)
    for what, value in QUEUES.items():
        refused(r, writes, f"multi-queue-num-queues {what}", {**good, "multi-queue-num-queues": value}, good)
    per_queue = {f"queue-{number}/{key}": value for number, these in zip(range(2), (rings, second))
                 for key, value in these.keys().items() if key in REQUIRED}
    others = {key: value for key, value in good.items() if key not in REQUIRED}
    refused(r, writes, "two queues", {**others, **per_queue, "multi-queue-num-queues": 2}, good)
    for missing in ("queue-0/tx-ring-ref", "queue-1/rx-ring-ref", "queue-1/event-channel"):
        refused(r, writes, f"two queues without {missing}",
                {**others, **per_queue, "multi-queue-num-queues": 2, missing: None}, good)
    refused(r, writes, "two queues, keys of one", {**good, "multi-queue-num-queues": 2}, good)
    refused(r, writes, "ctrl-ring-ref without a channel", {**good, "ctrl-ring-ref": second.references[0]}, good)
    refused(r, writes, "ctrl-ring-ref never granted",
            {**good, "ctrl-ring-ref": 60000, "event-channel-ctrl": second.port}, good)
    refused(r, writes, "ctrl-ring-ref no number", {**good, "ctrl-ring-ref": "x", "event-channel-ctrl": second.port},
            good)
    refused(r, writes, "control ring", {**good, "ctrl-ring-ref": second.references[0],
                                        "event-channel-ctrl": second.port}, good)
    for what, value in MACS.items():
        refused(r, writes, f"mac {what}", good, good, {"mac": value})
    for what, value in {"absent": None, "empty": ""}.items():
        refused(r, writes, f"script {what}", good, good, {"script": value})
    for what, value in HANDLES.items():
        r.step(f"handle {what}")
        frontend = Frontend({"handle": value})
        settle()
        r.put("state", frontend.backend_state())
        names = [name for name in sorted(os.listdir("/sys/class/net")) if name.startswith("vif")]
        r.put("interface", " ".join(names) or "none")
        r.put("error", "reported" if frontend.error() else "none")
        bound = os.path.exists("/sys/bus/xen-backend/devices/vif-0-0/driver")
        r.put("driver", "bound" if bound else "none")
        frontend.remove()
    for what, value in {"malformed": "fast", "empty": "", "one number": "1000", "good": "1000000,50000",
                        "three numbers": "1,2,3", "zero": "0,0"}.items():
        refused(r, writes, f"rate {what}", good, good, {"rate": value})
    for key in ("xdp-headroom", "feature-rx-notify", "request-multicast-control"):
        for what in ("empty", "no number", "negative"):
            refused(r, writes, f"{key} {what}", {**good, key: NUMBERS[what]}, good)
    rings.close()
    second.close()
