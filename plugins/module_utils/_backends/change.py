# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of a host: present and wanted state, the files, and the procedure; both backends return one."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from ansible_collections.hpc.ports.plugins.module_utils._linux.files import FileContents, Places, items_state
from ansible_collections.hpc.ports.plugins.module_utils._model.state import FlowViews, State, changed_objects
from ansible_collections.hpc.ports.plugins.module_utils._model.state_diff import flow_changes, state_diff


class Undo(NamedTuple):
    """A shell command that undoes a change, and the files that it needs in its working directory."""

    command: str
    files: dict[str, str]


class NothingMade(RuntimeError):
    """The change failed before it changed anything, so there is nothing to undo."""


class Procedure(Protocol):
    """How a backend changes the rules that run."""

    def check(self) -> None:
        """Raise RuntimeError if the change would harm what is not ours. It takes long, so it is called once."""

    def undo(self) -> Undo:
        """Return how the host undoes the change. Raise CommandError or RuntimeError."""

    def make(self, folder: str) -> None:
        """Change the rules; `folder` contains the files of `undo`. Raise CommandError, OSError or RuntimeError."""


class Change(NamedTuple):
    """The running and the wanted rules, the present and the wanted files, and the procedure between them.

    `views` are the running and the wanted flows. There is a procedure only if the rules change. `warnings` are for the
    user. `services` are our wanted services, as objects. `leaving` removes our rules from the other backend, after
    this change is permanent.
    """

    backend: str
    running: State
    wanted: State
    present_files: State
    wanted_files: FileContents
    places: Places
    views: tuple[FlowViews, FlowViews]
    procedure: Procedure | None
    concerns_unit: bool = False
    warnings: tuple[str, ...] = ()
    services: State = {}
    units_to_start: tuple[str, ...] = ()
    units_to_stop: tuple[str, ...] = ()
    leaving: Change | None = None

    @property
    def before(self) -> State:
        """Return the present state: rules and files."""
        return {**self.running, **self.present_files, **(self.leaving.before if self.leaving else {})}

    @property
    def after(self) -> State:
        """Return the wanted state: rules and files."""
        return {**self.wanted, **items_state(self.wanted_files), **self.services}

    @property
    def is_needed(self) -> bool:
        """Return whether anything differs."""
        return self.before != self.after

    def check(self) -> None:
        """Raise RuntimeError if the change would harm what is not ours, such as settings of firewalld."""
        for change in (self, self.leaving):
            if change and change.procedure:
                change.procedure.check()

    def described(self) -> dict[str, Any]:
        """Return the result that a module returns about the change."""
        objects = changed_objects(self.before, self.after)
        return {
            "changed": self.is_needed,
            "changes": dict(flow_changes(*self.views), objects=objects),
            "diff": state_diff(self.before, self.after),
        }
