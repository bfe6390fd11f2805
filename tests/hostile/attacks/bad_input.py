# SPDX-License-Identifier: GPL-2.0
"""A frontend publishes what no frontend should: a clear error, Closing and Closed, and nothing is left."""

import itertools
import os
import re
from pathlib import Path

from rig import driver, frames, guest, kmsg, vif, xenstore
from rig.checks import run as command, wait_for
from rig.frontend import Frontend
from rig.fuzzer import quick_connections
from rig.peer import HOST_MAC, Peer
from rig.traffic import ping
from rig.wire import Wire

LIMIT = 600
EXPECTED_MESSAGES = (r"vif-0-0|vif vif-0-0|vif0\.0", r"xen:grant_table", r"d0v\d+ ")

QUEUES = 4
EACH = 8  # Cases for each device: fewer than those after which nothing is said of it for a while.

# What is no number for any key; None stands for a key that is not there.
WRONG = {"missing": None, "empty": "", "not a number": "seven", "half a number": "7x", "negative": "-1",
         "too large": "123456789012345678901234567890"}
SOME_WRONG = {what: WRONG[what] for what in ("missing", "not a number", "negative")}
# The keys without which there is no connection, for each layout: (the layout, the keys, what is tried).
REQUIRED = (
    ({}, ("tx-ring-ref", "rx-ring-ref", "event-channel", "request-rx-copy"), WRONG),
    ({"split": True}, ("event-channel-tx", "event-channel-rx"), WRONG),
    ({"queues": 2}, ("queue-0/tx-ring-ref", "queue-1/rx-ring-ref", "queue-1/event-channel"), SOME_WRONG),
    ({"queues": 2, "split": True}, ("queue-1/event-channel-tx", "queue-1/event-channel-rx"), SOME_WRONG),
    # Without a ring there is no control, which is none of the backend's business.
    ({"control": True}, ("ctrl-ring-ref",), {what: value for what, value in WRONG.items() if value is not None}),
    ({"control": True}, ("event-channel-ctrl",), WRONG),
)
# Optional keys, each with the value that makes a difference.
OPTIONAL = {"feature-sg": 1, "feature-gso-tcpv4": 1, "feature-gso-tcpv6": 1, "feature-no-csum-offload": 1,
            "feature-ipv6-csum-offload": 1}


def cases():
    """(name, layout, keys that differ, what the error has to name)."""
    for layout, keys, tried in REQUIRED:
        for key in keys:
            for what, value in tried.items():
                named = key
                # Half of a pair is no pair: then the channel for both directions is what is missing.
                if value is None and key.endswith(("-tx", "-rx")):
                    named = key.rpartition("-")[0]
                yield f"{key} {what}", layout, {key: value}, named
    yield "request-rx-copy 0", {}, {"request-rx-copy": 0}, "request-rx-copy"
    for what, value in (*WRONG.items(), ("0", 0), ("more than offered", 100000), ("2^32 + 1", 2**32 + 1)):
        if value is not None:
            yield f"multi-queue-num-queues {what}", {}, {"multi-queue-num-queues": value}, "multi-queue-num-queues"
    for key in ("tx-ring-ref", "rx-ring-ref"):
        yield f"{key} never granted", {}, {key: 60000}, None
        yield f"{key} out of range", {}, {key: 2**32 - 1}, None
        yield f"{key} beyond 32 bits", {}, {key: 2**32 + 8}, key
        yield f"{key} revoked", {}, {key: "revoked"}, None
    for queue in range(QUEUES):
        for key in ("tx-ring-ref", "rx-ring-ref"):
            yield f"queue {queue}'s {key} revoked", {"queues": QUEUES}, {f"queue-{queue}/{key}": "revoked"}, None
    for what, port in (("does not exist", 1000), ("is out of range", 2**32 - 1), ("is bound to something else", 1)):
        yield f"event-channel that {what}", {}, {"event-channel": port}, None
    yield "ctrl-ring-ref revoked", {"control": True}, {"ctrl-ring-ref": "revoked"}, None
    yield "event-channel-ctrl does not exist", {"control": True}, {"event-channel-ctrl": 1000}, None
    yield "the second event-channel does not exist", {"split": True}, {"event-channel-rx": 1000}, None


def threads():
    """The kernel threads of the interface."""
    names = (path.read_text() for path in Path("/proc").glob("[0-9]*/comm"))
    return [name for name in names if name.startswith("vif0.0")]


def refused(t, ear, peer, keys, name, bad, named):
    """One case, from a device that waits for its frontend, with good keys, to one that does so again.

    Fails when the number of queues is not compared with what was offered (`Agreement::read`)."""
    if "revoked" in bad.values():
        revoked = peer.grant()
        peer.revoke(gref=revoked)
        bad = {key: revoked for key in bad}
    peer.amend(bad)
    peer.forget_error()
    ear.heard()
    peer.set_state(4)
    peer.wait(5)
    error = peer.error() or ""
    said = ear.heard()
    left = threads()
    peer.set_state(6)
    peer.wait(6)
    peer.set_state(1)
    peer.wait(2)
    peer.amend({key: keys.get(key) for key in bad})
    wrong = []
    if not re.match(r"-?\d+ .{8,}", error) or (named and not re.search(rf"(\b|/){named}\b(?!-)", error)):
        wrong.append(f"the error in xenstore is {error!r}" + (f", which does not name {named}" if named else ""))
    if len(said) != 1:
        wrong.append(f"{len(said)} lines in the kernel log instead of 1: {said}")
    if left:
        wrong.append(f"threads are left: {left}")
    t.check(name, not wrong, "\n".join(wrong))


def features(keys):
    """What the interface can do for a frontend with these keys."""
    has = {key: keys.get(key) == 1 for key in OPTIONAL}
    sg, v4, v6 = has["feature-sg"], not has["feature-no-csum-offload"], has["feature-ipv6-csum-offload"]
    return {"tx-scatter-gather": sg, "tx-checksum-ipv4": v4, "tx-checksum-ipv6": v6,
            "tx-tcp-segmentation": sg and v4 and has["feature-gso-tcpv4"],
            "tx-tcp6-segmentation": sg and v6 and has["feature-gso-tcpv6"]}


def shown_features(name):
    """The same as ethtool shows it."""
    shown = dict(re.findall(r"^\s*([\w-]+): (on|off)", command("ethtool", "-k", name), re.M))
    return {feature: shown[feature] == "on" for feature in features({})}


def connected_with(t, name, keys):
    """A device whose frontend has these keys connects, with the features that follow from them."""
    peer = Peer(keys=keys)
    peer.connect()
    t.equal(f"features with {name}", shown_features(peer.name), features(keys))
    return peer


def optional(t):
    """Keys that may be missing count as missing when they hold no number."""
    usual = {**OPTIONAL, "feature-no-csum-offload": None}
    with connected_with(t, "correct keys", usual):
        pass
    with connected_with(t, "no checksums", OPTIONAL):
        pass
    for what, value in WRONG.items():
        # Those that depend on others are tried while these are good.
        segments = dict.fromkeys(("feature-gso-tcpv4", "feature-gso-tcpv6"), value)
        with connected_with(t, f"segmentation keys {what}", {**usual, **segments}):
            pass
        others = {key: value for key in OPTIONAL if key not in segments}
        others.update({"xdp-headroom": value, "feature-rx-notify": value, "request-multicast-control": value})
        with connected_with(t, f"all other keys {what}", {**usual, **others}) as peer, Wire(peer.name) as wire:
            frame = frames.ethernet("01:00:5e:00:00:07", HOST_MAC, 0x88B5, os.urandom(100))
            wire.send(frame)
            # Not told about the buffer, the backend finds it by itself.
            peer.post(count=1, quiet=True)
            t.equal("the ring is polled, there is no headroom and no filter",
                    [(one.data, one.headroom) for one in peer.receive(refill=False)], [(frame, 0)])
    # A complete pair of channels comes first; half of one does not harm a channel for both directions.
    for key in ("event-channel-tx", "event-channel-rx"):
        with Peer(keys={key: "seven"}) as peer:
            peer.connect()
            frame = frames.ethernet(HOST_MAC, peer.mac, 0x88B5, os.urandom(100))
            t.equal(f"a packet with only a useless {key}", peer.send(0, frame), [0])


def recovers(t):
    """The device connects when its frontend comes again with better keys."""
    with Peer() as peer, Wire(peer.name) as wire:
        peer.publish({**peer.rings(), "tx-ring-ref": None})
        peer.set_state(4)
        peer.wait(5)
        peer.set_state(6)
        peer.wait(6)
        peer.set_state(1)
        peer.wait(2)
        peer.connect()
        frame = frames.ethernet(HOST_MAC, peer.mac, 0x88B5, os.urandom(100))
        t.equal("the same device works with correct keys", peer.send(0, frame), [0])
        t.equal("its packet arrives", [one.data for one in wire.receive()], [frame])


def toolstack(t, ear):
    """What the toolstack writes is not the guest's, but must not harm either."""
    for value in (None, "", "zz:zz:zz:zz:zz:zz", "00:16:3e:00:00", "00:16:3e:00:00:01:02", "00:16:3e:00:00:100"):
        with Peer(backend_keys={"mac": value}) as peer:
            peer.publish(peer.rings())
            peer.set_state(4)
            peer.wait(5)
            t.check(f"mac {value!r} is refused and named", "mac" in (peer.error() or ""), repr(peer.error()))
    for key, values in (("handle", WRONG.values()), ("script", (None,))):
        for value in values:
            ear.heard()
            device = Frontend({key: value})
            wait_for(f"{key} {value!r} is refused", 5, device.error)
            # The bus puts its own error over that of the driver in xenstore, so the log has to tell.
            said = ear.heard()
            t.check(f"{key} {value!r} is refused and named", any(key in line for line in said), said)
            t.check("there is no interface", not os.path.exists("/sys/class/net/vif0.0"))
            xenstore.remove(device.backend)
            device.gone()


def run(t):
    driver.use(t.driver, f"max_queues={QUEUES}")
    ear = kmsg.Ear()
    with quick_connections():
        for _, alike in itertools.groupby(cases(), lambda case: case[1]):
            for some in itertools.batched(alike, EACH):
                with Peer(**some[0][1]) as peer:
                    keys = peer.rings()
                    peer.publish(keys)
                    for name, _, bad, named in some:
                        refused(t, ear, peer, keys, name, bad, named)
        recovers(t)
        optional(t)
        toolstack(t, ear)

    link = vif.attach(guest.get("pv1"), number=2)
    sent, received = ping(link.address, count=10)
    t.equal("a guest's attach afterwards: ping without loss", received, sent)
