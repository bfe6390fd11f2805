# SPDX-License-Identifier: GPL-2.0
"""Starts a guest, attaches it and gives a prompt on this terminal."""

import subprocess
import sys

from rig import driver, guest, vif
from rig.traffic import ping

WELCOME = """
This is dom0. Guest {guest} (domain {domid}) is at {address}, on {vif}, driven by {driver}.
  ping {address}                     xl list    xenstore-ls    ethtool -S {vif}
  python3 /mnt/dom0/in-guest {guest} 'ip address'     runs a command in the guest
"""


def main(which):
    """Makes what the prompt can look at."""
    print("starting a guest ...", flush=True)
    driver.use(which)
    this = guest.get("pv1")
    link = vif.attach(this, number=2)
    ping(link.address, count=1)
    print(WELCOME.format(guest=this.name, domid=this.domid, address=link.address, vif=link.name,
                         driver=link.driver()), flush=True)
    subprocess.run(["bash", "--norc"], check=False)


main(sys.argv[1])
