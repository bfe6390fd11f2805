# SPDX-License-Identifier: GPL-2.0
"""Virtual interfaces: attached as an administrator does it, with xl and a bridge."""

import re
from pathlib import Path

from . import xenstore
from .checks import Failed, run, wait_for

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


class Vif:
    """An interface of a guest and what dom0 knows about it."""

    def __init__(self, guest, handle, number):
        self.guest = guest
        self.handle = handle
        self.backend = f"/local/domain/0/backend/vif/{guest.domid}/{handle}"
        self.frontend = f"/local/domain/{guest.domid}/device/vif/{handle}"
        self.name = f"vif{guest.domid}.{handle}"
        self.mac = xenstore.read(f"{self.backend}/mac")
        self.address = f"10.9.0.{number}"
        self.address6 = f"fd09::{number}"

    def states(self):
        """The states of both ends: (backend, frontend)."""
        return xenstore.read(f"{self.backend}/state"), xenstore.read(f"{self.frontend}/state")

    def wait_connected(self, seconds=20):
        """Waits until both ends are connected and the bridge forwards."""
        try:
            wait_for(f"{self.name} connects", seconds,
                     lambda: self.states() == (CONNECTED, CONNECTED) and self.carrier())
        except Failed as failed:
            error = xenstore.read(f"/local/domain/0/error/{self.backend.partition('/0/')[2]}/error")
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
        device = Path(f"/sys/bus/xen-backend/devices/vif-{self.guest.domid}-{self.handle}/driver")
        return device.resolve().name if device.exists() else None

    def detach(self, limit=30):
        """Takes the interface away as an administrator does, and waits until it is gone."""
        run("xl", "network-detach", self.guest.name, self.handle, limit=limit)
        wait_for(f"{self.name} gone", limit, lambda: not self.exists())


def attach(guest, number, configure=True, parameters=""):
    """Attaches an interface to the guest with xl; its address ends with `number`."""
    bridge()
    guest.netfront(True, parameters)
    listing = f"/local/domain/0/backend/vif/{guest.domid}"
    before = set(xenstore.children(listing))
    mac = f"00:16:3e:09:{guest.domid % 256:02x}:{number:02x}"
    run("xl", "network-attach", guest.name, f"mac={mac}", f"bridge={BRIDGE}", limit=60)
    (handle,) = set(xenstore.children(listing)) - before
    vif = Vif(guest, handle, number)
    if configure:
        vif.wait_connected()
        vif.configure()
    return vif
