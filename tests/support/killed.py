# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has whose runs are killed or fail at chosen moments, and what it may have then. For both backends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.hpc.ports.tests.support.faults import Fault, Run, State
from ansible_collections.hpc.ports.tests.support.run import scaled
from ansible_collections.hpc.ports.tests.support.runs import Runs

Policy = dict[str, Any]
# Longer than the test looks; tests in which the host has to undo a change trigger the undo, or use less.
LONG = scaled(30)
# The operation after which the host undoes a change unless it is confirmed.
ARMING = "symlink /run/hpc-ports/armed"
ERRORS = {"ENOSPC": "No space left on device", "EROFS": "Read-only file system", "EIO": "Input/output error"}
Moments = Callable[[Callable[[Fault], Run]], Iterable[Run]]


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
        state = self.runs.state()
        self.states.append((wanted, state))
        if wanted:
            # A reboot loads the file, so a complete file has to be a ruleset that loads.
            self.runs.machine.reload_from_disk()
            assert self.runs.state()._replace(left=[]) == state._replace(left=[])

    def of(self, wanted: Policy | None) -> State:
        """Return what a host has that was given this policy."""
        (state,) = [state for policy, state in self.states if policy is wanted]
        return state

    def check_whole(self, before: Policy | None, after: Policy | None, run: Run) -> State:
        """The table and each file are what one of two policies gives, or nothing where one gives none; return all."""
        current, old, new = self.runs.state(), self.of(before), self.of(after)
        assert current.table in (old.table, new.table) or self.is_between(current, old, new), run
        for path in {**old.places, **new.places, **current.places}:
            assert current.files.get(path) in (old.files.get(path), new.files.get(path)), (path, run)
        return current

    def check_disk(self, before: Policy | None, current: State, run: Run) -> None:
        """What was not confirmed is not what a reboot brings."""
        assert current.places == self.of(before).places, run

    def is_to_be_mended(self, before: Policy | None, current: State) -> bool:
        """Return whether a normal run after a killed one has changes to make."""
        return bool(current.armed) or current.files != self.of(before).files

    def is_between(self, current: State, before: State, after: State) -> bool:
        """The table is all of one policy's; what it has more is of the other's, and nothing leads there.

        All that is new was filled; or the new ruleset runs, and what goes is still there.
        """
        old, new, present = set(before.table), set(after.table), set(current.table)
        return bool(new) and present in (old | _idle(new, old), new | _idle(old, new))

    def check_mended(self, wanted: Policy | None, run: Run) -> None:
        """The next run applies the policy, in any state of the host, and leaves no work for another."""
        self.runs.apply(wanted)
        self.check_is(wanted, run)

    def check_is(self, wanted: Policy | None, run: Run) -> None:
        """The host has this policy, and nothing else of ours."""
        current, expected = self.runs.state(), self.of(wanted)
        assert current._replace(left=[]) == expected._replace(left=[], armed=""), run


def _idle(objects: set[str], others: set[str]) -> set[str]:
    """Return the objects that the others have none of the name of, but for base chains."""
    named = set(map(_name, others))
    return {text for text in objects if _name(text) not in named and " hook " not in text}


def _name(text: str) -> str:
    return text.strip().split(" {")[0]


def check_undone(known: Known, before: Policy | None, current: State, run: Run) -> None:
    """What was not confirmed goes back by itself; the disk never had it."""
    known.check_disk(before, current, run)
    if current.armed:
        known.runs.undo_now()
        known.check_is(before, run)
    else:
        assert current.table == known.of(before).table, run


def check_killed_changes(known: Known, before: Policy, after: Policy, moments: Moments) -> None:
    """The host has `before`; changes are killed at these moments, undone, and made again: so the two change places."""
    for run in moments(lambda fault: known.runs.firewall(after, fault, confirm_within=LONG)):  # noqa: B023 # of that moment
        current = known.check_whole(before, after, run)
        check_undone(known, before, current, run)
        if known.is_to_be_mended(before, current):
            known.check_mended(after, run)
            before, after = after, before


def check_killed_first_changes(known: Known, wanted: Policy, moments: Moments) -> None:
    """The host never had rules; each change that is killed is confirmed if it can be, else undone, and made again."""
    runs = known.runs
    for run in moments(lambda fault: runs.firewall(wanted, fault, confirm_within=LONG)):
        current = known.check_whole(None, wanted, run)
        status = runs.confirm(current.armed).result["status"] if current.armed else ""  # type: ignore[index]
        if status == "confirmed":
            # Killed too late to matter.
            known.check_is(wanted, run)
        else:
            assert status in ("not made", ""), run
            check_undone(known, None, current, run)
            known.check_mended(wanted, run)
        runs.apply(None)


def check_killed_removals(known: Known, before: Policy, moments: Moments) -> None:
    """The host has `before`; each removal that is killed is made again."""
    for run in moments(lambda fault: known.runs.firewall(None, fault)):
        known.check_whole(before, None, run)
        known.check_mended(None, run)
        known.runs.apply(before)


def token_of_change(runs: Runs, wanted: Policy) -> str:
    """Return the token of a change that has been made and waits for its confirmation."""
    run = runs.firewall(wanted, confirm_within=LONG)
    assert run.result and "pending" in run.result, run
    return str(run.result["pending"]["token"])


def check_confirm(known: Known, before: Policy | None, after: Policy, run: Run) -> None:
    """The change was kept, or is still to be undone."""
    current = known.check_whole(before, after, run)
    if current.armed:
        check_undone(known, before, current, run)
    else:
        assert current.table == known.of(after).table, run


def check_killed_confirmations(known: Known, before: Policy, after: Policy, moments: Moments) -> None:
    """The host has `before`; confirmations are killed, and the changes made again: so the two change places."""
    for run in moments(lambda fault: known.runs.confirm(token_of_change(known.runs, after), fault)):  # noqa: B023 # of that moment
        check_confirm(known, before, after, run)
        known.check_mended(after, run)
        before, after = after, before


def check_message(run: Run, how: str) -> None:
    """The message of a failure names the path and the reason."""
    assert run.result, run
    if run.result.get("failed"):
        path = run.hit.split(" ", 1)[1]
        place = path.replace("/.", "/").removesuffix(".new")
        # A listing that cannot be kept is no failure; on a disk that takes nothing the next file is.
        assert "/listing-" in path or path in run.result["msg"] or place in run.result["msg"], (
            run.result["msg"],
            run.hit,
        )
        assert ERRORS[how] in run.result["msg"], (run.result["msg"], run.hit)


def check_failed_changes(known: Known, before: Policy, after: Policy, moments: Moments) -> None:
    """The host has `before`; a change that fails is undone at once, then made: so the two change places."""
    for run in moments(lambda fault: known.runs.firewall(after, fault, confirm_within=LONG)):  # noqa: B023 # of that moment
        current = known.check_whole(before, after, run)
        check_undone(known, before, current, run)
        if run.result and run.result.get("failed"):
            assert current.table == known.of(before).table and not current.armed, run
        if known.is_to_be_mended(before, current):
            known.check_mended(after, run)
            before, after = after, before
