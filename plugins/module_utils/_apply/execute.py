# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a change: first load the rules; once they are confirmed, put the files that a reboot loads in place."""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._apply.pending import LastThings, Pending
from ansible_collections.hpc.ports.plugins.module_utils._apply.settle import settle
from ansible_collections.hpc.ports.plugins.module_utils._apply.tools import Tools, Transactions
from ansible_collections.hpc.ports.plugins.module_utils._backends.change import Change, NothingMade, Procedure
from ansible_collections.hpc.ports.plugins.module_utils._backends.selection import Backend
from ansible_collections.hpc.ports.plugins.module_utils._linux import files, systemd
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError
from ansible_collections.hpc.ports.plugins.module_utils._linux.ssh_connection import SshConnection
from ansible_collections.hpc.ports.plugins.module_utils._model.names import digest

_NOT_LEFT = (
    "The new ruleset runs, but the ruleset of the backend {0} is still loaded as well: {1}. Fix this and run again."
)
_HALF_REMOVED = (
    "{0}. The ruleset that ran before still runs, but a reboot may no longer load it. Fix this and run again."
)


class Terms(NamedTuple):
    """The options of a change that is to be confirmed; see `Pending` and `LastThings`."""

    token: str
    seconds: int
    connection: SshConnection | None
    advice: str = ""
    cuts: bool = False


def make_present(change: Change, terms: Terms, tools: Tools = Tools()) -> Pending | None:
    """Apply the change; return it if it awaits confirmation, as every change of the running ruleset does.

    The caller holds the lock (`exclusive_change`). The files are written beside their final places before the kernel
    is touched, and renamed once the change is confirmed. Raises CommandError, OSError, RuntimeError: then the old
    ruleset runs.
    """
    try:
        files.stage(change.places, change.wanted_files)
        if change.procedure is None:
            settle(_last_things(change, terms), tools.rules(change.backend))
            if change.leaving:
                _remove_other_backend(tools.backend(change.leaving.backend), change.leaving.backend)
            return None
        return _load(change, change.procedure, terms, tools.transaction)
    except BaseException:
        files.discard(change.places)
        raise


def _load(change: Change, way: Procedure, terms: Terms, transactions: Transactions) -> Pending:
    client = (terms.connection.client, terms.connection.client_port) if terms.connection else ("", 0)
    pending = transactions.arm(
        terms.token, way.undo(), change.places, terms.seconds, *client, _last_things(change, terms)
    )
    try:
        with transactions.no_longer_than(pending):
            way.make(transactions.folder_of(pending))
            transactions.note_made(pending)
    except NothingMade:
        transactions.disarm(pending)
        raise
    except BaseException:
        transactions.revert(pending)
        raise
    return pending


def _last_things(change: Change, terms: Terms) -> LastThings:
    """Return what remains to be done once the change is confirmed, as plain data."""
    return {
        "advice": terms.advice,
        "cuts": terms.cuts,
        "backend": change.backend,
        "runs": digest(change.wanted),
        "places": dict(change.places._asdict()),
        "concerns_unit": change.concerns_unit,
        "starts": change.units_to_start,
        "ends": change.units_to_stop,
        "leaves": change.leaving is not None,
    }


def _remove_other_backend(backend: Backend, name: str) -> None:
    try:
        backend.recover()
        change = backend.absent_change()
        change.check()
        make_absent(change)
    except (CommandError, OSError, RuntimeError) as exc:
        raise RuntimeError(_NOT_LEFT.format(name, exc)) from exc


def make_absent(change: Change) -> None:
    """Remove our files, then the running rules: a reboot in between does not load the rules again.

    Raises CommandError, OSError, RuntimeError: then the ruleset still runs.
    """
    try:
        files.remove(change.places)
        if change.procedure is not None:
            change.procedure.make("")
    except OSError as exc:
        raise RuntimeError(_HALF_REMOVED.format(f"Cannot remove {exc.filename}: {exc.strerror}")) from exc
    except (CommandError, NothingMade) as exc:
        raise RuntimeError(_HALF_REMOVED.format(exc)) from exc
    if change.concerns_unit:
        systemd.read_units((*change.places.paths, *change.places.gone))
    for unit in change.units_to_stop:
        systemd.forget(unit)
    if change.leaving:
        make_absent(change.leaving)
