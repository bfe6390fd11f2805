# SPDX-License-Identifier: GPL-2.0
"""A frontend in dom0 of which every word is the scenario's: xenstore nodes, ring pages, event channels."""

import fcntl
import mmap
import os
import struct

from . import xenstore
from .checks import wait_for

# linux/include/uapi/xen/gntalloc.h and evtchn.h.
_ALLOC_GREF = struct.Struct("=HHIQI4x")
_IOCTL_ALLOC_GREF = _ALLOC_GREF.size << 16 | ord("G") << 8 | 5
_WRITABLE = 1
_IOCTL_BIND_UNBOUND = 4 << 16 | ord("E") << 8 | 2

BACKEND = "/local/domain/0/backend/vif/0/0"
FRONTEND = "/local/domain/0/test-frontend/vif/0"
ERROR = "/local/domain/0/error/backend/vif/0/0/error"
NAME = "vif0.0"


class Rings:
    """Two ring pages granted to dom0 and an event channel, as a frontend makes them."""

    def __init__(self):
        self._gntalloc = os.open("/dev/xen/gntalloc", os.O_RDWR)
        self._evtchn = os.open("/dev/xen/evtchn", os.O_RDWR)
        self.references = []
        self.pages = []
        for _ in range(2):
            request = bytearray(_ALLOC_GREF.pack(0, _WRITABLE, 1, 0, 0))
            fcntl.ioctl(self._gntalloc, _IOCTL_ALLOC_GREF, request)
            _, _, _, index, reference = _ALLOC_GREF.unpack(request)
            page = mmap.mmap(self._gntalloc, mmap.PAGESIZE, offset=index)
            # No request yet, wake at the first, no response yet, wake at the first.
            page[0:16] = struct.pack("=IIII", 0, 1, 0, 1)
            self.references.append(reference)
            self.pages.append(page)
        self.port = fcntl.ioctl(self._evtchn, _IOCTL_BIND_UNBOUND, bytearray(struct.pack("=I", 0)))

    def keys(self):
        """The xenstore keys of a frontend that uses them."""
        return {"tx-ring-ref": self.references[0], "rx-ring-ref": self.references[1], "event-channel": self.port,
                "request-rx-copy": 1, "feature-rx-notify": 1, "feature-sg": 1, "feature-gso-tcpv4": 1}

    def close(self):
        """Takes it all back."""
        for page in self.pages:
            page.close()
        os.close(self._evtchn)
        os.close(self._gntalloc)


class Frontend:
    """The device vif-0-0: dom0 is its own frontend, at a path that netfront does not watch."""

    def __init__(self, backend_keys=()):
        for path in (ERROR, FRONTEND, BACKEND):
            xenstore.remove(path)
        xenstore.write(f"{FRONTEND}/backend", BACKEND)
        xenstore.write(f"{FRONTEND}/backend-id", 0)
        keys = {"frontend": FRONTEND, "frontend-id": 0, "handle": 0, "mac": "00:16:3e:00:00:01", "online": 1,
                "script": "/etc/xen/scripts/vif-bridge", "hotplug-status": "connected"}
        keys.update(backend_keys)
        for name, value in keys.items():
            if value is not None:
                xenstore.write(f"{BACKEND}/{name}", value)
        xenstore.write(f"{BACKEND}/state", 1)
        xenstore.write(f"{FRONTEND}/state", 1)

    def backend_state(self):
        """The backend's state."""
        return xenstore.read(f"{BACKEND}/state")

    def wait(self, state, seconds=5):
        """Waits for a state of the backend."""
        wait_for(f"backend state {state}", seconds, lambda: self.backend_state() == str(state) or None)

    def publish(self, keys):
        """Makes these the frontend's keys, and no others; None leaves one out."""
        for name in xenstore.children(FRONTEND):
            if name not in ("backend", "backend-id", "state"):
                xenstore.remove(f"{FRONTEND}/{name}")
        for name, value in keys.items():
            if value is not None:
                xenstore.write(f"{FRONTEND}/{name}", value)

    def switch(self, state):
        """Writes the frontend's state."""
        xenstore.write(f"{FRONTEND}/state", state)

    def error(self):
        """What the backend reported in xenstore, or None."""
        return xenstore.read(ERROR)

    def remove(self):
        """Takes the device away as a toolstack does, and waits until it is gone."""
        xenstore.write(f"{BACKEND}/online", 0)
        self.switch(6)
        wait_for("device gone", 15, lambda: not os.path.exists("/sys/bus/xen-backend/devices/vif-0-0"))
        for path in (ERROR, FRONTEND, BACKEND):
            xenstore.remove(path)
