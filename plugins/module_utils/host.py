# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is this host one that we can protect? Rights, programs and what else runs there, and how failures are worded."""

from __future__ import annotations

import os
from typing import List

from ansible_collections.hpc.ports.plugins.module_utils import boot, nftables
from ansible_collections.hpc.ports.plugins.module_utils.command import CommandError, run

_KEPT = "Nothing was changed: the ruleset that ran before still runs."


class HostError(RuntimeError):
    """The host lacks something; `missing_packages` are those that would help."""

    def __init__(self, text: str, missing_packages: List[str]) -> None:
        super().__init__(text)
        self.missing_packages = missing_packages


def check_host(backend: str, present: bool) -> None:
    """Raise HostError or RuntimeError unless this process can apply nftables rules here."""
    if os.geteuid() != 0:
        raise HostError("Invalid user: got uid {0}, expected root. Set become: true.".format(os.geteuid()), [])
    if not present:
        return
    _check_backend(backend)
    if not nftables.is_installed():
        raise HostError("Missing program nft: install the package nftables.", ["nftables"])
    nftables.check_version()


def _check_backend(backend: str) -> None:
    if backend == "firewalld" or firewalld_runs():
        what = "backend: firewalld was asked for" if backend == "firewalld" else "firewalld runs on this host"
        raise HostError("{0}, and the firewalld backend is still to come. Nothing was changed. To use nftables, stop "
                        "and mask firewalld.".format(what[0].upper() + what[1:]), [])


def firewalld_runs() -> bool:
    """Tell whether systemd has firewalld running."""
    if not boot.has_systemd():
        return False
    try:
        run(["systemctl", "is-active", "--quiet", "firewalld.service"])
    except CommandError:
        return False
    return True


def worded(error: Exception) -> str:
    """Return the text of a failure on the host, with what it means for the rules that run."""
    if isinstance(error, OSError) and error.filename:
        return "Cannot write {0}: {1}. {2}".format(error.filename, error.strerror, _KEPT)
    if isinstance(error, (OSError, CommandError)):
        return "{0}. {1}".format(error, _KEPT)
    return str(error)
