# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our table beside the policies: it judges the packets to published ports, which firewalld accepts before any policy.

The table judges all packets to the host before NAT, and the policies judge the ones that NAT does not translate. So a
port that is not published is open if both accept, and a published one if the table does: in which order the two change
makes no difference to what is open in neither the old nor the new rules, or in both. No policy of ours judges forwarded
packets: the table alone judges those from and to containers.

In observe mode there are no policies of ours, and the table records what both would drop. As the mode changes, the
policies change before the table, so that a moment in between accepts what one of the modes accepts, and no more.
"""

from __future__ import annotations

from typing import Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._backends.change import NothingMade, Procedure, Undo
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.kept_files import FirewalldPaths
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import kernel, persistence
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.backend import ByTransactions
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.ruleset import Ruleset, script_of
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.update import transactions
from ansible_collections.hpc.ports.plugins.module_utils._linux import nft
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import FileContents
from ansible_collections.hpc.ports.plugins.module_utils._linux.rule_loaders import early_loaders, rule_loaders
from ansible_collections.hpc.ports.plugins.module_utils._linux.systemd import has_systemd
from ansible_collections.hpc.ports.plugins.module_utils._model.names import PUBLISHED_TABLE
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State


def _running_state() -> State:
    return kernel.running_state(table=PUBLISHED_TABLE) if nft.is_installed() else {}


def _files(ruleset: Ruleset, paths: FirewalldPaths) -> FileContents:
    after = early_loaders(rule_loaders())
    return persistence.wanted_items(script_of(ruleset), has_systemd(), after=after, paths=paths.published)


class PublishedTable(NamedTuple):
    """Access to the table, and the files that load it at boot. Tests replace the functions."""

    running: Callable[[], State] = _running_state
    wanted: Callable[[Ruleset, State], State] = kernel.wanted_or_running
    files: Callable[[Ruleset, FirewalldPaths], FileContents] = _files


def change_of_table(ruleset: Ruleset, running: State, wanted: State) -> ByTransactions | None:
    """Return how the table changes, if it does. Raises CommandError, RuntimeError."""
    if running == wanted:
        return None
    kernel.check_definitions(running, wanted, table=PUBLISHED_TABLE)
    return ByTransactions(running, transactions(ruleset, running, wanted), PUBLISHED_TABLE)


def removal_of_table(running: State) -> ByTransactions | None:
    """Return how the table is removed, if there is one."""
    return ByTransactions(running, (f"delete table {PUBLISHED_TABLE}\n",), PUBLISHED_TABLE) if running else None


class Both(NamedTuple):
    """A change of the policies, then of the table."""

    policies: Procedure
    table: Procedure

    def check(self) -> None:
        """Check both. Raises RuntimeError."""
        self.policies.check()
        self.table.check()

    def undo(self) -> Undo:
        """Return how the host undoes both, from any moment: the table comes back in one transaction."""
        policies, table = self.policies.undo(), self.table.undo()
        return Undo(f"{table.command} && {policies.command}", {**policies.files, **table.files})

    def make(self, folder: str) -> None:
        """Make both changes. Raises NothingMade only if nothing was changed."""
        self.policies.make(folder)
        try:
            self.table.make(folder)
        except NothingMade as exc:
            raise RuntimeError(str(exc)) from exc


def joined(policies: Procedure | None, table: Procedure | None) -> Procedure | None:
    """Return one procedure for what changes."""
    return Both(policies, table) if policies and table else policies or table
