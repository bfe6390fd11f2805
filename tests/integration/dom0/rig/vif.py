# SPDX-License-Identifier: GPL-2.0
"""Virtual interfaces: attached as an administrator does it, with xl and a bridge."""

import re
from pathlib import Path

from . import xenstore
from .checks import Failed, run, wait_for
from .driver import BUS_NAMES

BRIDGE = "xenbr0"
HOST = "10.9.0.1"
HOST6 = "fd09::1"
CONNECTED = "4"


def bridge():
    """The bridge of the tests, with dom0's address on it."""
    if not Path("/sys/class/net", BRIDGE).exists():
        run("ip", "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        run("ip", "address", "add", f"{HOST}/24", "dev", BRIDGE)
        run("ip", "-6", "address", "add", f"{HOST6}/64", "dev", BRIDGE, "nodad")
        run("ip", "link", "set", BRIDGE, "up")


def segmentation(name):
    """Whether segmentation is left to the guest behind the interface of this name."""
    return re.search(r"^tcp-segmentation-offload: (\w+)", run("ethtool", "-k", name), re.M)[1] == "on"


class Vif:
    """An interface of a guest and what dom0 knows about it."""

    def __init__(self, guest, handle, number, backend_domain=0):
        self.guest = guest
        self.handle = handle
        self.number = number
        self.backend = f"/local/domain/{backend_domain}/backend/vif/{guest.domid}/{handle}"
        self.frontend = f"/local/domain/{guest.domid}/device/vif/{handle}"
        self.name = f"vif{guest.domid}.{handle}"
        self.device = f"vif-{guest.domid}-{handle}"
        self.mac = xenstore.read(f"{self.backend}/mac")
        self.address = f"10.9.0.{number}"
        self.address6 = f"fd09::{number}"

    def again(self):
        """The same interface of a guest which is another domain by now, with its addresses set."""
        vif = Vif(self.guest, self.handle, self.number)
        vif.guest.netfront(True)
        vif.wait_connected()
        vif.configure()
        return vif

    def states(self):
        """The states of both ends: (backend, frontend)."""
        return xenstore.read(f"{self.backend}/state"), xenstore.read(f"{self.frontend}/state")

    def wait_connected(self, seconds=60):
        """Waits until both ends are connected and the bridge forwards."""
        try:
            wait_for(f"{self.name} connects", seconds,
                     lambda: self.states() == (CONNECTED, CONNECTED) and self.carrier())
        except Failed as failed:
            home, _, path = self.backend.partition("/backend/")
            error = xenstore.read(f"{home}/error/backend/{path}/error")
            raise Failed(failed.name, f"not within {seconds} s: states (backend, frontend) {self.states()}, "
                         f"carrier {self.carrier()}, hotplug-status "
                         f"{xenstore.read(f'{self.backend}/hotplug-status')}, error {error}") from None

    def carrier(self):
        """Whether the interface has a carrier; false while it is down."""
        try:
            return Path("/sys/class/net", self.name, "carrier").read_text().strip() == "1"
        except OSError:
            return False

    def exists(self):
        """Whether dom0 still has the interface."""
        return Path("/sys/class/net", self.name).exists()

    def configure(self, mtu=None):
        """Gives the guest's end its addresses, and makes both ends known to each other: ARP
        would only add noise to what the scenarios count. Returns its name in the guest."""
        name = wait_for(f"interface {self.mac} in guest {self.guest.name}", 20, lambda: self.guest.run(
            f"grep -l {self.mac} /sys/class/net/*/address | cut -d/ -f5"))
        self.guest.run(
            f"ip link set {name} up {f'mtu {mtu}' if mtu else ''}; ip address flush dev {name};"
            f"ip address add {self.address}/24 dev {name}; echo 0 >/proc/sys/net/ipv6/conf/{name}/accept_dad;"
            f"ip -6 address add {self.address6}/64 dev {name}; true")
        return name

    def move(self, source, target):
        """Hands the interface of a running guest from one backend driver to another, or to itself,
        as README.md tells."""
        bus = Path("/sys/bus/xen-backend/drivers")
        (bus / BUS_NAMES[source] / "unbind").write_text(self.device)
        (bus / BUS_NAMES[target] / "bind").write_text(self.device)
        run("ip", "link", "set", self.name, "master", BRIDGE, "up")
        xenstore.write(f"{self.backend}/hotplug-status", "connected")

    def sysfs(self, attribute):
        """An attribute of the interface, as text."""
        return Path("/sys/class/net", self.name, attribute).read_text().strip()

    def counters(self):
        """The interface's own statistics: {name: number}."""
        shown = run("ethtool", "-S", self.name)
        return {name: int(value) for name, value in re.findall(r"^\s*([\w.\-]+): (\d+)$", shown, re.M)}

    def counter(self, name):
        """One of the interface's own statistics; raises Failed when there is none of that name."""
        counters = self.counters()
        if name not in counters:
            raise Failed(f"{self.name} counts {name}", f"ethtool -S shows: {', '.join(counters) or 'nothing'}")
        return counters[name]

    def driver(self):
        """The name of the backend driver that has the device."""
        device = Path("/sys/bus/xen-backend/devices", self.device, "driver")
        return device.resolve().name if device.exists() else None

    def leftovers(self):
        """What dom0 still has of an interface that should be gone, each with its kind."""
        names = {
            "network device": [path.name for path in Path("/sys/class/net").iterdir()],
            "device on the bus": [path.name for path in Path("/sys/bus/xen-backend/devices").iterdir()],
            "thread": run("ps", "-eo", "comm").splitlines(),
            "interrupt": re.findall(r"(\S+)$", Path("/proc/interrupts").read_text(), re.M),
        }
        found = [f"{kind} {name}" for kind, present in names.items() for name in present
                 if name in (self.name, self.device) or name.startswith(f"{self.name}-")]
        return found + [f"xenstore {self.backend}"] * bool(xenstore.children(self.backend))

    def detach(self, limit=120):
        """Takes the interface away as an administrator does, and waits until it is gone. The toolstack gives a
        guest 10 s to agree, and the hotplug script 40."""
        run("xl", "network-detach", self.guest.name, self.handle, limit=limit)
        wait_for(f"{self.name} gone", limit, lambda: not self.exists())


def network_attach(guest, number, *settings, backend_domain=0):
    """Lets xl make an interface on the bridge, or as `settings` say, whose mac ends with `number`; returns its
    handle."""
    listing = f"/local/domain/{backend_domain}/backend/vif/{guest.domid}"
    before = set(xenstore.children(listing))
    mac = f"00:16:3e:09:{guest.domid % 256:02x}:{number:02x}"
    run("xl", "network-attach", guest.name, f"mac={mac}", *(settings or (f"bridge={BRIDGE}",)), limit=60)
    (handle,) = set(xenstore.children(listing)) - before
    return handle


def attach(guest, number, configure=True, parameters="", settings=()):
    """Attaches an interface to the guest with xl, which gets `settings`; its address ends with
    `number`."""
    bridge()
    guest.netfront(True, parameters)
    vif = Vif(guest, network_attach(guest, number, *settings), number)
    if configure:
        vif.wait_connected()
        vif.configure()
    return vif
