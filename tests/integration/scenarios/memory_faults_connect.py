# SPDX-License-Identifier: GPL-2.0
"""Every allocation of a connection fails once: connected with all that was asked for, or refused, and then it works."""

from collections import Counter

from rig import driver, faults, kmemleak, leftovers
from rig.checks import run as command
from rig.neighbour import served
from rig.peer import Peer
from rig.xenlog import settle

LIMIT = 900
ONLY_WITH = "rust"
KERNEL = "debug"
EXPECTED_MESSAGES = (r"vif-0-0|vif vif-0-0|vif0\.0", *faults.MESSAGES)

# What is kept, in the words of `leftovers`, and what the driver says of it.
HALF_BOUND = "event channel Interdomain (Waiting connection) - Remote Domain 0"
BINDING = "binding the port"
LAYOUT = {"queues": 2, "split": True, "control": True}
REFUSALS = 8  # Fewer than those after which a frontend is left alone.
SAMPLE = 4  # One allocation of so many fails, unless there is more time.


def features(peer):
    """What the interface can do, as `ethtool -k` tells."""
    return command("ethtool", "-k", peer.name)


def try_to_connect(peer, fault):
    """The frontend goes to Connected while the fault may happen; returns the error, if any."""
    peer.forget_error()
    peer.call("write", keys={key: str(value) for key, value in peer.rings().items()})
    with fault:
        peer.set_state(4)
        settle(1)
    return peer.error()


def judge(peer, error, wanted):
    """Returns what is wrong with a connection in which an allocation failed."""
    state = peer.backend_state()
    if error:
        # Closing, or it could not be shown what is reached.
        return "" if state in ("2", "5") else f"state {state}, error {error!r}"
    if state != "4":
        return f"state {state}, no error"
    peer.wait_carrier()
    if features(peer) != wanted:
        return f"features {features(peer)}"
    return served(peer)


def close(peer):
    """The frontend closes, and waits to connect again."""
    peer.set_state(6)
    peer.wait(6)
    peer.call("release")
    peer.set_state(1)
    peer.wait(2)


def connect(t, task, what, least, kept):
    """Connects again and again, with a new device after some refusals.

    A channel that has been bound when there is no memory for its interrupt stays in `kept`: the kernel does not tell
    its number to whom it refuses (`bind_evtchn_to_irq_chip`).

    Fails when a key that cannot be read is taken for one that is missing (`judge` is never `starved`)."""
    step = 1 if t.long else SAMPLE
    t.note(f"{what}: one allocation of {step} fails")
    outcomes, faulty = faults.Outcomes(), faults.each(task, step)
    fault = next(faulty, None)
    while fault:
        with Peer(**LAYOUT) as peer:
            peer.connect()
            wanted, before = features(peer), outcomes.reported
            close(peer)
            while fault and outcomes.reported < before + REFUSALS:
                error = try_to_connect(peer, fault)
                wrong = judge(peer, error, wanted)
                t.check(f"{what}, allocation {fault.nth}: {outcomes.add(error)}", not wrong, wrong)
                kept[HALF_BOUND] += BINDING in (error or "")
                close(peer)
                fault = next(faulty, None)
            peer.connect()
            t.equal("after these: what is wrong", served(peer), "")
    outcomes.report(t, what, least // step)


def run(t):
    driver.use(t.driver, "max_queues=2")
    with Peer(**LAYOUT) as peer:
        peer.connect()
        t.equal("without faults: what is wrong", served(peer), "")
    kept = Counter()
    with faults.hurried(), leftovers.none(t, "connections with faults", kept=kept):
        faults.driver_only()
        connect(t, faults.task("xenwatch"), "connect", 100, kept)
        # Threads are made by a thread of the kernel.
        faults.anything()
        connect(t, faults.task("kthreadd"), "threads for a connection", 10, kept)
    kmemleak.check(t)
