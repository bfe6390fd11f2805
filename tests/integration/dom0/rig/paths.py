# SPDX-License-Identifier: GPL-2.0
"""The paths that the bench measures: two guests and something beyond a router, around the domain with the
backends, which is dom0 or a driver domain."""

import subprocess

from . import driver, guest, vif, xenstore
from .checks import Failed, wait_for
from .driver_domain import DriverDomain
from .traffic import MEASURE

SINK, ECHO = 5001, 5002
# Where the bridge has its address from, so that guests need not ask again after its members changed.
_BRIDGE_MAC = "02:00:00:00:00:01"
_FAR = "ip netns exec far "
OFFLOADS = ("tso", "gso", "gro", "tx")


class Dom0:
    """dom0 as a domain with backends: runs commands as a guest does."""

    name, domid, kind = "dom0", 0, "pv"

    def __init__(self):
        driver.use("rust")
        driver.load("c")
        vif.bridge()

    def run(self, command, limit=60, ok=True):
        """Runs a shell command; returns what it printed."""
        done = subprocess.run(command, shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=limit, check=False)
        if ok and done.returncode:
            raise Failed(f"in dom0: {command}", f"status {done.returncode}\n{done.stdout.strip()}")
        return done.stdout.strip()

    @staticmethod
    def attach(this, number, queues):
        """Attaches an interface to a guest."""
        return vif.attach(this, number, configure=False, parameters=f"max_queues={queues}")


class Domain(DriverDomain):
    """A driver domain as a domain with backends."""

    kind = "pvh"

    def __init__(self, vcpus):
        super().__init__("rust", vcpus=vcpus)
        self.load("c")

    def run(self, command, limit=120, ok=True):
        """Runs a shell command; it may take longer than in other guests, with emulated virtualisation."""
        return super().run(command, limit, ok)

    def attach(self, this, number, queues):
        """Attaches an interface to a guest."""
        this.netfront(True, f"max_queues={queues}")
        return super().attach(this, number)


class End:
    """One end of a path: where its programs run, its interfaces and its addresses."""

    def __init__(self, shell, program, interfaces, addresses, prefix=""):
        self.shell, self.interfaces, self.addresses = shell, interfaces, addresses
        self._program = prefix + program
        self._prefix = prefix
        for service in (f"sink {SINK}", f"echo {ECHO}"):
            self.shell.run(f"{self._program} {service} >/dev/null 2>&1 </dev/null &")
        wait_for("a sink listens", 10, lambda: f":{SINK:04X} " in self.shell.run(f"{prefix}cat /proc/net/tcp"))

    def measure(self, text, seconds, meanwhile=None):
        """Runs the bench's program, perhaps while it does something else; the numbers that it prints."""
        command = f"{self._program} {text}"
        if meanwhile:
            command = f"{self._program} {meanwhile} >/dev/null & sleep 0.4; {command}; wait"
        printed = self.shell.run(command, limit=seconds + 60)
        return [float(word) for word in printed.split()]

    def arrived(self):
        """The number of packets that have arrived."""
        files = " ".join(f"/sys/class/net/{name}/statistics/rx_packets" for name in self.interfaces)
        return sum(map(int, self.shell.run(f"{self._prefix}cat {files}").split()))


class Link:
    """An interface of a guest, moved between the drivers."""

    def __init__(self, host, this, place, number, queues):
        self.host, self.guest, self.number = host, this, number
        self.vif = host.attach(this, 10 * place + number, queues)
        self.vif.wait_connected(90)
        self.interface = self.vif.configure()
        self.owner = "rust"
        self.subnet = f"10.{30 + number}.0"
        self.address = f"{self.subnet}.{1 + place}"
        this.run(f"ip address add {self.address}/24 dev {self.interface}; "
                 f"ip route add 10.50.{number}.0/24 via {self.subnet}.1 src {self.address}")
        self.mac = this.run(f"cat /sys/class/net/{self.interface}/address")

    def unbind(self):
        """Takes it from its driver."""
        self.host.run(f"echo {self.vif.device} >/sys/bus/xen-backend/drivers/{driver.BUS_NAMES[self.owner]}/unbind")
        self.owner = None

    def bind(self, which):
        """Gives it to a driver; it is connected some time later."""
        self.host.run(f"echo {self.vif.device} >/sys/bus/xen-backend/drivers/{driver.BUS_NAMES[which]}/bind && "
                      f"ip link set {self.vif.name} master {vif.BRIDGE} up")
        xenstore.write(f"{self.vif.backend}/hotplug-status", "connected")
        self.owner = which

    def offloads(self, state):
        """Switches what makes packets larger than the MTU, or leaves checksums to others, on or off."""
        words = " ".join(f"{name} {state}" for name in OFFLOADS)
        self.host.run(f"ethtool -K {self.vif.name} {words}")
        self.guest.run(f"ethtool -K {self.interface} {words}")


def move(links, which):
    """Gives interfaces to a driver under their running guests."""
    for link in links:
        if link.owner not in (which, None):
            link.unbind()
    for link in links:
        if link.owner is None:
            link.bind(which)
    for link in links:
        link.vif.wait_connected(60)


class Path:
    """From where to where, by which links, and how frames get there."""

    def __init__(self, source, target, links, addresses, targets):
        self.source, self.target, self.links = source, target, links
        # Of the target, as the source reaches them, one for each link.
        self.addresses = addresses
        # Of frames, as `measure blast` takes them.
        self.targets = targets


class Network:
    """Everything that is there to measure, with `vifs` interfaces of `queues` queues for each guest."""

    def __init__(self, host, queues, vifs):
        self.host, self.queues = host, queues
        # The far end, and what becomes of frames there that are for nobody: they are dropped without a word.
        host.run(f"""set -e; ip link set {vif.BRIDGE} address {_BRIDGE_MAC}
            echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv4/tcp_no_metrics_save
            modprobe -q veth; ip netns add far; ip link add far0 type veth peer name eth0 netns far
            ip address add 10.50.255.1/16 dev far0; ip link set far0 up
            {_FAR} sh -c 'ip link set lo up; ip link set eth0 up; echo 1 >/proc/sys/net/ipv4/tcp_no_metrics_save
                for n in {" ".join(map(str, range(vifs)))}; do ip address add 10.50.$n.2/16 dev eth0; done
                ip route add default via 10.50.255.1'
            for n in {" ".join(map(str, range(vifs)))}; do
                ip address add 10.$((30 + n)).0.1/24 dev {vif.BRIDGE}
                ip neighbour add 10.50.$n.9 lladdr $({_FAR} cat /sys/class/net/eth0/address) dev far0
            done""")
        self.links, guests = [], []
        for place in (1, 2):
            this = guest.get(f"pv{place}")
            this.netfront(False)
            links = [Link(host, this, place, number, queues) for number in range(vifs)]
            # With several interfaces on one bridge each answers for its own address.
            this.run("""for name in rp_filter:0 arp_ignore:1 arp_announce:2; do
                    for file in /proc/sys/net/ipv4/conf/*/${name%:*}; do echo ${name#*:} >$file; done
                done; echo 1 >/proc/sys/net/ipv4/tcp_no_metrics_save""")
            guests.append(End(this, "measure", [link.interface for link in links], [link.address for link in links]))
            self.links += links
        first, second = self.links[:vifs], self.links[vifs:]
        here = End(host, MEASURE, [link.vif.name for link in first], [f"{link.subnet}.1" for link in first])
        far = End(host, MEASURE, ["eth0"], [f"10.50.{link.number}.2" for link in first], _FAR)
        nobody = "10.0.0.1/0.0.0.0"
        self.paths = {
            "from-guest": Path(guests[0], here, first, here.addresses,
                                [f"{link.interface}/{_BRIDGE_MAC}/{nobody}" for link in first]),
            "to-guest": Path(here, guests[0], first, guests[0].addresses,
                              [f"{link.vif.name}/{link.mac}/{nobody}" for link in first]),
            "guests": Path(guests[0], guests[1], self.links, guests[1].addresses,
                            [f"{link.interface}/{peer.mac}/{nobody}" for link, peer in zip(first, second)]),
            "routed": Path(guests[0], far, first, far.addresses,
                            [f"{link.interface}/{_BRIDGE_MAC}/{link.address}/10.50.{link.number}.9" for link in first]),
        }

    def close(self):
        """Ends the programs in dom0 and takes away what is there besides the interfaces."""
        self.host.run(f"""ip netns pids far | xargs -r kill; ip netns delete far; pkill -x measure
            for n in $(seq 0 7); do ip address del 10.$((30 + n)).0.1/24 dev {vif.BRIDGE} 2>/dev/null; done
            echo 0 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv4/tcp_no_metrics_save""")
        for this in {link.guest for link in self.links}:
            this.run("killall measure; true")

    def guest_interrupts(self):
        """How often the interfaces interrupted the guests."""
        total = 0
        for this in {link.guest for link in self.links}:
            for line in this.run("grep -E ' (eth|vif)[0-9]+(-q.*)?$' /proc/interrupts").splitlines():
                total += sum(int(word) for word in line.split()[1:] if word.isdigit())
        return total
