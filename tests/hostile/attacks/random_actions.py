# SPDX-License-Identifier: GPL-2.0
"""Frontends that act at random disturb nobody, and each comes back to a connection that works.

Several attackers play rounds of actions from seeds that are printed: honest ones, rude ones, and any (see
tests/hostile/src/random.rs). Each round ends with a new connection, a packet each way on it, and a look at
every response from the time when the attacker still kept the rules itself.

Innocents exchange packets with dom0 as fast as they can, in turns with and without the attack. The attackers are
programs in dom0, which would take the processor from the innocents by themselves: so dom0 has two, and while the
innocents are measured the programs are kept on the second, as a guest is on processors of its own. What the backend
does because of them, in its threads and interrupts, is on both: that alone is what costs the innocents anything.

A round that fails is reduced, and printed as a file for tests/hostile/corpus. Should dom0 die, the end of its
log names the round of each attacker.
"""

import time

from rig import driver, kmsg, leftovers
from rig.checks import Failed
from rig.fuzzer import QUEUES, Fuzzer, Innocent, Trial, minimise, quick_connections, to_text

LIMIT = 240
LONG_LIMIT = 6500
ONLY_WITH = "rust"
DOM0_VCPUS = 2
EXPECTED_MESSAGES = (r"vif-0-\d+|vif vif-0-|vif0\.\d+", r"xen:grant_table", r"d0v\d+ ")

# Until there are so many actions that no honest frontend does, or until it has taken so many seconds.
ACTIONS, LONG_ACTIONS = 100000, 1000000
# Nothing may be left of each of so many: packets of a short run, connections of a long one.
MANY, LONG_MANY = 100, 400
LEAST = 1000      # In a short run, however slow the machine is.
SECONDS, LONG_SECONDS = 40, 6000
PATIENCE = 110    # More seconds, until a short run has reached what it has to.
TURN, LONG_TURN = 10, 120      # Seconds of attack in a turn.
MEASURE, LONG_MEASURE = 2, 6   # Those of it in which the innocents are measured, and as many without an attack.
SHARE = 0.5       # What an innocent keeps of its packets.
# What the attackers have to reach, or they are not worth much: some of what the driver refuses.
REACHED = {"guest_tx_copy_failed", "guest_tx_runt", "guest_tx_too_many_slots"}
# And in a long run: all that a driver can refuse, and each of its faults.
LONG_REACHED = REACHED | {"guest_tx_size_overflow", "guest_tx_bad_offload", "guest_rx_copy_failed", "guest_rx_purged"}
LONG_REACHED |= {f"guest_fault_{name}" for name in (
    "ring", "missing_extra", "unknown_extra", "missing_data", "too_many_slots", "crosses_page", "zero_gso_size",
    "unknown_gso_type")}


def measured(innocents, seconds):
    """What each innocent exchanges in so many seconds."""
    for one in innocents:
        one.launch(seconds)
    return [one.result() for one in innocents]


def share(alone):
    """The packets that an innocent keeps at least, of those which it has without an attack."""
    return int(alone * SHARE)


def done(attackers):
    """The actions so far which no honest frontend does."""
    return sum(one.done["hostile"] for one in attackers)


def failed_in(attackers):
    """The first round that failed, after all have ended: (attacker, round, why)."""
    failed = [(one, one.result()) for one in attackers]
    return next(((one, end["round"], end["why"]) for one, end in failed if end), None)


def report(t, attacker, number, why, neighbour):
    """Reduces a round that failed, prints it, and fails."""
    t.note(f"seed {attacker.seed} round {number} failed: {why}")
    trial = Trial(neighbour, EXPECTED_MESSAGES)
    whole = attacker.round(number)
    again = trial(whole)
    if again:
        whole = minimise(whole, trial)
        why = trial(whole) or why
        t.print(to_text(whole, f"Seed {attacker.seed} round {number}: {why}"))
    else:
        t.note("it does not fail by itself: what happened at the same time, or before, matters")
    raise Failed(f"seed {attacker.seed} round {number} ends with a connection that works", why)


def turns(t, attackers, innocents):
    """Attack and quiet in turns; returns what the innocents had in each, and the counters that attackers have
    reached."""
    attacked, quiet, reached = [0] * len(innocents), [0] * len(innocents), set()
    seconds, turn, actions, measure = (
        (LONG_SECONDS, LONG_TURN, LONG_ACTIONS, LONG_MEASURE) if t.long else (SECONDS, TURN, ACTIONS, MEASURE))
    # Their buffers are made when they are first used.
    measured(innocents, measure)
    end, mark = time.monotonic() + seconds, kmsg.mark()

    def enough():
        # One moment in which the machine does something else spoils a measurement.
        fair = all(under_attack >= share(alone) for under_attack, alone in zip(attacked, quiet))
        return done(attackers) >= LEAST and REACHED <= reached and fair

    def over():
        return done(attackers) >= actions or time.monotonic() >= end

    while time.monotonic() < end + PATIENCE and not (over() and enough()):
        quiet = [a + b for a, b in zip(quiet, measured(innocents, measure))]
        for one in attackers:
            one.keep_on(1)
            one.launch(turn)
        attacked = [a + b for a, b in zip(attacked, measured(innocents, measure))]
        for one in attackers:
            one.keep_on(0, 1)
        failed = failed_in(attackers)
        if failed:
            report(t, *failed, innocents[0])
        # The log of a long run is longer than what the kernel keeps of it.
        last, trouble = kmsg.mark(), kmsg.trouble(mark, EXPECTED_MESSAGES)
        mark = last
        if trouble:
            raise Failed("kernel log clean", "\n".join(trouble[:25]))
        if t.long:
            t.note(f"{done(attackers)} actions; packets of the innocents under attack {attacked}, without {quiet}")
        for one in attackers:
            new = one.counters() - reached
            reached |= new
            if new:
                t.note(f"seed {one.seed} up to round {one.done['rounds']}: reached {', '.join(sorted(new))}")
    return attacked, quiet, reached


def run(t):
    """Fails when a packet whose copy has failed is kept (`forget` in place of `drop_any` in `Incoming`)."""
    driver.use(t.driver, f"max_queues={QUEUES}")
    seeds = (11, 12, 13, 14) if t.long else (1, 2, 3)
    t.note(f"seeds {', '.join(map(str, seeds))}")
    with quick_connections():
        # What is kept on purpose after the first device.
        with Innocent(2) as innocent, Fuzzer(6) as attacker:
            t.check("an innocent to begin with", innocent.works())
            first = attacker.round(0)
            t.equal("a round to begin with", attacker.replay({**first, "actions": first["actions"][:200]}), None)
        with leftovers.none(t, "random actions", turns=LONG_MANY if t.long else MANY):
            attack(t, seeds)


def attack(t, seeds):
    """All of it, and what is expected of it."""
    with Innocent(2) as first, Innocent(4, queues=2) as second:
        innocents = [first, second]
        attackers = [Fuzzer(handle, seed) for handle, seed in zip(range(6, 100, 2), seeds)]
        for one in innocents:
            one.keep_on(0)
        attacked, quiet, reached = turns(t, attackers, innocents)
        for one in attackers:
            t.note(f"seed {one.seed}: " + ", ".join(f"{count} {name}" for name, count in one.done.items()))
            one.close()
        t.note(f"honest actions: {sum(one.done['actions'] for one in attackers) - done(attackers)}")
        t.at_least("hostile random actions", done(attackers), LONG_ACTIONS if t.long else LEAST)
        for one, under_attack, alone in zip(innocents, attacked, quiet):
            t.at_least(f"{one.name}: packets under attack, of {alone} without", under_attack, share(alone))
            t.check(f"{one.name} works", one.works(), one.plight())
        t.equal("what no attacker has reached", sorted((LONG_REACHED if t.long else REACHED) - reached), [])
