# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backend carries the rules of this host, if any can, and what is left of the other."""

from __future__ import annotations

import glob
import os
from contextlib import AbstractContextManager
from typing import Protocol

from ansible_collections.hpc.ports.plugins.module_utils._backends.change import Change
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import backend as backend_nftables
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import kernel
from ansible_collections.hpc.ports.plugins.module_utils._linux import nft, systemd
from ansible_collections.hpc.ports.plugins.module_utils._linux.errors import HostError
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import Places
from ansible_collections.hpc.ports.plugins.module_utils._linux.systemd import is_active
from ansible_collections.hpc.ports.plugins.module_utils._model.names import PREFIX, SETTINGS
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State

_FIREWALLD = "firewalld.service"


def chosen_backend(asked: str) -> str:
    """Return the backend that carries the rules here. Raises HostError, RuntimeError unless this process can use it."""
    check_user()
    runs = systemd.is_active(_FIREWALLD)
    if asked == "firewalld" and not runs:
        raise HostError(
            f"firewall_backend is 'firewalld', and firewalld does not run on this host ({_how_it_is()}). Nothing was "
            "changed. Install it if need be, and start it: systemctl enable --now firewalld",
            [],
        )
    if asked == "nftables" and runs:
        raise HostError(
            "firewall_backend is 'nftables', and firewalld runs on this host: both at once would each drop "
            "what the other allows. Nothing was changed. Stop and mask firewalld (systemctl mask --now "
            "firewalld), or set firewall_backend: auto.",
            [],
        )
    if runs:
        return "firewalld"
    _check_no_firewalld_to_come()
    _check_nftables()
    return "nftables"


def check_user() -> None:
    """Raise HostError unless this process may change the firewall."""
    if os.geteuid() != 0:
        raise HostError(f"Invalid user: got uid {os.geteuid()}, expected root. Set become: true.", [])


def _check_no_firewalld_to_come() -> None:
    """Raise HostError where firewalld would come beside our rules with the next boot, as where it has failed."""
    if systemd.is_enabled(_FIREWALLD):
        raise HostError(
            f"firewalld is enabled on this host, but does not run ({_how_it_is()}). Nothing was changed. Mend and "
            "start it (journalctl -u firewalld), or mask it for the nftables backend: systemctl mask "
            "firewalld",
            [],
        )


def _how_it_is() -> str:
    return f"its state is {systemd.state(_FIREWALLD)!r}" if systemd.has_systemd() else "there is no systemd"


def _check_nftables() -> None:
    if not nft.is_installed():
        raise HostError("Missing program nft: install the package nftables.", ["nftables"])
    kernel.check_version()


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


def leaving(name: str) -> Change | None:
    """Return the change that removes what the other backend has of ours, if it has anything."""
    if name == "nftables" and not _may_be_in_firewalld():
        return None
    change = backend("nftables" if name == "firewalld" else "firewalld").absent_change()
    return change if change.is_needed else None


def _may_be_in_firewalld() -> bool:
    left = glob.glob(f"/etc/firewalld/*/{PREFIX}*") or glob.glob(SETTINGS + "/undo")
    return bool(left) or is_active(_FIREWALLD)
