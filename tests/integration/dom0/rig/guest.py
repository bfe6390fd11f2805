# SPDX-License-Identifier: GPL-2.0
"""PV and PVH guests, and commands that run in them."""

import base64
import contextlib
import os
import re
import select
import time
import tty
from pathlib import Path

from . import xenstore
from .checks import Failed, run, wait_for

_ANSWER = re.compile(rb"@(\d+) (\d+) ([A-Za-z0-9+/=]*)@")
# Of a console, ^O is the system request key: all messages, then the tasks that wait for a lock or a device.
_SHOW_BLOCKED = b"\x0f9\x0fw"
_OPTIONS = "console=hvc0 loglevel=3 sysrq_always_enabled mitigations=off net.ifnames=0 kunit.enable=0"
_guests = {}
BOOT_LIMIT = 180
INITRD = Path("/mnt/guest/initrd.gz")
KERNEL = Path("/mnt/guest/vmlinuz")


def create(name, kind="pv", memory=256, vcpus=1, series=None):
    """Starts a guest ("pv" or "pvh") with the test's initramfs, and with the stock kernel or Debian's of
    another series."""
    initrd, kernel = INITRD, KERNEL
    if series:
        folder = Path("/mnt/guest-kernels", series)
        kernel = folder / "vmlinuz"
        # The kernel unpacks one archive over the other.
        initrd = Path(f"/run/{name}.initrd")
        initrd.write_bytes(INITRD.read_bytes() + (folder / "netfront.gz").read_bytes())
    create_from(initrd, name, kind, memory, vcpus, kernel=kernel)


def create_from(initrd, name, kind, memory, vcpus, more=(), kernel=KERNEL):
    """Starts a guest with the given initramfs and kernel, and `more` lines of configuration."""
    config = Path(f"/run/{name}.cfg")
    config.write_text("\n".join([
        f'name = "{name}"', f'type = "{kind}"', f"memory = {memory}", f"vcpus = {vcpus}",
        f'kernel = "{kernel}"', f'ramdisk = "{initrd}"',
        'tsc_mode = "native"', 'on_crash = "preserve"',
        f'extra = "{_OPTIONS}"', *more]) + "\n")
    run("xl", "create", "-q", config, limit=90)


class Guest:
    """A running guest with the agent of tests/integration/guest/init in it."""

    def __init__(self, name):
        """Finds the running guest `name` and waits for its agent."""
        self.name = name
        # Requests of programs that talk to the same guest one after the other are told apart.
        self._next = time.time_ns()
        self._find(int(run("xl", "domid", name)))

    def _find(self, domid):
        """Takes up the domain `domid` as the guest and waits for its agent."""
        self.domid = domid
        # A domain that is being made has its name long before its console.
        terminal = wait_for(f"console of {self.name}", 60,
                            lambda: xenstore.read(f"/local/domain/{self.domid}/console/tty"))
        self._console = os.open(terminal, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._console)
        self._seen = b""
        first, patience = self._next, 2
        end = time.monotonic() + BOOT_LIMIT
        # What is sent before the agent listens may be lost. Its answer to any of them will do: a slow
        # guest takes longer for one than this waits before the next.
        while self._answer(range(first, self.start("true") + 1), patience) is None:
            patience *= 2
            if time.monotonic() > end:
                raise Failed(f"guest {self.name} boots", f"no sign of its agent within {BOOT_LIMIT} s; "
                             f"its console ends with:\n{self._tail()}")

    def follow(self, limit=60):
        """Finds the guest again after it has become another domain: rebooted, restored or migrated."""
        os.close(self._console)

        def other():
            shown = run("xl", "domid", self.name, ok=None).strip()
            return int(shown) if shown.isdigit() and int(shown) != self.domid else None

        self._find(wait_for(f"guest {self.name} is another domain", limit, other))

    def _tail(self):
        """The end of what the guest has said and nobody has read."""
        return self._seen[-9000:].decode(errors="replace")

    def _answer(self, wanted, seconds):
        """Reads the console until an answer with one of the numbers in `wanted` is there."""
        end = time.monotonic() + seconds
        while True:
            for answer in _ANSWER.finditer(self._seen):
                if int(answer[1]) in wanted:
                    self._seen = self._seen[answer.end():]
                    return int(answer[2]), base64.b64decode(answer[3]).decode(errors="replace")
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._console], [], [], left)[0]:
                return None
            try:
                self._seen += os.read(self._console, 65536)
            except BlockingIOError:
                pass
            except OSError as error:
                raise Failed(f"guest {self.name} runs", f"its console is gone ({error}); it ends with:\n"
                             f"{self._tail()}") from None

    def start(self, command):
        """Gives a command to the agent and returns its number for `finish`."""
        number, self._next = self._next, self._next + 1
        line = b"%d %s\n" % (number, base64.b64encode(command.encode()))
        while line:
            select.select([], [self._console], [], 10)
            line = line[os.write(self._console, line):]
        return number

    def finish(self, number, limit):
        """Waits for the end of a started command: (status, what it printed)."""
        answer = self._answer((number,), limit)
        if answer is None:
            # Where its tasks wait, and where its processors are: a kernel's names of the addresses are in its
            # System.map.
            with contextlib.suppress(BlockingIOError):
                os.write(self._console, _SHOW_BLOCKED)
                self._answer((), 5)
            processors = run("/usr/lib/xen-4.20/bin/xenctx", "-a", "-C", self.domid, ok=None)
            raise Failed(f"guest {self.name} answers",
                         f"no answer within {limit} s; its console ends with:\n"
                         f"{self._tail()}\nand its processors:\n{processors}")
        return answer

    def run(self, command, limit=120, ok=True):
        """Runs a shell command in the guest; returns what it printed. Raises Failed when it
        fails, unless `ok` is false."""
        status, printed = self.finish(self.start(command), limit)
        if ok and status:
            raise Failed(f"in guest {self.name}: {command}", f"status {status}\n{printed.strip()}")
        return printed.strip()

    def netfront(self, loaded, parameters=""):
        """Loads or unloads the guest's netfront, whichever is not so yet."""
        # Linux waits for ever when a device is bound or unbound while the toolstack's taking it away arrives: one
        # task has the device and wants xenwatch to be idle, which it is not, because it wants the device.
        there = {f"vif-{handle}" for handle in xenstore.children(f"/local/domain/{self.domid}/device/vif")}
        wait_for(f"guest {self.name} knows what it has lost", 60, lambda: there.issuperset(
            self.run("ls /sys/bus/xen/devices | grep ^vif-", ok=False).split()))
        present = "[ -e /sys/module/xen_netfront ]"
        if loaded:
            self.run(f"{present} || insmod /lib/xen-netfront.ko {parameters}")
        else:
            # A bound device holds the module.
            self.run(f"""! {present} && exit
                for device in /sys/bus/xen/drivers/vif/vif-*; do
                    [ -e $device ] && echo ${{device##*/}} >/sys/bus/xen/drivers/vif/unbind
                done
                rmmod xen_netfront""")

    def pause(self):
        """Stops the guest's processors."""
        run("xl", "pause", self.name)

    def unpause(self):
        """Lets a paused guest go on."""
        run("xl", "unpause", self.name)

    def destroy(self):
        """Ends the guest at once; the toolstack may have to wait for the processor, when the guest is busy until then."""
        os.close(self._console)
        _guests.pop(self.name, None)
        run("xl", "destroy", self.name, limit=180)


def get(name, **options):
    """The guest `name`, which is started when it does not run yet. It outlives the scenario."""
    if name not in _guests:
        create(name, **options)
        _guests[name] = Guest(name)
    return _guests[name]
