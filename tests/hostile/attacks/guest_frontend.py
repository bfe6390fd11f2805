# SPDX-License-Identifier: GPL-2.0
"""A guest's program instead of its netfront: honest, at random, with requests that change on another processor.

The frontend runs where an attacker's would, in a guest with two processors. There all numbers of grants are its own, so
it may also take grants back which are in use, give everything back at once, and name any page.
"""

from rig import driver, guest_frontend, leftovers, xenstore
from rig.fuzzer import QUEUES, Innocent, quick_connections
from rig.vif import bridge

LIMIT = 500
LONG_LIMIT = 1200
ONLY_WITH = "rust"
EXPECTED_MESSAGES = (r"vif-\d+-\d+|vif\d+\.\d+", r"xen:grant_table", r"d\d+v\d+ ", r"xenbr0: port")

SECONDS, LONG_SECONDS = 8, 200
LAYOUTS = [{"queues": queues, "split": split, "control": True, "offloads": True, "notifies": True,
            "wraps": split}
           for queues in (1, QUEUES) for split in (False, True)]
RING, TX_ENTRY = 64, 12


def send(slots, size, queue=0):
    """A packet for the host, which answers it."""
    return {"Send": {"queue": queue, "frame": "Ping", "size": size, "slots": slots, "flags": 0, "extras": [],
                     "claims": []}}


def flipping(words):
    """A round in which a word of the first requests changes between two values while they are used."""
    actions = []
    for turn in range(5):
        for word, values in words:
            at = RING + TX_ENTRY * (turn * 11 % 200) + 4 * word
            actions.append({"Flip": {"ring": "Tx", "queue": 0, "at": at, "words": values}})
        actions += [send(1 + number % 3, 300) for number in range(40)]
        actions += [{"Collect": {"queue": 0}}, "Calm"]
    return {"honest": False, "layout": LAYOUTS[0], "actions": actions}


# A page; offset and flags; id and size: what a check has seen is not what is used, unless it is copied once.
FLIPPED = (
    ("the page", [(0, [8, 0xFFFFFFFF])]),
    ("offset and flags", [(1, [0, 4000]), (1, [0, 4 << 16])]),
    ("flags for extras", [(1, [0, 8 << 16])]),
    ("id and size", [(2, [100 << 16, 60000 << 16 | 9])]),
)


def honest(t, device):
    """Traffic both ways in every layout, held against all rules."""
    for layout in LAYOUTS:
        connect = {"do": "replay", "round": {"honest": True, "layout": layout, "actions": []}, "queues": QUEUES}
        exchange = {"do": "exchange", "seconds": 2, "window": 16}
        first, second = device.call(*({**one, **device.ends()} for one in (connect, exchange)))
        name = f"{layout['queues']} queues, {'split' if layout['split'] else 'shared'} channels"
        t.equal(f"{name}: connects", first["failed"], None)
        t.equal(f"{name}: broken rules", second.get("violations", []), [])
        t.at_least(f"{name}: packets both ways", second["back"], 20)


def at_random(t, device, seed, innocent):
    """Random actions from a seed."""
    world = {"queues": QUEUES, "alone": True, **device.ends()}
    for name, words in FLIPPED:
        (flipped,) = device.call({"do": "replay", "round": flipping(words), **world})
        t.equal(f"requests change, {name}, {flipped['faults']} faults: failed", flipped["failed"], None)
    seconds = LONG_SECONDS if t.long else SECONDS
    (last,) = device.call({"do": "fuzz", "seed": seed, "seconds": seconds, **world}, limit=seconds + 200)
    t.note(f"seed {seed}: {last['rounds']} rounds, {last['actions']} actions, {last['faults']} faults")
    t.equal(f"random actions, seed {seed}: failed", last["failed"], None)
    t.check("another frontend works", innocent.works())


def run(t):
    """Fails when the pages of the rings stay mapped (`RingPage` without its `drop`)."""
    driver.use(t.driver, f"max_queues={QUEUES}")
    bridge()
    # What is kept on purpose after the first guest.
    guest_frontend.create("first").destroy()
    for number, kind in enumerate(("pv", "pvh") if t.long else ("pv",)):
        with quick_connections(), leftovers.none(t, f"a hostile {kind} guest"):
            with Innocent(2) as innocent:
                guest = guest_frontend.create(f"hostile-{kind}", kind)
                device = guest_frontend.Device(guest, 20 + number)
                honest(t, device)
                at_random(t, device, 21 + number, innocent)
                world = {"queues": QUEUES, "alone": True, **device.ends()}
                device.start({"do": "fuzz", "seed": 31 + number, "seconds": 100, **world})
                t.check("another frontend works while the guest goes on", innocent.works())
                guest.destroy()
                t.eventually("nothing is left of its interface", 20, lambda device=device: not device.leftovers())
                t.check("another frontend works", innocent.works())
                # A fault that was reported there stays, whatever becomes of the guest.
                xenstore.remove(f"/local/domain/0/error/backend/vif/{guest.domid}")
