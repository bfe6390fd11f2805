# SPDX-License-Identifier: GPL-2.0
"""Several queues, with one event channel each or two: names of interrupts and threads, files, queues in sysfs."""

from rig import facts
from rig.peer import Peer

LIMIT = 90
PARAMETERS = ("max_queues=4",)


def record(r):
    for queues, split in ((1, True), (2, False), (4, True)):
        r.step(f"{queues} queues, {'split' if split else 'shared'} channels")
        with Peer(queues=queues, split=split, tolerant=True) as peer:
            peer.connect()
            r.put_all(facts.kernel_names(peer.name))
            r.put_all({key: value for key, value in facts.debugfs(peer.name).items() if " line " not in key})
            r.put_all({key: value for key, value in facts.interface(peer.name).items() if "queue" in key})
            r.put_all(facts.ethtool(peer.name, "-l"))
            peer.disconnect()
            r.put_all({f"closed: {key}": value for key, value in facts.kernel_names(peer.name).items()})
            peer.set_state(1)
            peer.wait(2)
