# SPDX-License-Identifier: GPL-2.0
"""What an administrator can see of a device, an interface and a module, as {key: text}. What differs
from one device to the next without a meaning (indices, addresses, times) is left out or replaced."""

import json
import os
import re
import subprocess
from pathlib import Path

ABSENT = "absent"
# What says nothing about the driver: numbers that the kernel gives, and power management.
_OMIT = re.compile(r"^(power/.*|ifindex|iflink|statistics/.*|.*/power/.*|net/.*|.*/byte_queue_limits/.*)$")
# Whose values depend on the moment.
_NAMES = re.compile(r"^xenbus/(events|spurious_events|jiffies_eoi_delayed)$")
_LINK_OMIT = {"ifindex", "stats", "stats64", "parentdev", "inet6_addr_gen_mode"}


def _mode(path):
    return f"{path.stat().st_mode & 0o7777:04o}"


def _content(path):
    try:
        return " ".join(path.read_text(errors="replace").split())
    except OSError as error:
        return os.strerror(error.errno)


def folder(path, omit=_OMIT):
    """The files below a folder of sysfs, each with its mode and, where it can be read, its content; of
    a link its target's name."""
    found = {}
    for top, folders, names in os.walk(path):
        for name in sorted(folders + names):
            file = Path(top, name)
            key = str(file.relative_to(path))
            if omit.match(key):
                continue
            if file.is_symlink():
                found[key] = f"link to {file.resolve().name}"
            elif file.is_file():
                mode = _mode(file)
                read = file.stat().st_mode & 0o444 and not _NAMES.match(key)
                found[key] = f"{mode} {_content(file)}".rstrip() if read else mode
    return {key: re.sub(r"IFINDEX=\d+", "IFINDEX=N", value) for key, value in found.items()}


def device(name):
    """A device of the backend bus, in sysfs."""
    return folder(f"/sys/bus/xen-backend/devices/{name}")


def interface(name):
    """A network interface in sysfs, and as `ip` shows it."""
    found = {f"sysfs {key}": value for key, value in folder(f"/sys/class/net/{name}").items()}
    shown = subprocess.run(["ip", "-d", "-j", "link", "show", "dev", name], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, check=False).stdout
    for link in json.loads(shown or b"[]"):
        found.update({f"ip link {key}": json.dumps(value) for key, value in link.items() if key not in _LINK_OMIT})
    return found


def _flat(text):
    """The lines `name: value` of what a program shows, with the heading above them."""
    found, heading = {}, ""
    for line in text.splitlines():
        name, colon, value = (part.strip() for part in line.partition(":"))
        if colon and not value:
            heading = name
        elif name:
            found[f"{heading} | {name}" if heading else name] = value if colon else "shown"
    return found


def ethtool(name, option):
    """What `ethtool OPTION` shows, or that it does not."""
    done = subprocess.run(["ethtool", option, name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          check=False)
    if done.returncode:
        return {f"ethtool {option}": "refused"}
    shown = {key.replace(name, "VIF"): value for key, value in _flat(done.stdout).items()}
    if option == "-S":
        shown = dict.fromkeys(shown, "a name")
    return {f"ethtool {option} {key}": value for key, value in shown.items()}


def ethtools(name):
    """Everything that ethtool shows of an interface."""
    found = {}
    for option in ("-i", "-k", "-S", "-l", "-g", "-T", "-x", "-c", "-a", ""):
        if option:
            found.update(ethtool(name, option))
        else:
            shown = subprocess.run(["ethtool", name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                   check=False).stdout
            found.update({f"ethtool {key.replace(name, 'VIF')}": value for key, value in _flat(shown).items()})
    return found


def kernel_names(name):
    """The interrupts and threads that carry the interface's name, or the driver's."""
    found = {}
    for line in Path("/proc/interrupts").read_text().splitlines():
        words = line.split()
        if words[-1].startswith((name, "xen-netback")):
            found[f"interrupt {words[-1]}"] = words[-2]
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            thread = comm.read_text().strip()
        except OSError:
            continue
        if thread.startswith(name):
            found[f"thread {thread}"] = "runs"
    return found


def module(name):
    """A module's parameters in sysfs."""
    parameters = Path("/sys/module", name, "parameters")
    return {f"parameter {file.name}": f"{_mode(file)} {_content(file)}" for file in sorted(parameters.glob("*"))}


def modinfo(file):
    """What a module's file says about itself, without wording and without what the build decides."""
    found = {}
    shown = subprocess.run(["modinfo", "-0", file], stdout=subprocess.PIPE, check=True).stdout.decode()
    for entry in filter(None, shown.split("\0")):
        name, _, value = entry.partition(":")
        value = value.strip()
        if name in ("alias", "license"):
            found[f"{name} {value}"] = "there"
        elif name == "parm":
            found[f"parameter {value.split(':')[0]}"] = "there"
    return found


def shapes(text):
    """The lines of a dump, with every number replaced: what a program that reads it relies on."""
    return [re.sub(r"-?\b\d+\b", "N", re.sub(r"\b[0-9a-f]{2}\b(?= )|\bstate: [0-9a-f]+", lambda found: (
        "state: X" if found[0].startswith("state") else "XX"), line)).strip() for line in text.splitlines()]


def debugfs(name):
    """The debugfs files of an interface, whichever driver has it, with their modes and shapes."""
    found = {}
    for top in ("xen-netback", "xen-netback-rs"):
        for file in sorted(Path("/sys/kernel/debug", top, name).glob("*")):
            found[f"file {file.name}"] = _mode(file)
            for number, line in zip(range(1000), shapes(file.read_text())):
                found[f"file {file.name} line {number}"] = line
    return found
