# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The functions with which a change of this host is made. Tests pass others, and need no host."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Callable, NamedTuple, Protocol

from ansible_collections.hpc.ports.plugins.module_utils._apply import transaction
from ansible_collections.hpc.ports.plugins.module_utils._apply.pending import LastThings, Pending
from ansible_collections.hpc.ports.plugins.module_utils._backends import selection
from ansible_collections.hpc.ports.plugins.module_utils._backends.change import Change, Undo
from ansible_collections.hpc.ports.plugins.module_utils._backends.running import RunningRules, running_rules
from ansible_collections.hpc.ports.plugins.module_utils._backends.watch import with_watch
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import Places
from ansible_collections.hpc.ports.plugins.module_utils._linux.rule_loaders import RuleLoader, rule_loaders
from ansible_collections.hpc.ports.plugins.module_utils._linux.ssh_connection import SshConnection
from ansible_collections.hpc.ports.plugins.module_utils._linux.ssh_interface import connection_and_interface


class Transactions(Protocol):
    """The functions of the module `transaction`; see there."""

    def exclusive_change(self) -> AbstractContextManager[Pending | None]:
        """Let only this process change the host."""

    def arm(
        self,
        token: str,
        undo: Undo,
        places: Places,
        seconds: int,
        client: str,
        client_port: int,
        last_things: LastThings,
    ) -> Pending:
        """Have the host undo the change that follows."""

    def folder_of(self, pending: Pending) -> str:
        """Return the folder with the files of an armed change."""

    def no_longer_than(self, pending: Pending) -> AbstractContextManager[None]:
        """Raise ExpiredError in the block once the change is overdue."""

    def note_made(self, pending: Pending) -> None:
        """Note that the change was made and can be confirmed."""

    def revert(self, pending: Pending) -> None:
        """Have the host undo the change now."""

    def disarm(self, pending: Pending) -> None:
        """Keep the change."""


def _track_connections() -> str:
    # Only a first run needs this, and Python compiles what a module imports on each run.
    from ansible_collections.hpc.ports.plugins.module_utils._apply.track_connections import track_connections

    return track_connections()


class Tools(NamedTuple):
    """The functions; `backend`, `leaving` and `rules` take the name of a backend.

    `connection` returns the ssh connection of the user, `watch` adds the watch to a change, `loaders` returns the
    units of others that load rules, and `track` has the kernel track open connections.
    """

    transaction: Transactions = transaction
    backend: Callable[[str], selection.Backend] = selection.backend
    leaving: Callable[[str], Change | None] = selection.leaving
    connection: Callable[[], SshConnection | None] = connection_and_interface
    watch: Callable[[Change, bool, str], Change] = with_watch
    loaders: Callable[[], tuple[RuleLoader, ...]] = rule_loaders
    track: Callable[[], str] = _track_connections
    rules: Callable[[str], RunningRules] = running_rules
