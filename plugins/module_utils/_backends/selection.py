# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backend carries the rules of this host, if any can, and how failures are worded."""

from __future__ import annotations

import os

from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import kernel
from ansible_collections.hpc.ports.plugins.module_utils._linux import nft, systemd
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError
from ansible_collections.hpc.ports.plugins.module_utils._linux.errors import HostError

_FIREWALLD = "firewalld.service"
_KEPT = "Nothing was changed: the ruleset that ran before still runs."


def chosen_backend(asked: str) -> str:
    """Return the backend that carries the rules here. Raises HostError, RuntimeError unless this process can use it."""
    check_user()
    runs = systemd.is_active(_FIREWALLD)
    if asked == "firewalld" and not runs:
        raise HostError("firewall_backend is 'firewalld', and firewalld does not run on this host ({0}). Nothing was "
                        "changed. Install it if need be, and start it: systemctl enable --now firewalld".format(
                            _how_it_is()), [])
    if asked == "nftables" and runs:
        raise HostError("firewall_backend is 'nftables', and firewalld runs on this host: both at once would each drop "
                        "what the other allows. Nothing was changed. Stop and mask firewalld (systemctl mask --now "
                        "firewalld), or set firewall_backend: auto.", [])
    if runs:
        return "firewalld"
    _check_no_firewalld_to_come()
    _check_nftables()
    return "nftables"


def check_user() -> None:
    """Raise HostError unless this process may change the firewall."""
    if os.geteuid() != 0:
        raise HostError("Invalid user: got uid {0}, expected root. Set become: true.".format(os.geteuid()), [])


def _check_no_firewalld_to_come() -> None:
    """Raise HostError where firewalld would come beside our rules with the next boot, as where it has failed."""
    if systemd.is_enabled(_FIREWALLD):
        raise HostError("firewalld is enabled on this host, but does not run ({0}). Nothing was changed. Mend and "
                        "start it (journalctl -u firewalld), or mask it for the nftables backend: systemctl mask "
                        "firewalld".format(_how_it_is()), [])


def _how_it_is() -> str:
    return "its state is {0!r}".format(systemd.state(_FIREWALLD)) if systemd.has_systemd() else "there is no systemd"


def _check_nftables() -> None:
    if not nft.is_installed():
        raise HostError("Missing program nft: install the package nftables.", ["nftables"])
    kernel.check_version()


def worded(error: Exception) -> str:
    """Return the text of a failure on the host, with what it means for the rules that run."""
    if isinstance(error, OSError) and error.filename:
        return "Cannot write {0}: {1}. {2}".format(error.filename, error.strerror, _KEPT)
    if isinstance(error, (OSError, CommandError)):
        return "{0}. {1}".format(error, _KEPT)
    return str(error)
