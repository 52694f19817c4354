# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the backend of this host, and find leftovers of the other backend."""

from __future__ import annotations

import glob
import os
from typing import Protocol

from ansible_collections.hpc.ports.plugins.module_utils._backends.change import Change
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import backend as backend_nftables
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import kernel
from ansible_collections.hpc.ports.plugins.module_utils._linux import nft, systemd
from ansible_collections.hpc.ports.plugins.module_utils._linux.errors import HostError
from ansible_collections.hpc.ports.plugins.module_utils._linux.systemd import is_active
from ansible_collections.hpc.ports.plugins.module_utils._model.names import PREFIX, PUBLISHED_RULESET, SETTINGS
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy

_FIREWALLD = "firewalld.service"


def chosen_backend(option: str) -> str:
    """Return the backend for this host. Raise HostError or RuntimeError if this process cannot use it."""
    check_user()
    runs = systemd.is_active(_FIREWALLD)
    if option == "firewalld" and not runs:
        raise HostError(
            f"firewall_backend is 'firewalld', but firewalld does not run on this host ({_firewalld_state()}). Nothing "
            "was changed. Install firewalld if it is missing, and start it: systemctl enable --now firewalld",
            [],
        )
    if option == "nftables" and runs:
        raise HostError(
            "firewall_backend is 'nftables', but firewalld runs on this host: each of the two would drop "
            "connections that the other accepts. Nothing was changed. Stop and mask firewalld (systemctl mask --now "
            "firewalld), or set firewall_backend: auto.",
            [],
        )
    if not runs:
        _check_firewalld_not_enabled()
    # firewalld works without nft, but our table beside it needs nft.
    _check_nftables()
    return "firewalld" if runs else "nftables"


def check_user() -> None:
    """Raise HostError unless this process may change the firewall."""
    if os.geteuid() != 0:
        raise HostError(f"Invalid user: got uid {os.geteuid()}, expected root. Set become: true.", [])


def _check_firewalld_not_enabled() -> None:
    """Raise HostError if firewalld does not run now, but would start beside our rules at the next boot."""
    if systemd.is_enabled(_FIREWALLD):
        raise HostError(
            f"firewalld is enabled on this host, but does not run ({_firewalld_state()}). Nothing was changed. Fix and "
            "start firewalld (journalctl -u firewalld), or mask it to use the nftables backend: systemctl mask "
            "firewalld",
            [],
        )


def _firewalld_state() -> str:
    return f"its state is {systemd.state(_FIREWALLD)!r}" if systemd.has_systemd() else "there is no systemd"


def _check_nftables() -> None:
    if not nft.is_installed():
        raise HostError("Missing program nft: install the package nftables.", ["nftables"])
    kernel.check_version()


class Backend(Protocol):
    """The interface of a backend, with `RunningRules`. All may raise CommandError, OSError and RuntimeError."""

    def present_change(self, policy: Policy, closed: str) -> Change:
        """Return the change that gives the host this policy.

        `closed` is the nft script for a boot that cannot load the policy, or empty; with firewalld the watch loads it.
        """

    def absent_change(self) -> Change:
        """Return the change that removes everything of ours from the host."""

    def recover(self) -> None:
        """Restore the files if a crash interrupted an unconfirmed change."""


def backend(name: str) -> Backend:
    """Return the backend of this name. The code of the other is not imported: that would take time on each run."""
    if name == "firewalld":
        from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld import backend as backend_firewalld

        return backend_firewalld
    return backend_nftables


def leaving(name: str) -> Change | None:
    """Return the change that removes our rules from the other backend, or None without any."""
    if name == "nftables" and not _may_be_in_firewalld():
        return None
    change = backend("nftables" if name == "firewalld" else "firewalld").absent_change()
    return change if change.is_needed else None


def _may_be_in_firewalld() -> bool:
    files = (f"/etc/firewalld/*/{PREFIX}*", SETTINGS + "/undo", PUBLISHED_RULESET)
    return any(map(glob.glob, files)) or is_active(_FIREWALLD)
