# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nftables backend: from what our table is to what a policy wants, by transactions."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._backends.change import Change, NothingMade, Undo
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import kernel, persistence, views
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import ruleset as nftables
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.restore import restoring_script
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.update import transactions
from ansible_collections.hpc.ports.plugins.module_utils._linux import nft, systemd
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError
from ansible_collections.hpc.ports.plugins.module_utils._linux.errors import failure_text
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import FileContents, Places, items_state
from ansible_collections.hpc.ports.plugins.module_utils._linux.rule_loaders import early_loaders, rule_loaders
from ansible_collections.hpc.ports.plugins.module_utils._model import names
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State

NAME = "nftables"
_BOOTED_OPEN = (
    f"{persistence.SERVICE} has failed: this host could not load its ruleset at boot. See: systemctl status "
    f"{persistence.SERVICE}. After fixing the cause, run: systemctl restart {persistence.SERVICE}"
)


class ByTransactions(NamedTuple):
    """The way from what runs, by scripts that are loaded in their order; one of them alone changes verdicts."""

    running: State
    scripts: tuple[str, ...]

    def undo(self) -> Undo:
        """Return how the host goes back to what runs now. Raises CommandError, RuntimeError."""
        return Undo("nft -f restore.nft", {"restore.nft": restoring_script(self.running)})

    def make(self, folder: str) -> None:
        """Load the scripts. Raises CommandError, or NothingMade with its text."""
        for number, script in enumerate(self.scripts):
            try:
                kernel.load(script)
            except CommandError as exc:
                # Each is all or nothing: where the first fails there is nothing to undo.
                raise exc if number else NothingMade(failure_text(exc)) from exc


def running_state() -> State:
    """Return what the kernel runs of ours. Raises CommandError."""
    return kernel.running_state() if nft.is_installed() else {}


def present_change(policy: Policy, closed: str = "") -> Change:
    """Return the change that makes a host have this policy. Raises CommandError, OSError, RuntimeError."""
    ruleset = nftables.ruleset_of(policy)
    running, wanted = kernel.running_state(), kernel.wanted_state(ruleset)
    kernel.check_definitions(running, wanted)
    items = persistence.wanted_items(
        nftables.script_of(ruleset), systemd.has_systemd(), after=early_loaders(rule_loaders()), closed=closed
    )
    change = _change(running, wanted, items, transactions(ruleset, running, wanted))
    # The rules may be there again since: the watch loads them as soon as they can be loaded.
    failed = bool(change.found) and systemd.has_failed(persistence.SERVICE)
    return change._replace(
        starts=(persistence.SERVICE,) if failed and change.way else (), warnings=(_BOOTED_OPEN,) if failed else ()
    )


def absent_change() -> Change:
    """Return the change that leaves a host as it was before us. Raises CommandError, OSError."""
    running = running_state()
    return _change(running, {}, {}, (f"delete table {names.TABLE}\n",))


def _change(running: State, wanted: State, items: FileContents, scripts: tuple[str, ...]) -> Change:
    found, unit = persistence.present_state(), "file " + persistence.UNIT
    concerns_unit = systemd.has_systemd() and found.get(unit) != items_state(items).get(unit)
    flows = (views.flow_views(running), views.flow_views(wanted))
    return Change(
        NAME,
        running,
        wanted,
        found,
        items,
        persistence.places(items),
        flows,
        ByTransactions(running, scripts) if running != wanted else None,
        concerns_unit,
        ends=(persistence.SERVICE,) if concerns_unit and not items else (),
    )


def all_or_nothing(places: Places) -> AbstractContextManager[None]:
    """Do nothing: the ruleset is one file, and the others hardly ever change."""
    return nullcontext()


def recover() -> None:
    """Do nothing: a crash leaves nothing to be put back, as files are only renamed into their places."""
