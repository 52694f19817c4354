# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a confirmation needs of a backend, apart from the rest: Python compiles what a module imports on each run."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import running as nftables
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import Places
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State


class RunningRules(Protocol):
    """Our rules that run, and the files that a boot loads. All may raise CommandError, OSError and RuntimeError."""

    def running_state(self) -> State:
        """Return our rules in the kernel."""

    def all_or_nothing(self, places: Places) -> AbstractContextManager[None]:
        """Let a boot find all files either as before the block or as after it."""


def running_rules(name: str) -> RunningRules:
    """Return the running rules of the backend of this name; the code of the other one is not imported."""
    if name == "firewalld":
        from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld import running as firewalld

        return firewalld
    return nftables
