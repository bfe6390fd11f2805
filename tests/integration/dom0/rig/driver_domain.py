# SPDX-License-Identifier: GPL-2.0
"""A driver domain: a guest that has the backend of other guests' interfaces, run by `xl devd`.

Its root is dom0's, shared as a read-only disk under a layer in memory, so that it has dom0's programs.
Its bridge and addresses have the names that dom0's have in other scenarios: nothing connects the two.
"""

import shlex
import shutil
import subprocess
from pathlib import Path

from . import driver, kmsg, xenstore
from .checks import Failed, run, wait_for
from .guest import Guest, create_from
from .traffic import PROGRAMS
from .vif import BRIDGE, HOST, Vif, network_attach

_TREE = Path("/run/driver-domain")
_INITRD = Path("/run/driver-domain.gz")
_KERNEL = Path("/mnt/dom0-vmlinuz")
_DISK = "/dev/vdc"


def _make_initrd():
    """Its initramfs: busybox, the kernel's modules, the modules under test, the agent."""
    if _INITRD.exists():
        return
    for folder in ("bin", "proc", "sys", "dev", "lib", "files"):
        (_TREE / folder).mkdir(parents=True)
    shutil.copy("/usr/bin/busybox", _TREE / "bin")
    shutil.copy("/mnt/guest-files/driver-domain-init", _TREE / "init")
    shutil.copytree("/usr/lib/modules", _TREE / "lib/modules")
    # They have the same places in it as in dom0.
    (_TREE / "files/guest").mkdir()
    for program in PROGRAMS:
        shutil.copy(program, _TREE / "files/guest")
    shutil.copy("/mnt/guest-files/agent", _TREE / "files")
    for module in Path("/mnt").glob("*.ko"):
        shutil.copy(module, _TREE / "files")
    subprocess.run(f"find . | busybox cpio -o -H newc | gzip -1 >{_INITRD}", shell=True, cwd=_TREE, check=True,
                   stderr=subprocess.DEVNULL)
    shutil.rmtree(_TREE)


class DriverDomain(Guest):
    """A running driver domain with its bridge, and with `which` as the driver of interfaces."""

    def __init__(self, which, name="driver-domain", kind="pvh", memory=512, vcpus=1):
        run("modprobe", "xen-blkback")
        _make_initrd()
        create_from(_INITRD, name, kind, memory, vcpus,
                    ("driver_domain = 1", f'disk = ["phy:{_DISK},xvda,r"]'), kernel=_KERNEL)
        super().__init__(name)
        # What its kernel says while it boots is not about the driver.
        self._mark = self._messages()[-1].sequence
        self.load(which)
        for words in (("link", "add", BRIDGE, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0"),
                      ("address", "add", f"{HOST}/24", "dev", BRIDGE), ("link", "set", BRIDGE, "up")):
            self.command("ip", *words)
        self.command("xl", "devd")

    def command(self, *words, limit=60, ok=(0,)):
        """Runs a command in it as checks.run() does in dom0."""
        status, printed = self.finish(self.start(shlex.join(map(str, words))), limit)
        if ok is not None and status not in ok:
            raise Failed(f"in {self.name}: {' '.join(map(str, words))}", f"status {status}\n{printed.strip()}")
        return printed

    def load(self, which):
        """Loads the driver `which` ("c" or "rust")."""
        self.run(f"insmod {driver.RUST_FILE}" if which == "rust" else "modprobe xen-netback")

    def unload(self, which):
        """Unloads the driver."""
        wait_for(f"module {driver.module(which)} unused in {self.name}", 15,
                 lambda: self.run(f"cat /sys/module/{driver.module(which)}/refcnt") == "0")
        self.command("rmmod", driver.module(which))

    def attach(self, guest, number):
        """Attaches an interface with its backend here to a guest; its address ends with `number`."""
        guest.netfront(True)
        handle = network_attach(guest, number, f"bridge={BRIDGE}", f"backend={self.name}", backend_domain=self.domid)
        vif = RemoteVif(self, guest, handle, number)
        # The hotplug script runs in the domain, which is slow where virtualisation is emulated.
        vif.wait_connected(90)
        vif.configure()
        return vif

    def _messages(self):
        return kmsg.parse(self.run("dd if=/dev/kmsg bs=8192 iflag=nonblock status=none", ok=False))

    def trouble(self):
        """The lines of its kernel log since it is ready which a clean log has not."""
        return kmsg.trouble_among([message for message in self._messages() if message.sequence > self._mark])


class RemoteVif(Vif):
    """An interface of a guest with its backend in a driver domain."""

    def __init__(self, domain, guest, handle, number):
        super().__init__(guest, handle, number, backend_domain=domain.domid)
        self._domain = domain

    def carrier(self):
        """Whether the interface has a carrier; false while it is down."""
        return self._domain.run(f"cat /sys/class/net/{self.name}/carrier", ok=False) == "1"

    def exists(self):
        """Whether the driver domain still has the interface."""
        return self.name in self._domain.run("ls /sys/class/net").split()

    def driver(self):
        """The name of the backend driver that has the device."""
        path = self._domain.run(f"readlink /sys/bus/xen-backend/devices/{self.device}/driver", ok=False)
        return path.rpartition("/")[2] or None

    def leftovers(self):
        """What the driver domain still has of an interface that should be gone."""
        shown = self._domain.run("ls /sys/class/net /sys/bus/xen-backend/devices; ps -eo comm; "
                                 "sed 's/.* //' /proc/interrupts").split()
        found = [name for name in shown if name in (self.name, self.device) or name.startswith(f"{self.name}-")]
        return found + [f"xenstore {self.backend}"] * bool(xenstore.children(self.backend))
