# SPDX-License-Identifier: GPL-2.0
"""PV and PVH guests, and commands that run in them."""

import base64
import os
import re
import select
import time
import tty
from pathlib import Path

from . import xenstore
from .checks import Failed, run, wait_for

_ANSWER = re.compile(rb"@(\d+) (\d+) ([A-Za-z0-9+/=]*)@")
_guests = {}
BOOT_LIMIT = 90


def create(name, kind="pv", memory=256, vcpus=1):
    """Starts a guest ("pv" or "pvh") with the test's kernel and initramfs."""
    config = Path(f"/run/{name}.cfg")
    config.write_text("\n".join([
        f'name = "{name}"', f'type = "{kind}"', f"memory = {memory}", f"vcpus = {vcpus}",
        'kernel = "/mnt/guest/vmlinuz"', 'ramdisk = "/mnt/guest/initrd.gz"',
        'tsc_mode = "native"', 'on_crash = "preserve"',
        'extra = "console=hvc0 loglevel=3 mitigations=off net.ifnames=0"']) + "\n")
    run("xl", "create", "-q", config, limit=90)


class Guest:
    """A running guest with the agent of tests/integration/guest/init in it."""

    def __init__(self, name):
        """Finds the running guest `name` and waits for its agent."""
        self.name = name
        # Requests of programs that talk to the same guest one after the other are told apart.
        self._next = time.time_ns()
        self.domid = int(run("xl", "domid", name))
        terminal = wait_for(f"console of {name}", 10,
                            lambda: xenstore.read(f"/local/domain/{self.domid}/console/tty"))
        self._console = os.open(terminal, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._console)
        self._seen = b""
        end = time.monotonic() + BOOT_LIMIT
        while self._answer(self.start("true"), 2) is None:
            if time.monotonic() > end:
                raise Failed(f"guest {name} boots", f"no sign of its agent within {BOOT_LIMIT} s; "
                             f"its console ends with:\n{self._seen[-1200:].decode(errors='replace')}")

    def _answer(self, wanted, seconds):
        """Reads the console until the answer with the number `wanted` is there."""
        end = time.monotonic() + seconds
        while True:
            for answer in _ANSWER.finditer(self._seen):
                if int(answer[1]) == wanted:
                    self._seen = self._seen[answer.end():]
                    return int(answer[2]), base64.b64decode(answer[3]).decode(errors="replace")
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._console], [], [], left)[0]:
                return None
            try:
                self._seen += os.read(self._console, 65536)
            except BlockingIOError:
                pass

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
        answer = self._answer(number, limit)
        if answer is None:
            raise Failed(f"guest {self.name} answers",
                         f"no answer within {limit} s; its console ends with:\n"
                         f"{self._seen[-1200:].decode(errors='replace')}")
        return answer

    def run(self, command, limit=30, ok=True):
        """Runs a shell command in the guest; returns what it printed. Raises Failed when it
        fails, unless `ok` is false."""
        status, printed = self.finish(self.start(command), limit)
        if ok and status:
            raise Failed(f"in guest {self.name}: {command}", f"status {status}\n{printed.strip()}")
        return printed.strip()

    def netfront(self, loaded, parameters=""):
        """Loads or unloads the guest's netfront, whichever is not so yet."""
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
        """Ends the guest at once."""
        os.close(self._console)
        _guests.pop(self.name, None)
        run("xl", "destroy", self.name, limit=60)


def get(name, **options):
    """The guest `name`, which is started when it does not run yet. It outlives the scenario."""
    if name not in _guests:
        create(name, **options)
        _guests[name] = Guest(name)
    return _guests[name]
