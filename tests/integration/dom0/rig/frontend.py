# SPDX-License-Identifier: GPL-2.0
"""A device in dom0 of which dom0 is the frontend, too, with every word in xenstore the scenario's."""

import fcntl
import mmap
import os
import struct

from . import xenstore
from .checks import Failed, wait_for

# linux/include/uapi/xen/gntalloc.h and evtchn.h.
_ALLOC_GREF = struct.Struct("=HHIQI4x")
_IOCTL_ALLOC_GREF = _ALLOC_GREF.size << 16 | ord("G") << 8 | 5
_WRITABLE = 1
_IOCTL_BIND_UNBOUND = 4 << 16 | ord("E") << 8 | 2
_IOCTL_NOTIFY = 4 << 16 | ord("E") << 8 | 4

# The device with handle 0.
BACKEND = "/local/domain/0/backend/vif/0/0"
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

    def notify(self):
        """Sends an event to the backend."""
        fcntl.ioctl(self._evtchn, _IOCTL_NOTIFY, struct.pack("=I", self.port))

    def close(self):
        """Takes it all back."""
        for page in self.pages:
            page.close()
        os.close(self._evtchn)
        os.close(self._gntalloc)


class Frontend:
    """The device vif-0-HANDLE: dom0 is its own frontend, at a path that netfront does not watch."""

    def __init__(self, backend_keys=(), handle=0):
        """Makes the device as a toolstack does. None as a value leaves out one of the keys that a
        toolstack writes for the backend."""
        self.handle = handle
        self.name = f"vif0.{handle}"
        self.device = f"vif-0-{handle}"
        self.backend = f"/local/domain/0/backend/vif/0/{handle}"
        self.path = f"/local/domain/0/test-frontend/vif/{handle}"
        self.mac = f"00:16:3e:00:01:{handle:02x}"
        self._error = f"/local/domain/0/error/backend/vif/0/{handle}"
        self._forget()
        xenstore.write(f"{self.path}/backend", self.backend)
        xenstore.write(f"{self.path}/backend-id", 0)
        keys = {"frontend": self.path, "frontend-id": 0, "handle": handle, "mac": self.mac, "online": 1,
                "script": "/etc/xen/scripts/vif-bridge", "hotplug-status": "connected"}
        keys.update(backend_keys)
        for name, value in keys.items():
            if value is not None:
                xenstore.write(f"{self.backend}/{name}", value)
        xenstore.write(f"{self.backend}/state", 1)
        xenstore.write(f"{self.path}/state", 1)

    def _forget(self):
        for path in (self._error, self.path, self.backend):
            xenstore.remove(path)

    def backend_state(self):
        """The backend's state, as text; None when it has none."""
        return xenstore.read(f"{self.backend}/state")

    def wait(self, state, seconds=10):
        """Waits for a state of the backend."""
        try:
            wait_for(f"{self.device}: backend state {state}", seconds, lambda: self.backend_state() == str(state) or None)
        except Failed as failed:
            raise Failed(failed.name, f"not within {seconds} s: state {self.backend_state()}, "
                         f"error {self.error()!r}") from None

    def publish(self, keys):
        """Makes these the frontend's keys, and no others; None leaves one out."""
        for name in xenstore.children(self.path):
            if name not in ("backend", "backend-id", "state"):
                xenstore.remove(f"{self.path}/{name}")
        self.amend({name: value for name, value in keys.items() if value is not None})

    def amend(self, keys):
        """Writes some of the frontend's keys; None removes one."""
        for name, value in keys.items():
            if value is None:
                xenstore.remove(f"{self.path}/{name}")
            else:
                xenstore.write(f"{self.path}/{name}", value)

    def switch(self, state):
        """Writes the frontend's state."""
        xenstore.write(f"{self.path}/state", state)

    def error(self):
        """What the backend reported in xenstore, or None."""
        return xenstore.read(f"{self._error}/error")

    def forget_error(self):
        """Removes what the backend reported."""
        xenstore.remove(self._error)

    def gone(self, seconds=15):
        """Waits until the device and its interface are gone, and removes what is left in xenstore."""
        wait_for(f"{self.device} gone", seconds,
                 lambda: not os.path.exists(f"/sys/bus/xen-backend/devices/{self.device}")
                 and not os.path.exists(f"/sys/class/net/{self.name}"))
        self._forget()

    def remove(self):
        """Takes the device away as a toolstack does, and waits until it is gone."""
        xenstore.write(f"{self.backend}/online", 0)
        self.switch(6)
        if not os.path.exists(f"/sys/bus/xen-backend/devices/{self.device}/driver"):
            # A device that no driver wanted goes with its directory.
            self._forget()
        self.gone()
