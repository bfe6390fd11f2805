# SPDX-License-Identifier: GPL-2.0
"""An interface is renamed by its script before the guest connects, and by hand while it is connected."""

import re
from pathlib import Path

from rig import driver, guest, traffic, vif, xenstore
from rig.checks import run as command, wait_for

LIMIT = 120
BY_SCRIPT, BY_HAND = "office0", "office1"


def queues_of(link):
    """The names of the first queue's interrupts and thread, which are those at the time of the connection."""
    threads = [path.read_text().strip() for path in Path("/proc").glob("[0-9]*/comm") if path.exists()]
    names = re.findall(r"(\S+)$", Path("/proc/interrupts").read_text(), re.M)
    return sorted(name for name in names + threads
                  if name.startswith((f"{link}-q0-tx", f"{link}-q0-rx", f"{link}-q0-guest-rx")))


def run(t):
    driver.use(t.driver)
    this = guest.get("pv1")
    link = vif.attach(this, number=2, configure=False, settings=(f"bridge={vif.BRIDGE}", f"vifname={BY_SCRIPT}"))
    first = link.name
    link.name = BY_SCRIPT
    # The guest comes anew once the script is done, so that it connects to the renamed interface.
    wait_for("the script is done", 20, lambda: xenstore.read(f"{link.backend}/hotplug-status") == "connected")
    this.netfront(False)
    this.netfront(True)
    link.wait_connected()
    link.configure()
    t.check("only the new name exists", link.exists() and first not in driver.interfaces())
    names = [f"{BY_SCRIPT}-q0-{what}" for what in ("guest-rx", "rx", "tx")]
    t.equal("thread and interrupts", queues_of(BY_SCRIPT), names)
    traffic.check(t, "renamed by the script", this, link)

    command("ip", "link", "set", BY_SCRIPT, "name", BY_HAND)
    link.name = BY_HAND
    t.equal("thread and interrupts keep their names", queues_of(BY_SCRIPT), names)
    traffic.check(t, "renamed while connected", this, link)
    t.at_least("ethtool counts under the new name", link.counter("guest_tx_packets" if t.driver == "rust"
                                                                 else "rx_gso_checksum_fixup"), 0)
    this.netfront(False)
    wait_for("backend saw the frontend go", 15, lambda: link.states()[0] in ("2", "5", "6"))
    this.netfront(True)
    link.wait_connected()
    link.configure()
    t.equal("thread and interrupts of the next connection", queues_of(BY_HAND),
            [name.replace(BY_SCRIPT, BY_HAND) for name in names])
    traffic.check(t, "reconnected under the new name", this, link)

    command("xl", "network-detach", this.name, link.handle)
    t.eventually("gone", 10, lambda: not link.leftovers() and not queues_of(BY_SCRIPT))
