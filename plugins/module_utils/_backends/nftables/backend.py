# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nftables backend: change our table from the running state to the state that a policy needs, by transactions."""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._backends.change import Change, NothingMade, Undo
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import kernel, persistence, views
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import ruleset as nftables
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.restore import restoring_script
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.update import transactions
from ansible_collections.hpc.ports.plugins.module_utils._linux import nft, systemd
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError
from ansible_collections.hpc.ports.plugins.module_utils._linux.errors import failure_text
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import FileContents, items_state
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
    """A change by nft scripts, which are loaded in order; only one of them changes verdicts."""

    running: State
    scripts: tuple[str, ...]
    table: str = names.TABLE

    def check(self) -> None:
        """Do nothing: a transaction changes only our table."""

    def undo(self) -> Undo:
        """Return how the host restores the rules that run now. Raises CommandError, RuntimeError."""
        return Undo("nft -f restore.nft", {"restore.nft": restoring_script(self.running, self.table)})

    def make(self, folder: str) -> None:
        """Load the scripts. Raises NothingMade if the first one fails, CommandError if a later one does."""
        for number, script in enumerate(self.scripts):
            try:
                kernel.load(script)
            except CommandError as exc:
                # Each script is atomic: if the first one fails, there is nothing to undo.
                raise exc if number else NothingMade(failure_text(exc)) from exc


def present_change(policy: Policy, closed: str = "") -> Change:
    """Return the change that applies this policy to the host. Raises CommandError, OSError, RuntimeError."""
    ruleset = nftables.ruleset_of(policy)
    running = kernel.running_state()
    wanted = kernel.wanted_or_running(ruleset, running)
    kernel.check_definitions(running, wanted)
    contents = persistence.wanted_items(
        nftables.script_of(ruleset), systemd.has_systemd(), after=early_loaders(rule_loaders()), closed=closed
    )
    change = _change(running, wanted, contents, transactions(ruleset, running, wanted))
    # The rules may have been loaded since then: the watch loads them as soon as it can.
    failed = bool(change.present_files) and systemd.has_failed(persistence.SERVICE)
    return change._replace(
        units_to_start=(persistence.SERVICE,) if failed and change.procedure else (),
        warnings=(_BOOTED_OPEN,) if failed else (),
    )


def absent_change() -> Change:
    """Return the change that removes our table and files from the host. Raises CommandError, OSError."""
    running = kernel.running_state() if nft.is_installed() else {}
    return _change(running, {}, {}, (f"delete table {names.TABLE}\n",))


def _change(running: State, wanted: State, contents: FileContents, scripts: tuple[str, ...]) -> Change:
    present, unit = persistence.present_state(), "file " + persistence.UNIT
    concerns_unit = systemd.has_systemd() and present.get(unit) != items_state(contents).get(unit)
    flows = (views.flow_views(running), views.flow_views(wanted))
    return Change(
        NAME,
        running,
        wanted,
        present,
        contents,
        persistence.places(contents),
        flows,
        ByTransactions(running, scripts) if running != wanted else None,
        concerns_unit,
        units_to_stop=(persistence.SERVICE,) if concerns_unit and not contents else (),
    )


def recover() -> None:
    """Do nothing: files are only renamed into place, so a crash leaves nothing to restore."""
