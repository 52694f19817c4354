# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed or failing at any moment, a run leaves the old or the new ruleset, complete; the next run mends the rest."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hpc.ports.tests.support.faults import Fault, Run, Runs, State
from ansible_collections.hpc.ports.tests.support.machine import Machine
from ansible_collections.hpc.ports.tests.support.namespaces import Pair
from ansible_collections.hpc.ports.tests.support.samples import SSH, policy

Policy = dict[str, Any]
# Longer than the test needs to look; where the host itself has to undo a change, it is told to, or given less.
LONG = 30
ENDS = ("before", "half way")


def _large(name: str, number: int) -> Policy:
    """Return a policy whose script is longer than what a pipe takes at once."""
    return policy(SSH, *(("in", f"{name}_{item}", [f"{1000 * item + number}/tcp"], (f"10.{item}.{number}.0/24",))
                         for item in range(1, 25)))


OLD, NEW = _large("flow", 1), _large("flow", 2)
# Its flows take over the ports of those of OLD, for which the table is prepared before.
RENAMED = _large("other", 1)


@pytest.fixture(params=["systemd", "no systemd"])
def runs(request: pytest.FixtureRequest, machine: Machine) -> Iterator[Runs]:
    """Runs on a host that never had rules."""
    if request.param == "no systemd":
        machine.host.shell("rmdir /run/systemd/system")
    with closing(Runs(machine)) as found:
        yield found


class Known:
    """The states of a host that has one policy or another, or none (None); they are seen once, and compared with."""

    def __init__(self, runs: Runs, *policies: Policy | None) -> None:
        self.runs = runs
        self.states: list[tuple[Policy | None, State]] = []
        for wanted in policies:
            self.add(wanted)

    def add(self, wanted: Policy | None) -> None:
        """Give the host this policy, and see its state."""
        self.runs.apply(wanted)
        found = self.runs.state()
        self.states.append((wanted, found))
        if wanted:
            # What a reboot does with the file; so whoever has the file complete has a ruleset that loads.
            self.runs.machine.reload_from_disk()
            assert self.runs.state()._replace(left=[]) == found._replace(left=[])

    def of(self, wanted: Policy | None) -> State:
        """Return what a host has that was given this policy."""
        (found,) = [state for one, state in self.states if one is wanted]
        return found

    def check_whole(self, before: Policy | None, after: Policy | None, run: Run) -> State:
        """The table and each file are what one of two policies gives, or nothing where one gives none; return all."""
        found, one, other = self.runs.state(), self.of(before), self.of(after)
        assert found.table in (one.table, other.table) or self.is_between(found, one, other), run
        for path in {**one.places, **other.places, **found.places}:
            assert found.files.get(path) in (one.files.get(path), other.files.get(path)), (path, run)
        return found

    def check_disk(self, before: Policy | None, found: State, run: Run) -> None:
        """What was not confirmed is not what a reboot brings."""
        assert found.places == self.of(before).places, run

    def is_to_be_mended(self, before: Policy | None, found: State) -> bool:
        """Tell whether a normal run has something to do after one that was killed."""
        return bool(found.armed) or found.files != self.of(before).files

    def is_between(self, found: State, before: State, after: State) -> bool:
        """The table is all of one policy's; what it has more is of the other's, and nothing leads there.

        All that is new was filled; or the new ruleset runs, and what goes is still there.
        """
        old, new, there = set(before.table), set(after.table), set(found.table)
        return bool(new) and there in (old | _idle(new, old), new | _idle(old, new))

    def check_mended(self, wanted: Policy | None, run: Run) -> None:
        """The next run gives the host the policy, whatever it finds, and nothing is left for another."""
        self.runs.apply(wanted)
        self.check_is(wanted, run)

    def check_is(self, wanted: Policy | None, run: Run) -> None:
        """The host has this policy, and nothing else of ours."""
        found, expected = self.runs.state(), self.of(wanted)
        assert found._replace(left=[]) == expected._replace(left=[], armed=""), run


def _idle(objects: set[str], others: set[str]) -> set[str]:
    """Return the objects that the others have none of the name of, but for base chains."""
    named = set(map(_name, others))
    return {text for text in objects if _name(text) not in named and " hook " not in text}


def _name(text: str) -> str:
    return text.strip().split(" {")[0]


def check_undone(known: Known, before: Policy | None, found: State, run: Run) -> None:
    """What was not confirmed goes back by itself; the disk never had it."""
    known.check_disk(before, found, run)
    if found.armed:
        known.runs.undo_now()
        known.check_is(before, run)
    else:
        assert found.table == known.of(before).table, run


# ---- killed at every operation in turn

def every_moment(attempt: Callable[[Fault], Run], ends: tuple[str, ...] = ENDS) -> Iterator[Run]:
    """Yield runs, each with its fault at the next operation, until one gets through; that one, too."""
    at = 0
    run = Run(None, [], "first", 0.0)
    while run.hit:
        at += 1
        for end in ends:
            run = attempt(Fault(at, end))
            yield run
            # Half way, only a write or a program can be.
            if not run.hit.startswith(("write", "start")):
                break
    assert at > 10 and run.result and not run.result.get("failed"), run


Moments = Callable[[Callable[[Fault], Run]], Iterable[Run]]


def check_killed_changes(known: Known, before: Policy, after: Policy, moments: Moments = every_moment) -> None:
    """The host has `before`; changes are killed at these moments, undone, and made again: so the two change places."""
    for run in moments(lambda fault: known.runs.firewall(after, fault, confirm_within=LONG)):
        found = known.check_whole(before, after, run)
        check_undone(known, before, found, run)
        if known.is_to_be_mended(before, found):
            known.check_mended(after, run)
            before, after = after, before


@pytest.mark.parametrize("runs", ["systemd"], indirect=True)
def test_a_change_killed_at_every_operation(runs: Runs) -> None:
    check_killed_changes(Known(runs, OLD, RENAMED), RENAMED, OLD)


@pytest.mark.parametrize("runs", ["no systemd"], indirect=True)
def test_the_first_change_killed_at_every_operation(runs: Runs) -> None:
    check_killed_first_changes(Known(runs, NEW, None), NEW)


def check_killed_first_changes(known: Known, wanted: Policy, moments: Moments = every_moment) -> None:
    """The host never had rules; each change that is killed is confirmed if it can be, else undone, and made again."""
    runs = known.runs
    for run in moments(lambda fault: runs.firewall(wanted, fault, confirm_within=LONG)):
        found = known.check_whole(None, wanted, run)
        status = runs.confirm(found.armed).result["status"] if found.armed else ""  # type: ignore[index]
        if status == "confirmed":
            # Killed too late to matter.
            known.check_is(wanted, run)
        else:
            assert status in ("not made", ""), run
            check_undone(known, None, found, run)
            known.check_mended(wanted, run)
        runs.apply(None)


@pytest.mark.parametrize("runs", ["systemd"], indirect=True)
def test_a_removal_killed_at_every_operation(runs: Runs) -> None:
    check_killed_removals(Known(runs, None, NEW), NEW)


def check_killed_removals(known: Known, before: Policy, moments: Moments = every_moment) -> None:
    """The host has `before`; each removal that is killed is made again."""
    for run in moments(lambda fault: known.runs.firewall(None, fault)):
        known.check_whole(before, None, run)
        known.check_mended(None, run)
        known.runs.apply(before)


def begun(runs: Runs, wanted: Policy) -> str:
    run = runs.firewall(wanted, confirm_within=LONG)
    assert run.result and "pending" in run.result, run
    return str(run.result["pending"]["token"])


def check_confirm(known: Known, before: Policy | None, after: Policy, run: Run) -> None:
    """The change was kept, or is still to be undone."""
    found = known.check_whole(before, after, run)
    if found.armed:
        check_undone(known, before, found, run)
    else:
        assert found.table == known.of(after).table, run


@pytest.mark.parametrize("runs", ["systemd"], indirect=True)
def test_a_confirmation_killed_at_every_operation(runs: Runs) -> None:
    check_killed_confirmations(Known(runs, OLD, NEW), NEW, OLD)


def check_killed_confirmations(known: Known, before: Policy, after: Policy, moments: Moments = every_moment) -> None:
    """The host has `before`; confirmations are killed, and the changes made again: so the two change places."""
    for run in moments(lambda fault: known.runs.confirm(begun(known.runs, after), fault)):
        check_confirm(known, before, after, run)
        known.check_mended(after, run)
        before, after = after, before


# ---- killed at any moment

@pytest.mark.parametrize("seed", range(2))
def test_changes_killed_at_random_moments(runs: Runs, seed: int) -> None:
    randomness = random.Random(seed)
    known = Known(runs, OLD, NEW)
    before, after = NEW, OLD
    whole = runs.firewall(after, confirm_within=LONG).seconds
    runs.undo_now()
    for number in range(50):
        run = runs.firewall(after, kill_after=randomness.uniform(0, 1.2 * whole), confirm_within=LONG)
        check_undone(known, before, known.check_whole(before, after, run), run)
        # Now and then; else the next one is killed, too, with all that is left.
        if number % 5 == 4:
            known.check_mended(after, run)
            before, after = after, before


def test_confirmations_killed_at_random_moments(runs: Runs) -> None:
    randomness = random.Random(0)
    known = Known(runs, OLD, NEW)
    before, after = NEW, OLD
    whole = runs.confirm(begun(runs, after)).seconds
    for number in range(20):
        before, after = after, before
        run = runs.confirm(begun(runs, after), kill_after=randomness.uniform(0, 1.2 * whole))
        check_confirm(known, before, after, run)
        known.check_mended(after, run)


def _undone_by_the_clock(runs: Runs, seed: int) -> int:
    """Kill changes, and have the clock undo them; return how many it has."""
    randomness = random.Random(seed)
    known = Known(runs, OLD, NEW)
    whole = runs.firewall(OLD, confirm_within=LONG).seconds
    runs.undo_now()
    undone = 0
    for number in range(5):
        # Late enough that most are armed.
        run = runs.firewall(OLD, kill_after=randomness.uniform(0.7 * whole, 1.5 * whole), confirm_within=2)
        found = known.check_whole(NEW, OLD, run)
        undone += bool(found.armed)
        deadline = time.monotonic() + 10
        while runs.state().armed and time.monotonic() < deadline:
            time.sleep(0.2)
        if found.armed:
            known.check_is(NEW, run)
    known.check_mended(OLD, run)
    return undone


def test_what_was_killed_is_undone_by_the_clock(tmp_path: Path) -> None:
    with ExitStack() as stack, ThreadPoolExecutor(12) as pool:
        hosts = []
        for number in range(12):
            folder = tmp_path / str(number)
            folder.mkdir()
            machine = Machine(stack.enter_context(closing(Pair())), folder)
            if number % 2:
                machine.host.shell("rmdir /run/systemd/system")
            hosts.append(stack.enter_context(closing(Runs(machine))))
        assert sum(pool.map(_undone_by_the_clock, hosts, range(len(hosts)))) >= 24


# ---- failing at every write in turn

ERRORS = {"ENOSPC": "No space left on device", "EROFS": "Read-only file system", "EIO": "Input/output error"}
NOT_ON_DISK = "The new ruleset runs, but it is not the one that a reboot loads: cannot write "


def every_failure(attempt: Callable[[Fault], Run], how: str) -> Iterator[Run]:
    """Yield runs, each of which fails at the next write, until one gets through; that one, too."""
    at = 0
    run = Run(None, [], "first", 0.0)
    while run.hit:
        at += 1
        run = attempt(Fault(at, how))
        check_message(run, how)
        yield run
    assert at > 5 and run.result and not run.result.get("failed"), run


def check_message(run: Run, how: str) -> None:
    """A failure is told with the path that it was about, and with its reason."""
    assert run.result, run
    if run.result.get("failed"):
        path = run.hit.split(" ", 1)[1]
        place = path.replace("/.", "/").removesuffix(".new")
        assert path in run.result["msg"] or place in run.result["msg"], (run.result["msg"], run.hit)
        assert ERRORS[how] in run.result["msg"], (run.result["msg"], run.hit)


@pytest.mark.parametrize("runs", ["systemd"], indirect=True)
@pytest.mark.parametrize("how", ERRORS)
def test_a_change_that_fails_at_every_write(runs: Runs, how: str) -> None:
    check_failed_changes(Known(runs, OLD, NEW), NEW, OLD, lambda attempt: every_failure(attempt, how))


def check_failed_changes(known: Known, before: Policy, after: Policy, moments: Moments) -> None:
    """The host has `before`; a change that fails is undone at once, then made: so the two change places."""
    for run in moments(lambda fault: known.runs.firewall(after, fault, confirm_within=LONG)):
        found = known.check_whole(before, after, run)
        check_undone(known, before, found, run)
        if run.result and run.result.get("failed"):
            assert found.table == known.of(before).table and not found.armed, run
        if known.is_to_be_mended(before, found):
            known.check_mended(after, run)
            before, after = after, before


@pytest.mark.parametrize("runs", ["systemd"], indirect=True)
@pytest.mark.parametrize("how", ERRORS)
def test_a_confirmation_that_fails_at_every_write(runs: Runs, how: str) -> None:
    known = Known(runs, OLD, NEW)
    before, after = NEW, OLD
    for run in every_failure(lambda fault: runs.confirm(begun(runs, after), fault), how):
        _check_answer(run)
        check_confirm(known, before, after, run)
        known.check_mended(after, run)
        before, after = after, before


def _check_answer(run: Run) -> None:
    """Nothing was confirmed, and the message says why; or it was, and a failure is one of the disk."""
    assert run.result
    if run.result.get("failed") and "status" in run.result:
        assert run.result["status"] == "confirmed" and run.result["msg"].startswith(NOT_ON_DISK), run


@pytest.mark.parametrize("runs", ["systemd"], indirect=True)
@pytest.mark.parametrize("how", ERRORS)
def test_a_removal_that_fails_at_every_write(runs: Runs, how: str) -> None:
    known = Known(runs, None, NEW)
    for run in every_failure(lambda fault: runs.firewall(None, fault), how):
        found = known.check_whole(NEW, None, run)
        if run.result and run.result.get("failed") and "Nothing was changed" in run.result["msg"]:
            assert found == known.of(NEW), run
        known.check_mended(None, run)
        runs.apply(NEW)
