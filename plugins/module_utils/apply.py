# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host, one policy: compare what runs with what is wanted; stop there, or apply in one transaction."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional, Tuple

from ansible_collections.hpc.ports.plugins.module_utils import boot, nftables, transaction
from ansible_collections.hpc.ports.plugins.module_utils.command import CommandError
from ansible_collections.hpc.ports.plugins.module_utils.connection import Connection
from ansible_collections.hpc.ports.plugins.module_utils.policy import Policy
from ansible_collections.hpc.ports.plugins.module_utils.snapshot import restoring_script
from ansible_collections.hpc.ports.plugins.module_utils.state import (
    State,
    changed_objects,
    flow_changes,
    state_diff,
)
from ansible_collections.hpc.ports.plugins.module_utils.takeover import transactions

_NOT_ON_DISK = ("The new ruleset runs, but it is not the one that a reboot loads: cannot write {0}: {1}. Mend this and "
                "run again.")
_HALF_REMOVED = ("{0}. The ruleset that ran before still runs, but a reboot may not load it any more. Mend this and "
                 "run again.")


class Change(NamedTuple):
    """The way from what a host has to what it should have: of its kernel by `scripts`, of its disk by `items`.

    Each script is one transaction. They are loaded in their order, and one of them alone changes verdicts.
    """

    running: State
    wanted: State
    scripts: Tuple[str, ...]
    found: State
    items: boot.Items

    @property
    def before(self) -> State:
        """Return all that the host has."""
        return {**self.running, **self.found}

    @property
    def after(self) -> State:
        """Return all that the host should have."""
        return {**self.wanted, **boot.items_state(self.items)}

    @property
    def is_needed(self) -> bool:
        """Tell whether anything differs."""
        return self.before != self.after

    @property
    def concerns_unit(self) -> bool:
        """Tell whether systemd has to read our unit again."""
        name = "file " + boot.UNIT
        return boot.has_systemd() and self.before.get(name) != self.after.get(name)

    def described(self) -> Dict[str, Any]:
        """Return what a module returns about the change."""
        flows = flow_changes(nftables.flow_views(self.running), nftables.flow_views(self.wanted))
        objects = changed_objects(self.before, self.after)
        return {"changed": self.is_needed, "changes": dict(flows, objects=objects),
                "diff": state_diff(self.before, self.after)}


def present_change(policy: Policy) -> Change:
    """Return the change that makes a host have this policy. Raises CommandError, OSError, RuntimeError."""
    ruleset = nftables.ruleset_of(policy)
    running, wanted = nftables.running_state(), nftables.wanted_state(ruleset)
    nftables.check_definitions(running, wanted)
    return Change(running, wanted, transactions(ruleset, running, wanted), found=boot.present_state(),
                  items=boot.wanted_items(nftables.script_of(ruleset), boot.has_systemd()))


def absent_change() -> Change:
    """Return the change that leaves a host as it was before us. Raises CommandError, OSError."""
    running = nftables.running_state() if nftables.is_installed() else {}
    scripts = ("delete table {0}\n".format(nftables.TABLE),) if running else ()
    return Change(running, {}, scripts, found=boot.present_state(), items={})


class Terms(NamedTuple):
    """On what terms a change is made; see `transaction.arm`."""

    token: str
    seconds: int
    connection: Optional[Connection]
    extra: Dict[str, Any]


def make_present(change: Change, terms: Terms) -> Optional[transaction.Pending]:
    """Apply the change; return it when it awaits confirmation, as a change of the running ruleset does.

    To be called in one's turn. The disk is written beside its places before the kernel is touched, and renamed into
    place once the change is for good. Raises CommandError, OSError, RuntimeError: then the old ruleset runs.
    """
    try:
        boot.stage(change.items)
        if change.running == change.wanted:
            settle(change.concerns_unit)
            return None
        return _load(change, terms)
    except BaseException:
        boot.discard()
        raise


def _load(change: Change, terms: Terms) -> transaction.Pending:
    undo = transaction.Undo("nft -f restore.nft", {"restore.nft": restoring_script(change.running)})
    client = (terms.connection.client, terms.connection.client_port) if terms.connection else ("", 0)
    pending = transaction.arm(terms.token, undo, terms.seconds, *client,
                              dict(terms.extra, concerns_unit=change.concerns_unit))
    loaded = 0
    try:
        with transaction.no_longer_than(pending):
            for script in change.scripts:
                nftables.load(script)
                loaded += 1
            transaction.note_made(pending)
    except CommandError:
        # Each is all or nothing: where the first fails there is nothing to undo.
        (transaction.revert if loaded else transaction.disarm)(pending)
        raise
    except BaseException:
        transaction.revert(pending)
        raise
    return pending


def settle(concerns_unit: bool) -> None:
    """Make the staged files those that a reboot loads. Raises RuntimeError: then the next run mends it."""
    try:
        boot.commit()
    except OSError as exc:
        boot.discard()
        raise RuntimeError(_NOT_ON_DISK.format(exc.filename, exc.strerror)) from exc
    if concerns_unit:
        boot.reload_systemd()


def make_absent(change: Change) -> None:
    """Remove the table and our files; the files first, so that a reboot half way does not bring the table back.

    Raises CommandError, OSError, RuntimeError: then the table is still there.
    """
    try:
        boot.remove()
        for script in change.scripts:
            nftables.load(script)
    except OSError as exc:
        raise RuntimeError(_HALF_REMOVED.format("Cannot remove {0}: {1}".format(exc.filename, exc.strerror))) from exc
    except CommandError as exc:
        raise RuntimeError(_HALF_REMOVED.format(exc)) from exc
    if change.concerns_unit:
        boot.reload_systemd()
        boot.forget_unit()
