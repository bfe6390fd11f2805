# SPDX-License-Identifier: GPL-2.0
"""The network backends: the one under test and the C driver."""

from pathlib import Path

from .checks import Failed, run, wait_for

_MODULES = {"c": "xen_netback", "rust": "xen_netback_rs"}
BUS_NAMES = {"c": "vif", "rust": "xen-netback-rs"}
RUST_FILE = "/mnt/xen-netback-rs.ko"


def module(which):
    """The name of the driver's module as the kernel knows it."""
    return _MODULES[which]


def loaded(which):
    """Whether the driver is in the kernel."""
    return Path("/sys/module", module(which)).exists()


def load(which, *parameters):
    """Loads the driver `which` ("c" or "rust")."""
    if not loaded(which):
        run("insmod", RUST_FILE, *parameters) if which == "rust" else run("modprobe", "xen-netback", *parameters)


def references(which):
    """How many references to the module there are."""
    return int(Path("/sys/module", module(which), "refcnt").read_text())


def unload(which):
    """Unloads the driver; raises Failed when something still holds it after a while."""
    if not loaded(which):
        return
    try:
        wait_for(f"module {module(which)} unused", 15, lambda: references(which) == 0)
    except Failed as failed:
        raise Failed(failed.name, f"{references(which)} references are left") from None
    run("rmmod", module(which))


def use(which, *parameters):
    """Makes `which` the one that gets new devices: the other is unloaded. With `parameters` it is
    loaded anew."""
    for other in _MODULES:
        if other != which or parameters:
            unload(other)
    load(which, *parameters)


def parameter(which, name, value):
    """Sets a parameter of the loaded driver."""
    Path("/sys/module", module(which), "parameters", name).write_text(f"{value}")


def devices():
    """The network devices on the backend bus, whoever drives them."""
    return sorted(path.name for path in Path("/sys/bus/xen-backend/devices").glob("vif-*"))


def interfaces():
    """The names of the vifs among the network interfaces."""
    return sorted(path.name for path in Path("/sys/class/net").glob("vif*"))
