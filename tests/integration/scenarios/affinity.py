# SPDX-License-Identifier: GPL-2.0
"""A queue's interrupts and thread share a processor, and answers take its way, unless an administrator wants otherwise."""

import os
from pathlib import Path

from rig import driver, guest, queues, vif
from rig.checks import run as command, wait_for
from rig.traffic import ping, settle, transfer

LIMIT = 600
ONLY_WITH = "rust"
DOM0_VCPUS = 2
QUEUES = 4
PROCESSORS = {0, 1}
CPU1 = Path("/sys/devices/system/cpu/cpu1/online")


def home(link, count, queue):
    """The processor that a queue belongs to."""
    return ((link.guest.domid + int(link.handle)) * count + queue) % len(PROCESSORS)


def placement(link, count):
    """Where everything of the interface is: {what: processors}."""
    found = {}
    for name, (number, _) in queues.by_processor(link).items():
        folder = Path("/proc/irq", number)
        found[name] = (folder / "smp_affinity_list").read_text().strip()
        found[f"{name} in fact"] = (folder / "effective_affinity_list").read_text().strip()
    for name, process in queues.threads(link).items():
        found[name] = ",".join(map(str, sorted(os.sched_getaffinity(int(process)))))
    return found


def answers(link, count):
    """By which queues what was received has to have come for each queue to send the answers: a mask of each."""
    return [int(link.sysfs(f"queues/tx-{queue}/xps_rxqs").replace(",", ""), 16) for queue in range(count)]


def wanted(link, count):
    """Where everything should be."""
    found = {}
    for queue in range(count):
        names = [f"{link.name}-q{queue}{suffix}" for suffix in ("-tx", "-rx", "-tx in fact", "-rx in fact", "-guest-rx")]
        for name in names:
            found[name] = str(home(link, count, queue))
    return found


def keep_queues(t, link):
    """Checks that a connection stays on the queue by which the guest sends.

    Seen to fail when queues are not paired."""
    def packets():
        counters = link.counters()
        return [[counters[f"q{queue}_guest_{way}_packets"] for queue in range(QUEUES)] for way in ("tx", "rx")]

    settle(link.address)
    before = packets()
    t.equal("TCP streams that did not arrive whole", transfer(link.guest, link.address), [])
    sent, received = ([now - then for now, then in zip(*pair)] for pair in zip(packets(), before))
    t.note(f"packets from the guest by queue: {sent}, to it: {received}")
    # Some others, neighbour discovery for one, there always are; of a connection there are hundreds.
    t.at_most("packets to the guest by queues which it did not use",
              sum(to for of, to in zip(sent, received) if of < 20), 20)


def everywhere(t, what, link, interface):
    """Checks that every queue carries packets, when dom0 sends from all of its processors."""
    peer = queues.guest_interrupts(link.guest, interface)
    before = queues.by_processor(link)
    with queues.Echo(link.guest):
        for processor in PROCESSORS:
            os.sched_setaffinity(0, {processor})
            t.equal(f"{what}: answered flows from processor {processor}", queues.flows(link.address), queues.FLOWS)
        os.sched_setaffinity(0, PROCESSORS)
    idle = [name for (name, old), (_, new) in zip(peer, queues.guest_interrupts(link.guest, interface))
            if new == old and not name.endswith("-tx")]
    t.equal(f"{what}: queues without a packet to the guest", idle, [])
    came = {name: [new - old for new, old in zip(counts, before[name][1])]
            for name, (_, counts) in queues.by_processor(link).items()}
    idle = [name for name, counts in came.items() if not any(counts) and not name.endswith("-rx")]
    t.equal(f"{what}: queues without a packet from the guest", idle, [])
    return came


def run(t):
    driver.use(t.driver)
    driver.parameter(t.driver, "max_queues", QUEUES)
    this = guest.get("pv4", vcpus=4)
    this.netfront(False)
    link = vif.attach(this, number=2)
    interface = link.configure()
    t.equal("placement", placement(link, QUEUES), wanted(link, QUEUES))
    t.equal("answers take the queue of the question", answers(link, QUEUES), [1 << queue for queue in range(QUEUES)])
    keep_queues(t, link)
    came = everywhere(t, "undisturbed", link, interface)
    astray = {name: counts for name, counts in came.items()
              if any(times for cpu, times in enumerate(counts) if cpu != home(link, QUEUES, int(name.split("-")[1][1:])))}
    t.equal("interrupts on another processor", astray, {})

    # An administrator has the last word, and it holds under traffic.
    other = {name: str(1 - int(cpu)) for name, cpu in wanted(link, QUEUES).items()}
    for name, (number, _) in queues.by_processor(link).items():
        Path("/proc/irq", number, "smp_affinity_list").write_text(other[name])
    for name, process in queues.threads(link).items():
        command("taskset", "-pc", other[name], process)
    for queue in range(QUEUES):
        Path("/sys/class/net", link.name, f"queues/tx-{queue}/xps_rxqs").write_text("0")
    everywhere(t, "all moved", link, interface)
    t.equal("placement after all was moved", placement(link, QUEUES), other)
    t.equal("and nothing of the answers", answers(link, QUEUES), [0] * QUEUES)

    # A processor goes, and comes again.
    CPU1.write_text("0")
    sent, received = ping(link.address, count=5)
    t.equal("without processor 1: ping without loss", received, sent)
    CPU1.write_text("1")
    wait_for("processor 1", 10, lambda: os.sched_getaffinity(1) >= PROCESSORS)
    sent, received = ping(link.address, count=5)
    t.equal("with processor 1 again: ping without loss", received, sent)

    for count in (2, 1):
        interface = queues.reconnect(link, count)
        t.equal(f"placement of {count}", placement(link, count), wanted(link, count))
        if count > 1:
            t.equal(f"answers of {count}", answers(link, count), [1 << queue for queue in range(count)])
    second = vif.attach(this, number=3)
    t.equal("placement of another interface with one queue", placement(second, 1), wanted(second, 1))
    t.check("it is on another processor than the first", home(link, 1, 0) != home(second, 1, 0))
    second.detach()
    link.detach()
    queues.check_gone(t, link)
