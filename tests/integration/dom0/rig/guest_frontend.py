# SPDX-License-Identifier: GPL-2.0
"""The frontend of tests/hostile as a program in a guest, whose own netfront is not loaded.

    domain = create("hostile", vcpus=2)
    device = Device(domain, 9)
    device.call({"do": "exchange", "seconds": 3, **device.ends()})   # -> what the program answers
"""

import json
import lzma
import shutil
import subprocess
from pathlib import Path

from .checks import Failed, run
from .guest import INITRD, Guest, create_from
from .peer import PROGRAM
from .vif import BRIDGE, HOST, Vif, bridge, network_attach

_TREE = Path("/run/guest-frontend")
_INITRD = Path("/run/guest-frontend.gz")
_MODULES = ("xen-evtchn", "xen-gntalloc")
# The pages that programs may grant.
_LIMIT = "/sys/module/xen_gntalloc/parameters/limit"


def _make_initrd():
    """The guest's initramfs, with the program, its libraries and what it needs of the kernel."""
    if _INITRD.exists():
        return
    files = [word for word in run("ldd", PROGRAM).split() if word.startswith("/")]
    for file in files:
        (_TREE / file[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, _TREE / file[1:])
    (_TREE / "bin").mkdir(exist_ok=True)
    shutil.copy(PROGRAM, _TREE / "bin")
    for module in _MODULES:
        packed = Path(f"/mnt/guest/{module}.ko.xz").read_bytes()
        (_TREE / f"lib/{module}.ko").write_bytes(lzma.decompress(packed))
    packed = subprocess.run("find . | busybox cpio -o -H newc | gzip -1", shell=True, cwd=_TREE, check=True,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    # The kernel unpacks one archive over the other.
    _INITRD.write_bytes(INITRD.read_bytes() + packed)
    shutil.rmtree(_TREE)


def create(name, kind="pv", vcpus=2):
    """Starts a guest that can run the program."""
    _make_initrd()
    create_from(_INITRD, name, kind, 256, vcpus)
    guest = Guest(name)
    for module in _MODULES:
        guest.run(f"insmod /lib/{module}.ko")
    guest.run(f"echo 100000 >{_LIMIT}")
    return guest


class Device(Vif):
    """An interface on the bridge whose frontend is the program, which speaks with dom0 through it."""

    def __init__(self, guest, number):
        bridge()
        super().__init__(guest, network_attach(guest, number), number)
        run("ip", "neigh", "replace", self.address, "lladdr", self.mac, "dev", BRIDGE, "nud", "permanent")

    def ends(self):
        """The addresses of both ends."""
        host_mac = Path("/sys/class/net", BRIDGE, "address").read_text().strip()
        return {"mac": self.mac, "address": self.address, "host_mac": host_mac, "host": HOST}

    def _command(self, commands):
        lines = "\n".join(json.dumps(one) for one in commands)
        return f"frontend device/vif/{self.handle} 0 strict <<'END'\n{lines}\nEND\n"

    def call(self, *commands, limit=120):
        """Starts the program for some commands of tests/hostile/src/commands.rs; returns its answers."""
        answers = [json.loads(line) for line in self.guest.run(self._command(commands), limit=limit).splitlines()]
        for answer in answers:
            if "error" in answer:
                raise Failed(f"{self.name}: the frontend does what it is told", answer["error"])
        return answers

    def start(self, *commands):
        """Starts the program for some commands, and does not wait for its end."""
        command = self._command(commands)
        self.guest.run(f"cat >/tmp/job <<'JOB'\n{command}JOB\nsh /tmp/job >/dev/null 2>&1 </dev/null &")
