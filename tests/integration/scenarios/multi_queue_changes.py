# SPDX-License-Identifier: GPL-2.0
"""Two guests with 4 queues each: other numbers of queues, interface down and up."""

import json

from rig import driver, guest, netlink, queues, vif
from rig.checks import run as command, wait_for
from rig.traffic import ping, rain

LIMIT = 600
RECONNECTIONS = 10
STREAM = 4 << 20
PORTS = range(6000, 6004)


def answers(link):
    """Whether the guest answers a ping."""
    return ping(link.address, count=1, interval="0.2", extra=("-W", "0.5"))[1] == 1


def copy_between(t, guests, links):
    """Several streams each way at once between the guests."""
    for this in guests:
        for port in PORTS:
            this.run(f"traffic receive {port} {STREAM} 7 >/tmp/received.{port} 2>&1 </dev/null &")
    for this, peer in zip(guests, reversed(links)):
        for port in PORTS:
            this.run(f"traffic send {peer.address} {port} {STREAM} 7 >/tmp/sent.{port} 2>&1 </dev/null &")
    for this in guests:
        for port in PORTS:
            wait_for(f"{this.name} has received the stream {port}", 90, lambda: this.run(f"cat /tmp/received.{port}"))
            t.equal(f"{this.name}: stream {port}", this.run(f"cat /tmp/received.{port}"), f"ok {STREAM}")


def counted(link):
    """Whether netlink, which adds up queues in use, counts the packets that the interface shows."""
    (shown,) = json.loads(command("ip", "-s", "-j", "link", "show", "dev", link.name))
    of_queues = netlink.statistics(link.name)
    return all(of_queues[f"{way}-packets"] == shown["stats64"][way]["packets"] for way in ("rx", "tx"))


def run(t):
    """Fails when the base of the queues' statistics is none (`get_base_stats_callback` adds nothing)."""
    driver.use(t.driver)
    driver.parameter(t.driver, "max_queues", 4)
    guests = guest.get("pv4", vcpus=4), guest.get("pv5", vcpus=2)
    for this in guests:
        this.netfront(False)
    # Fewer processors do not keep a guest from having more queues.
    links = [vif.attach(this, number, parameters="max_queues=4") for number, this in enumerate(guests, 2)]
    t.equal("queues", [queues.in_use(link) for link in links], [(4, 4), (4, 4)])
    copy_between(t, guests, links)
    link, this = links[0], guests[0]

    # What was offered to a device stays; the next one is offered what holds then.
    driver.parameter(t.driver, "max_queues", 2)
    with rain(link.address):
        for turn in range(RECONNECTIONS):
            count = (1, 4, 2, 3)[turn % 4]
            queues.reconnect(link, count)
            if queues.in_use(link) != (count, count):
                t.equal(f"reconnection {turn + 1}: queues in use", queues.in_use(link), (count, count))
            with queues.Echo(this):
                answered = queues.flows(link.address)
                if answered != queues.FLOWS:
                    t.equal(f"reconnection {turn + 1}: answered flows", answered, queues.FLOWS)
    t.check(f"{RECONNECTIONS} reconnections with another number of queues: all flows answered each time", True)
    links[1].detach()
    links[1] = vif.attach(guests[1], 3)
    t.equal("queues of an interface attached after max_queues became 2", queues.in_use(links[1]), (2, 2))

    if t.driver == "rust":
        queues.reconnect(link, 1)
        t.eventually("with one queue in use, netlink still counts what four have had", 10, lambda: counted(link))

    interface = queues.reconnect(link, 4)
    with rain(link.address):
        for turn in range(5):
            command("ip", "link", "set", link.name, "down")
            command("ip", "link", "set", link.name, "up")
            wait_for(f"turn {turn + 1}: traffic is back", 10, lambda: answers(link))
    queues.check_traffic(t, "4 queues after going down and up", link, interface, True)

    link.detach()
    queues.check_gone(t, link)
