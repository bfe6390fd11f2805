# SPDX-License-Identifier: GPL-2.0
"""A running tcpdump sees both directions of bulk traffic; netconsole goes over the interface, to a paused guest too."""

import socket
import subprocess
import time
from pathlib import Path

from rig import driver, guest, vif
from rig.checks import run as command
from rig.traffic import ping, settle, transfer

LIMIT = 150
CAPTURE = Path("/run/capture")
HOST = "10.9.4.1"
ADDRESS = "10.9.4.2"
FLOOD = 400  # Messages, of which each takes more than 1 KiB: about what may wait for a guest.


def captured(expression):
    """How many packets of the capture match."""
    shown = command("tcpdump", "-n", "-r", CAPTURE, expression, ok=(0, 1))  # 1: in the middle of a packet.
    return len([line for line in shown.splitlines() if " IP " in line])


def tcpdump(t, this, link):
    """Bulk traffic while tcpdump looks at every packet of it."""
    dump = subprocess.Popen(["tcpdump", "-U", "-n", "-s", "96", "-i", link.name, "-w", CAPTURE],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    t.eventually("tcpdump runs", 10, lambda: CAPTURE.exists() and CAPTURE.stat().st_size)
    t.equal("under tcpdump: TCP streams that did not arrive whole", transfer(this, link.address), [])
    sent, received = ping(link.address, count=10)
    t.equal("under tcpdump: ping without loss", received, sent)
    # What it saw last may still be in its buffer.
    for what, expression in (("echo requests", "icmp[icmptype] == icmp-echo"),
                             ("echo replies", "icmp[icmptype] == icmp-echoreply")):
        t.eventually(f"{what} captured", 10, lambda expression=expression: captured(expression) == sent)
    dump.terminate()
    dump.wait(timeout=10)
    for source in (vif.HOST, link.address):
        t.at_least(f"TCP packets captured from {source}", captured(f"tcp and src host {source} and greater 1000"), 20)
    CAPTURE.unlink()


def say(text):
    """A message of dom0's kernel."""
    Path("/dev/kmsg").write_text(f"<6>{text}\n")


def netconsole(t, this, link):
    """The kernel's own messages go to the guest, from whatever context they are said in; the guest sends
    back what arrives."""
    command("ip", "link", "set", link.name, "nomaster")
    command("ip", "address", "add", f"{HOST}/24", "dev", link.name)
    link.address = ADDRESS
    link.configure()
    settle(link.address)
    this.run("traffic echo 6666 >/dev/null 2>&1 </dev/null &")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as returned:
        returned.bind((HOST, 6665))
        returned.settimeout(1)

        def arrives(text):
            say(text)
            try:
                while text not in returned.recv(2048).decode(errors="replace"):
                    pass
            except TimeoutError:
                return False
            return True

        command("modprobe", "netconsole", f"netconsole=6665@{HOST}/{link.name},6666@{ADDRESS}/{link.mac}")
        t.eventually("a message arrives in the guest", 10, lambda: arrives("the first message"))
        t.equal("beside netconsole: TCP streams that did not arrive whole", transfer(this, ADDRESS, HOST), [])
        t.eventually("a message after bulk traffic", 10, lambda: arrives("after bulk"))

        this.pause()
        start = time.monotonic()
        for number in range(FLOOD):
            say(f"{number} {'x' * 900}")
        t.at_most(f"{FLOOD} messages to a paused guest take", round(time.monotonic() - start, 1), 60, "s")
        this.unpause()
        t.eventually("the guest is back", 30, lambda: ping(link.address, count=1)[1])
        t.eventually("messages arrive again", 30, lambda: arrives("the last message"))
    command("rmmod", "netconsole")
    this.run("killall traffic")


def macvlan(t, this, link):
    """An interface of its own on top of the vif."""
    command("ip", "address", "flush", "dev", link.name)
    command("ip", "link", "add", "link", link.name, "name", "mv9", "type", "macvlan", "mode", "bridge")
    command("ip", "address", "add", f"{HOST}/24", "dev", "mv9")
    command("ip", "link", "set", "mv9", "up")
    settle(link.address)
    sent, received = ping(link.address, count=10)
    t.equal("macvlan on the interface: ping without loss", received, sent)
    t.equal("macvlan: TCP streams that did not arrive whole", transfer(this, ADDRESS, HOST), [])


def run(t):
    driver.use(t.driver)
    this = guest.get("pv1")
    link = vif.attach(this, number=2)
    tcpdump(t, this, link)
    netconsole(t, this, link)
    macvlan(t, this, link)
    link.detach()
    t.check("what was on top of it is gone too", not Path("/sys/class/net/mv9").exists())
