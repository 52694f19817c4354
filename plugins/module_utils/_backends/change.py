# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way from what a host has to what it should have, in the words that both backends answer in."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from ansible_collections.hpc.ports.plugins.module_utils._linux.files import FileContents, Places, items_state
from ansible_collections.hpc.ports.plugins.module_utils._model.state import (
    FlowViews,
    State,
    changed_objects,
    flow_changes,
    state_diff,
)


class Undo(NamedTuple):
    """How to undo a change: a shell command, and the files that it finds in its working directory."""

    command: str
    files: dict[str, str]


class NothingMade(RuntimeError):
    """The change failed at once, so that there is nothing to undo."""


class Way(Protocol):
    """How a backend changes what runs."""

    def undo(self) -> Undo:
        """Return how the host undoes it. Raises CommandError, RuntimeError."""

    def make(self, folder: str) -> None:
        """Change what runs; `folder` is that of the files of `undo`. Raises CommandError, OSError, RuntimeError."""


class Change(NamedTuple):
    """What runs and what should, the files that the host has and those that it should have, and the way there.

    `views` are the flows that run and those that should. There is a way only where what runs changes. `warnings` are what
    the user should know of the host. `services` are those of ours that should run, as objects; systemd starts and ends
    what `starts` and `ends` name. `leaving` is what the other backend has of ours, to be removed once this change is for
    good.
    """

    backend: str
    running: State
    wanted: State
    found: State
    items: FileContents
    places: Places
    views: tuple[FlowViews, FlowViews]
    way: Way | None
    concerns_unit: bool = False
    warnings: tuple[str, ...] = ()
    services: State = {}
    starts: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    leaving: Change | None = None

    @property
    def before(self) -> State:
        """Return all that the host has."""
        return {**self.running, **self.found, **(self.leaving.before if self.leaving else {})}

    @property
    def after(self) -> State:
        """Return all that the host should have."""
        return {**self.wanted, **items_state(self.items), **self.services}

    @property
    def is_needed(self) -> bool:
        """Tell whether anything differs."""
        return self.before != self.after

    def described(self) -> dict[str, Any]:
        """Return what a module returns about the change."""
        objects = changed_objects(self.before, self.after)
        return {
            "changed": self.is_needed,
            "changes": dict(flow_changes(*self.views), objects=objects),
            "diff": state_diff(self.before, self.after),
        }
