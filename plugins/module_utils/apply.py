# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host, one policy: compare what runs with what is wanted; stop there, or apply in one transaction."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils import boot, nftables
from ansible_collections.hpc.ports.plugins.module_utils.policy import Policy
from ansible_collections.hpc.ports.plugins.module_utils.state import (
    State,
    changed_objects,
    flow_changes,
    state_diff,
)


class Change(NamedTuple):
    """The way from what a host has to what it should have; `script` and `items` make it so."""

    before: State
    after: State
    script: str
    items: boot.Items

    @property
    def is_needed(self) -> bool:
        """Tell whether anything differs."""
        return self.before != self.after

    def described(self) -> Dict[str, Any]:
        """Return what a module returns about the change."""
        flows = flow_changes(nftables.flow_views(self.before), nftables.flow_views(self.after))
        objects = changed_objects(self.before, self.after)
        return {"changed": self.is_needed, "changes": dict(flows, objects=objects),
                "diff": state_diff(self.before, self.after)}


def present_change(policy: Policy) -> Change:
    """Return the change that makes a host have this policy. Raises CommandError, OSError, RuntimeError."""
    ruleset = nftables.ruleset_of(policy)
    script = nftables.script_of(ruleset)
    running, wanted = nftables.running_state(), nftables.wanted_state(ruleset)
    nftables.check_definitions(running, wanted)
    items = boot.wanted_items(script, boot.has_systemd())
    return Change(
        before={**running, **boot.present_state()},
        after={**wanted, **boot.items_state(items)},
        script=nftables.deletions(running, wanted) + script,
        items=items,
    )


def absent_change() -> Change:
    """Return the change that leaves a host as it was before us. Raises CommandError, OSError."""
    running = nftables.running_state() if nftables.is_installed() else {}
    script = "delete table {0}\n".format(nftables.TABLE) if running else ""
    return Change(before={**running, **boot.present_state()}, after={}, script=script, items={})


def make_present(change: Change) -> None:
    """Apply the change: the disk is written before the kernel is touched, and renamed into place after it."""
    try:
        boot.stage(change.items)
        nftables.load(change.script)
    except BaseException:
        boot.discard(change.items)
        raise
    try:
        boot.commit(change.items)
    except OSError as exc:
        boot.discard(change.items)
        raise RuntimeError("The new ruleset runs, but it is not the one that a reboot loads: cannot write {0}: {1}. "
                           "Mend this and run again.".format(exc.filename, exc.strerror)) from exc
    _tell_systemd(change)


def make_absent(change: Change) -> None:
    """Remove the table and our files; the files first, so that a reboot half way does not bring the table back."""
    boot.remove()
    if change.script:
        nftables.load(change.script)
    if _tell_systemd(change):
        boot.forget_unit()


def _tell_systemd(change: Change) -> bool:
    name = "file " + boot.UNIT
    needed = boot.has_systemd() and change.before.get(name) != change.after.get(name)
    if needed:
        boot.reload_systemd()
    return needed
