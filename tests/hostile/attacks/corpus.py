# SPDX-License-Identifier: GPL-2.0
"""Rounds of actions that reach what others seldom do end with connections that work, and disturb no other.

Each file of tests/hostile/corpus is one round: how it connects, then an action in each line.
"""

from rig import driver
from rig.fuzzer import CORPUS, QUEUES, Innocent, Trial, from_text, quick_connections

LIMIT = 240
ONLY_WITH = "rust"
EXPECTED_MESSAGES = (r"vif-0-\d+|vif vif-0-|vif0\.\d+", r"xen:grant_table", r"d0v\d+ ")


def run(t):
    """Fails when a fault does not wake the threads of the queues, one of which reports it."""
    driver.use(t.driver, f"max_queues={QUEUES}")
    with quick_connections(), Innocent(2) as innocent:
        trial = Trial(innocent, EXPECTED_MESSAGES)
        for file in sorted(CORPUS.glob("*.round")):
            t.equal(f"{file.stem}: failed", trial(from_text(file.read_text())), None)
