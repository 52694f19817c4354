# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed or failing at any moment, a run leaves the old or the new ruleset, complete; the next run mends the rest."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest
from ansible_collections.hpc.ports.tests.support.faults import Fault, Run
from ansible_collections.hpc.ports.tests.support.killed import (
    ARMING,
    ERRORS,
    LONG,
    Known,
    Policy,
    check_confirm,
    check_failed_changes,
    check_killed_changes,
    check_killed_confirmations,
    check_killed_first_changes,
    check_killed_removals,
    check_message,
    check_undone,
    token_of_change,
)
from ansible_collections.hpc.ports.tests.support.machine import Machine
from ansible_collections.hpc.ports.tests.support.namespaces import Pair
from ansible_collections.hpc.ports.tests.support.run import FULL, SEED, examples, scaled, turn
from ansible_collections.hpc.ports.tests.support.runs import Runs, Served
from ansible_collections.hpc.ports.tests.support.samples import SSH, policy
from ansible_collections.hpc.ports.tests.support.signs import wait_until

ENDS = ("before", "half way")


def _large(name: str, number: int) -> Policy:
    """Return a policy whose script is longer than what a pipe takes at once."""
    return policy(
        SSH,
        *(
            ("in", f"{name}_{item}", [f"{1000 * item + number}/tcp"], (f"10.{item}.{number}.0/24",))
            for item in range(1, 25)
        ),
    )


OLD, NEW = _large("flow", 1), _large("flow", 2)
# Its flows take over the ports of those of OLD, for which the table is prepared before.
RENAMED = _large("other", 1)


@pytest.fixture(params=["systemd", "no systemd"])
def runs(request: pytest.FixtureRequest, machine: Served) -> Runs:
    """Runs on a host that never had rules."""
    if request.param == "no systemd":
        machine.host.shell("rmdir /run/systemd/system")
    return machine.runs


# ---- killed at every operation in turn

# How many operations lie between two of those that are tried, and the first of them: in so many turns, all.
STEP = 1 if FULL else 3
FIRST = 1 + SEED % STEP


def every_moment(attempt: Callable[[Fault], Run], ends: tuple[str, ...] = ENDS) -> Iterator[Run]:
    """Yield runs, each with its fault at the next operation, until one gets through; that one, too."""
    at = FIRST - STEP
    run = Run(None, [], "first", 0.0)
    while run.hit:
        at += STEP
        for end in ends:
            run = attempt(Fault(at, end))
            yield run
            # Half way, only a write or a program can be.
            if not run.hit.startswith(("write", "start")):
                break
    assert at > 10 and run.result and not run.result.get("failed"), run


@pytest.mark.parametrize("runs", ["systemd"], indirect=True)
def test_a_change_killed_at_every_operation(runs: Runs) -> None:
    check_killed_changes(Known(runs, OLD, RENAMED), RENAMED, OLD, every_moment)


@pytest.mark.parametrize("runs", ["no systemd"], indirect=True)
def test_the_first_change_killed_at_every_operation(runs: Runs) -> None:
    check_killed_first_changes(Known(runs, NEW, None), NEW, every_moment)


@pytest.mark.parametrize("runs", ["systemd"], indirect=True)
def test_a_removal_killed_at_every_operation(runs: Runs) -> None:
    check_killed_removals(Known(runs, None, NEW), NEW, every_moment)


@pytest.mark.parametrize("runs", ["systemd"], indirect=True)
def test_a_confirmation_killed_at_every_operation(runs: Runs) -> None:
    check_killed_confirmations(Known(runs, OLD, NEW), NEW, OLD, every_moment)


# ---- killed at any moment


@pytest.mark.parametrize("part", range(2))
def test_changes_killed_at_random_moments(runs: Runs, part: int) -> None:
    randomness = random.Random(2 * SEED + part)
    known = Known(runs, OLD, NEW)
    before, after = NEW, OLD
    whole = runs.firewall(after, confirm_within=LONG).seconds
    runs.undo_now()
    for number in range(examples(50)):
        run = runs.firewall(after, kill_after=randomness.uniform(0, 1.2 * whole), confirm_within=LONG)
        check_undone(known, before, known.check_whole(before, after, run), run)
        # Now and then; else the next one is killed, too, with all that is left.
        if number % 5 == 4:
            known.check_mended(after, run)
            before, after = after, before


def test_confirmations_killed_at_random_moments(runs: Runs) -> None:
    randomness = random.Random(SEED)
    known = Known(runs, OLD, NEW)
    before, after = NEW, OLD
    whole = runs.confirm(token_of_change(runs, after)).seconds
    for _number in range(examples(20)):
        before, after = after, before
        run = runs.confirm(token_of_change(runs, after), kill_after=randomness.uniform(0, 1.2 * whole))
        check_confirm(known, before, after, run)
        known.check_mended(after, run)


def _undone_by_the_clock(runs: Runs, seed: int) -> None:
    """Kill changes that are armed, and have the clock undo them."""
    randomness = random.Random(seed)
    known = Known(runs, OLD, NEW)
    whole = runs.firewall(OLD, confirm_within=LONG).operations
    runs.undo_now()
    after = len(whole) - 1 - whole.index(ARMING)
    for _number in range(5):
        run = runs.firewall(OLD, Fault(randomness.randint(1, after), "before", ARMING), confirm_within=scaled(2))
        assert run.hit, run
        known.check_whole(NEW, OLD, run)
        wait_until(lambda: not runs.state().armed)
        known.check_is(NEW, run)
    known.check_mended(OLD, run)


def test_what_was_killed_is_undone_by_the_clock() -> None:
    with ExitStack() as stack, ThreadPoolExecutor(12) as pool:
        hosts = []
        for number in range(examples(12, least=4)):
            machine = Machine(stack.enter_context(closing(Pair())))
            if number % 2:
                machine.host.shell("rmdir /run/systemd/system")
            hosts.append(stack.enter_context(closing(Runs(machine))))
        list(pool.map(_undone_by_the_clock, hosts, range(SEED, SEED + len(hosts))))


# ---- failing at every write in turn: each day all kinds of error, one for each kind of run


def every_failure(attempt: Callable[[Fault], Run], how: str) -> Iterator[Run]:
    """Yield runs, each of which fails at the next write, until one gets through; that one, too."""
    at = FIRST - STEP
    run = Run(None, [], "first", 0.0)
    while run.hit:
        at += STEP
        run = attempt(Fault(at, how))
        check_message(run, how)
        yield run
    assert at > 5 and run.result and not run.result.get("failed"), run


@pytest.mark.parametrize("runs", ["systemd"], indirect=True)
@pytest.mark.parametrize("how", turn(list(ERRORS)))
def test_a_change_that_fails_at_every_write(runs: Runs, how: str) -> None:
    check_failed_changes(Known(runs, OLD, NEW), NEW, OLD, lambda attempt: every_failure(attempt, how))


@pytest.mark.parametrize("runs", ["systemd"], indirect=True)
@pytest.mark.parametrize("how", turn(list(ERRORS), 1))
def test_a_confirmation_that_fails_at_every_write(runs: Runs, how: str) -> None:
    known = Known(runs, OLD, NEW)
    before, after = NEW, OLD
    for run in every_failure(lambda fault: runs.confirm(token_of_change(runs, after), fault), how):  # noqa: B023 # of that moment
        _check_answer(run)
        check_confirm(known, before, after, run)
        known.check_mended(after, run)
        before, after = after, before


def _check_answer(run: Run) -> None:
    """Nothing was confirmed, and the message says why; or it was, and a failure is one of the disk."""
    assert run.result
    if run.result.get("failed") and "status" in run.result:
        assert run.result["status"] == "confirmed", run
        assert "a reboot would not load it: cannot write " in run.result["msg"], run


@pytest.mark.parametrize("runs", ["systemd"], indirect=True)
@pytest.mark.parametrize("how", turn(list(ERRORS), 2))
def test_a_removal_that_fails_at_every_write(runs: Runs, how: str) -> None:
    known = Known(runs, None, NEW)
    for run in every_failure(lambda fault: runs.firewall(None, fault), how):
        found = known.check_whole(NEW, None, run)
        if run.result and run.result.get("failed") and "Nothing was changed" in run.result["msg"]:
            # Where nothing can be written any more, a part of a cached listing cannot be removed either.
            left = [name for name in found.left if not re.fullmatch(r"listing-\w+\.json\.\d+", name)]
            assert found._replace(left=left) == known.of(NEW), run
        known.check_mended(None, run)
        runs.apply(NEW)
