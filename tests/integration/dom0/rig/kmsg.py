# SPDX-License-Identifier: GPL-2.0
"""The kernel log: what was said since a mark, and whether it is clean."""

import os
import re
from pathlib import Path

ALLOWED = Path(__file__).with_name("allowed-messages")

# What no kernel says about itself when all is well, at whatever level.
TROUBLE = re.compile(
    r"WARNING:|\bBUG\b|Oops|Call Trace|general protection|[Uu]nable to handle|INFO: task|"
    r"possible (circular|recursive)|inconsistent lock state|suspicious RCU|sleeping function|"
    r"rcu:.*stall|soft lockup|UBSAN|KFENCE|ODEBUG|refcount_t|unregister_netdevice|Bad page|"
    r"page_pool_release_retry|list_(add|del) corruption|kmemleak: [0-9]+ new|panicked at|DEBUG_LOCKS_WARN")
ERROR = 3  # The least severe level at which every message counts as trouble.


class Message:
    """One message of the kernel log."""

    def __init__(self, record):
        head, _, text = record.partition(";")
        priority, sequence, _ = head.split(",", 2)
        self.level = int(priority) & 7
        self.of_kernel = int(priority) >> 3 == 0
        self.sequence = int(sequence)
        self.text = text.split("\n", 1)[0]


def _read(fd):
    """The messages of the kernel that can be read from `fd`, oldest first."""
    while True:
        try:
            message = Message(os.read(fd, 8192).decode(errors="replace"))
        except BlockingIOError:
            return
        except BrokenPipeError:  # Overwritten while we read: the next read goes on.
            continue
        if message.of_kernel:
            yield message


def messages(since=-1):
    """All messages after the sequence number `since`, oldest first."""
    fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    try:
        return [message for message in _read(fd) if message.sequence > since]
    finally:
        os.close(fd)


class Ear:
    """Hears what the kernel says from now on. Faster than a mark when little is said."""

    def __init__(self):
        self._fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._fd, 0, os.SEEK_END)

    def heard(self, level=4):
        """The texts since the last call which are warnings or worse."""
        return [message.text for message in _read(self._fd) if message.level <= level]


def mark():
    """The place in the log after which `messages` and `trouble` look."""
    found = messages()
    return found[-1].sequence if found else -1


def _allowed():
    lines = ALLOWED.read_text().splitlines()
    return [re.compile(line) for line in lines if line and not line.startswith("#")]


def parse(raw):
    """The kernel's own messages among records as /dev/kmsg gives them."""
    found = [Message(record) for record in raw.splitlines() if re.match(r"\d+,\d+,", record)]
    return [message for message in found if message.of_kernel]


def trouble(since, expected=()):
    """The lines after `since` which a clean log has not, each with the few that follow it. Lines
    that match one of the `expected` regular expressions are what the scenario provokes."""
    return trouble_among(messages(since), expected)


def trouble_among(found, expected=()):
    """The lines of these messages which a clean log has not, as `trouble` tells."""
    allowed = _allowed() + [re.compile(one) for one in expected]
    lines, more, told = [], 0, False
    for message in found:
        if told:
            # The rest of a warning that was expected.
            told = "end trace" not in message.text
            continue
        bad = TROUBLE.search(message.text) or message.level <= ERROR
        known = [one for one in allowed if one.search(message.text)]
        # One that names a thread only is none that was expected.
        told = any("WARNING:" in one.pattern for one in known)
        if bad and not known:
            more = 12
        if more:
            lines.append(message.text)
            more -= 1
    return lines


def lockdep_alive():
    """False when this kernel has lockdep and it has switched itself off."""
    try:
        stats = Path("/proc/lockdep_stats").read_text()
    except FileNotFoundError:
        return True
    return re.search(r"debug_locks:\s+1", stats) is not None
