# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two backends by name, and what is left of one where the other carries the rules."""

from __future__ import annotations

import glob
from contextlib import AbstractContextManager
from typing import Optional, Protocol

from ansible_collections.hpc.ports.plugins.module_utils._backends.change import Change
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import backend as backend_nftables
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import Places
from ansible_collections.hpc.ports.plugins.module_utils._linux.systemd import is_active
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State


class Backend(Protocol):
    """What a backend can do; all of it raises CommandError, OSError and RuntimeError."""

    def running_state(self) -> State:
        """Return what the kernel runs of ours."""

    def present_change(self, policy: Policy, closed: str) -> Change:
        """Return the change that makes a host have this policy.

        `closed` is the nft script of a boot that cannot load it, if there is to be one; with firewalld the watch has it.
        """

    def absent_change(self) -> Change:
        """Return the change that leaves a host as it was before us."""

    def all_or_nothing(self, places: Places) -> AbstractContextManager[None]:
        """Have a boot find either all files as before the block or all as after it."""

    def recover(self) -> None:
        """Put back what a crash left of an unconfirmed change."""


def backend(name: str) -> Backend:
    """Return the backend of that name. What the other one needs is not even read: that takes time on each run."""
    if name == "firewalld":
        from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld import backend as backend_firewalld

        return backend_firewalld
    return backend_nftables


def leaving(name: str) -> Optional[Change]:
    """Return the change that removes what the other backend has of ours, if it has anything."""
    if name == "nftables" and not _may_be_in_firewalld():
        return None
    change = backend("nftables" if name == "firewalld" else "firewalld").absent_change()
    return change if change.is_needed else None


def _may_be_in_firewalld() -> bool:
    return bool(glob.glob("/etc/firewalld/*/hpc_ports_*") or glob.glob("/etc/hpc-ports/undo")) or is_active("firewalld.service")
