# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures on a host that more than one module reports, and their texts."""

from __future__ import annotations

from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError

_KEPT = "Nothing was changed: the ruleset that ran before still runs."


class HostError(RuntimeError):
    """The host lacks a program or library; `missing_packages` has the packages to install."""

    def __init__(self, text: str, missing_packages: list[str]) -> None:
        super().__init__(text)
        self.missing_packages = missing_packages


def failure_text(error: Exception) -> str:
    """Return the text of a failure on the host, and what it means for the running rules."""
    if isinstance(error, OSError) and error.filename:
        return f"Cannot write {error.filename}: {error.strerror}. {_KEPT}"
    if isinstance(error, (OSError, CommandError)):
        return f"{error}. {_KEPT}"
    return str(error)
