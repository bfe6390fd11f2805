# SPDX-License-Identifier: GPL-2.0
"""A frontend publishes what no frontend should: a clear error, Closing and Closed, and nothing is left."""

import re

from rig import driver, guest, kmsg, vif
from rig.checks import run as command
from rig.frontend import NAME, Frontend, Rings
from rig.traffic import ping

LIMIT = 240
EXPECTED_MESSAGES = (r"vif-0-0|vif vif-0-0|vif0\.0", r"xen:grant_table", r"d0v\d+ ")

NUMBERS = {"missing": None, "empty": "", "not a number": "seven", "huge": "123456789012345678901234567890",
           "negative": "-1"}
REQUIRED = ("tx-ring-ref", "rx-ring-ref", "event-channel")


def cases(good, revoked):
    """(name, keys that differ, what the error has to name)."""
    for key in REQUIRED:
        for what, value in NUMBERS.items():
            yield f"{key} {what}", {key: value}, key
    for what, value in (("missing", None), ("0", 0), ("not a number", "yes")):
        yield f"request-rx-copy {what}", {"request-rx-copy": value}, "request-rx-copy"
    for what, value in (("0", 0), ("too many", 100000)):
        yield f"multi-queue-num-queues {what}", {"multi-queue-num-queues": value}, "queue"
    for key in ("tx-ring-ref", "rx-ring-ref"):
        yield f"{key} never granted", {key: 60000}, None
        yield f"{key} out of range", {key: 4294967295}, None
        yield f"{key} revoked", {key: revoked}, None
    yield "event-channel that does not exist", {"event-channel": 1000}, None
    yield "event-channel out of range", {"event-channel": 4294967295}, None
    yield "event-channel bound to something else", {"event-channel": 1}, None


def threads():
    """The kernel threads of the interface."""
    return [line for line in command("ps", "-eo", "comm").splitlines() if line.startswith(NAME)]


def refused(t, name, keys, named):
    """One case from start to end on a new device."""
    mark = kmsg.mark()
    frontend = Frontend()
    frontend.wait(2)
    frontend.publish(keys)
    frontend.switch(4)
    frontend.wait(5)
    error = frontend.error() or ""
    said = [message.text for message in kmsg.messages(mark) if message.level <= 4]
    frontend.switch(6)
    frontend.wait(6)
    frontend.remove()
    wrong = []
    if not re.match(r"-?\d+ .{8,}", error) or (named and named not in error):
        wrong.append(f"the error in xenstore is {error!r}" + (f", which does not name {named}" if named else ""))
    if len(said) != 1:
        wrong.append(f"{len(said)} lines in the kernel log instead of 1: {said}")
    if threads():
        wrong.append(f"threads are left: {threads()}")
    t.check(name, not wrong, "\n".join(wrong))


def run(t):
    driver.use(t.driver)
    command("modprobe", "xen-gntalloc")
    spare, rings = Rings(), Rings()
    revoked = spare.references[0]
    spare.close()
    good = rings.keys()
    for name, bad, named in cases(good, revoked):
        refused(t, name, {**good, **bad}, named)

    # The device recovers when its frontend comes again with better keys.
    frontend = Frontend()
    frontend.wait(2)
    frontend.publish({**good, "tx-ring-ref": None})
    frontend.switch(4)
    frontend.wait(5)
    frontend.switch(6)
    frontend.wait(6)
    frontend.switch(1)
    frontend.wait(2)
    frontend.publish({**good, "feature-sg": "yes", "feature-gso-tcpv4": ""})
    frontend.switch(4)
    frontend.wait(4)
    t.check("the same device connects with correct keys, unclear optional ones count as absent", True)
    frontend.remove()

    # What the toolstack writes is not the guest's, but must not harm either.
    for value in (None, "", "zz:zz:zz:zz:zz:zz", "00:16:3e:00:00"):
        frontend = Frontend({"mac": value})
        frontend.wait(2)
        frontend.publish(good)
        frontend.switch(4)
        frontend.wait(5)
        t.check(f"mac {value!r} is refused and named", "mac" in (frontend.error() or ""), repr(frontend.error()))
        frontend.remove()
    rings.close()

    link = vif.attach(guest.get("pv1"), number=2)
    sent, received = ping(link.address, count=10)
    t.equal("a guest's attach afterwards: ping without loss", received, sent)
