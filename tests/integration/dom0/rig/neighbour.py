# SPDX-License-Identifier: GPL-2.0
"""An honest frontend beside those that attack, whose traffic nothing may stop."""

import os

from . import frames
from .peer import HOST_MAC, OKAY, Peer
from .wire import Wire

PATIENCE = 10  # Seconds for a packet: a busy machine is no fault, a stuck one is.
_PROTOCOL = 0x88B5  # One that no host answers.


def frame(peer, size=600, to_host=True):
    """A frame from a peer to the host, or to the peer, that is like no other."""
    ends = (HOST_MAC, peer.mac) if to_host else (peer.mac, HOST_MAC)
    return frames.ethernet(*ends, _PROTOCOL, os.urandom(size - frames.ETHERNET))


def exchange(peer, wire, queue=0):
    """Sends a packet each way; returns what is wrong, or nothing: that another one comes is wrong, too. The peer
    has posted buffers."""
    sent = frame(peer)
    statuses = peer.send(queue, sent, seconds=PATIENCE)
    seen = [one.data for one in wire.receive(seconds=PATIENCE)]
    if statuses != [OKAY] or seen != [sent]:
        return f"from {peer.name}: statuses {statuses}, {len(seen)} frames"
    sent = frame(peer, to_host=False)
    wire.send(sent)
    seen = [one.data for one in peer.receive(seconds=PATIENCE)]
    return "" if seen == [sent] else f"to {peer.name}: {len(seen)} frames"


def served(peer):
    """Sends packets both ways through every queue of a connected peer, in several slots and to be cut, too;
    returns what is wrong, or nothing."""
    with Wire(peer.name) as wire:
        for queue in range(peer.queues):
            peer.post(queue)
            sent = frame(peer)
            statuses = peer.send(queue, sent, [300, 286, 14], seconds=PATIENCE)
            if statuses != [OKAY] * 3 or not wire.receive(seconds=PATIENCE, match=lambda one: one.data == sent):
                return f"from {peer.name}, queue {queue}: statuses {statuses}"
        large = frames.tcp((HOST_MAC, peer.mac), ("10.8.0.1", "10.8.0.2"), (5000, 5001), os.urandom(20000), blank=True)
        wire.send(large, gso=(1448, 1), blank=frames.blank_at(large))
        if not any(one.data == large for one in peer.receive(seconds=PATIENCE)):
            return f"to {peer.name}: a large packet is lost"
    return ""


class Neighbour:
    """A connected peer that receives, as long as it is open."""

    def __init__(self, handle=1):
        self.peer = Peer(handle)
        self.wire = Wire(self.peer.name)
        self.peer.connect()
        self.peer.post()

    def exchange(self):
        """Sends a packet each way; returns what is wrong, or nothing."""
        return exchange(self.peer, self.wire)

    def check(self, t, what):
        """Checks that it is served."""
        t.equal(f"{what}: the neighbour is served", self.exchange(), "")

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        self.wire.close()
        self.peer.__exit__(failed)
