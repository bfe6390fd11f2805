# SPDX-License-Identifier: GPL-2.0
"""Module parameters: names, modes and defaults; what is out of range is corrected and said, what is no number refused."""

import re
import subprocess
from pathlib import Path

from rig import driver, kmsg
from rig.checks import run as command
from rig.frontend import BACKEND, Frontend, Rings
from rig import xenstore

LIMIT = 90
EXPECTED_MESSAGES = (r"`.*' invalid for parameter", r"vif-0-0|vif0\.0")
PARAMETERS = {"separate_tx_rx_irq": ("0o644", "Y", "bool"), "rx_drain_timeout_msecs": ("0o444", "10000", "uint"),
              "rx_stall_timeout_msecs": ("0o444", "60000", "uint"), "max_queues": ("0o644", None, "uint"),
              "fatal_skb_slots": ("0o444", "20", "uint"), "hash_cache_size": ("0o644", "64", "uint"),
              "provides_xdp_headroom": ("0o644", "Y", "bool")}


def folder(t):
    """Where the parameters are."""
    return Path("/sys/module", driver.module(t.driver), "parameters")


def value(t, name):
    """The value of a parameter, as text."""
    return (folder(t) / name).read_text().strip()


def reload(t, *parameters):
    """Loads the driver anew; returns what the kernel said."""
    driver.unload(t.driver)
    mark = kmsg.mark()
    driver.load(t.driver, *parameters)
    return said(mark)


def said(mark):
    """What the driver said since."""
    return [one.text for one in kmsg.messages(mark) if "xen_netback" in one.text]


def changed(t, name, text):
    """Writes to a parameter: what became of it, and what the kernel said."""
    mark = kmsg.mark()
    try:
        (folder(t) / name).write_text(text)
    except OSError as error:
        return error.strerror, said(mark)
    return value(t, name), said(mark)


def offered():
    """What the backend offers to a new device."""
    frontend = Frontend()
    frontend.wait(2)
    keys = {key: xenstore.read(f"{BACKEND}/{key}") for key in ("multi-queue-max-queues", "feature-split-event-channels")}
    return frontend, keys


def run(t):
    driver.use(t.driver)
    queues = str(min(8, int(command("nproc"))))
    t.equal("names", sorted(path.name for path in folder(t).iterdir()), sorted(PARAMETERS))
    file = driver.RUST_FILE if t.driver == "rust" else "xen-netback"
    types = dict(re.findall(r"^(\w+):.*\((\w+)\)$", command("modinfo", "-p", file), re.M))
    for name, (mode, default, kind) in PARAMETERS.items():
        seen = oct((folder(t) / name).stat().st_mode & 0o777), value(t, name), types[name]
        t.equal(f"{name}: mode, default, type", seen, (mode, default or queues, kind))

    frontend, keys = offered()
    t.equal("offered", keys, {"multi-queue-max-queues": queues, "feature-split-event-channels": "1"})
    frontend.remove()
    t.equal("max_queues and separate_tx_rx_irq are written", (changed(t, "max_queues", "3")[0], changed(t, "separate_tx_rx_irq", "N")[0]),
            ("3", "N"))
    frontend, keys = offered()
    t.equal("offered to the next device", keys, {"multi-queue-max-queues": "3", "feature-split-event-channels": "0"})

    if t.driver == "rust":
        # A frontend has what it was offered, not what is offered meanwhile.
        command("modprobe", "xen-gntalloc")
        changed(t, "max_queues", "6")
        rings = Rings()
        flat = rings.keys()
        keys = {key: flat[key] for key in ("request-rx-copy", "feature-rx-notify")}
        for queue in range(4):
            keys.update({f"queue-{queue}/{key}": flat[key] for key in ("tx-ring-ref", "rx-ring-ref", "event-channel")})
        frontend.publish({**keys, "multi-queue-num-queues": 4})
        frontend.switch(4)
        frontend.wait(5)
        t.check("more queues than were offered are refused", "queues" in (frontend.error() or ""), frontend.error())
        rings.close()
    frontend.remove()

    for text in ("-1", "abc", "99999999999"):
        seen = changed(t, "max_queues", text)[0]
        t.check(f"max_queues {text!r} is refused", seen in ("Invalid argument", "Numerical result out of range"), seen)
    for parameter in ("max_queues=-1", "fatal_skb_slots=abc", "separate_tx_rx_irq=maybe"):
        driver.unload(t.driver)
        loaded = subprocess.run(["insmod", driver.RUST_FILE, parameter] if t.driver == "rust"
                                else ["modprobe", "xen-netback", parameter], capture_output=True, check=False)
        t.check(f"{parameter} is refused when the module is loaded", loaded.returncode != 0)

    lines = reload(t, "fatal_skb_slots=3")
    t.equal("fatal_skb_slots=3 is raised", value(t, "fatal_skb_slots"), "18")
    t.check("and that is said", len(lines) == 1 and "18" in lines[0], lines)
    if t.driver != "rust":
        return
    lines = reload(t, "max_queues=100000", "rx_drain_timeout_msecs=0", "hash_cache_size=128", "rx_stall_timeout_msecs=0")
    t.equal("corrected when the module is loaded",
            [value(t, name) for name in ("max_queues", "rx_drain_timeout_msecs", "hash_cache_size", "rx_stall_timeout_msecs")],
            ["256", "1", "128", "0"])
    t.equal("lines about it", len(lines), 3)
    seen, lines = changed(t, "max_queues", "0")
    t.equal("max_queues 0 at run time is the number of processors", seen, queues)
    t.check("and that is said", len(lines) == 1 and queues in lines[0], lines)
    seen, lines = changed(t, "max_queues", "100000")
    t.equal("max_queues 100000 at run time", seen, "256")
    t.check("and that is said", len(lines) == 1 and "256" in lines[0], lines)
    t.equal("hash_cache_size again: nothing is said twice", changed(t, "hash_cache_size", "32"), ("32", []))
