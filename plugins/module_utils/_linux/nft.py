# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program nft: whether it is installed, its version, and its scripts."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ansible_collections.hpc.ports.plugins.module_utils._linux.command import Run, find_program


def is_installed() -> bool:
    """Return whether the host has nft."""
    return find_program("nft") is not None


def version(program: Run) -> tuple[int, ...]:
    """Return the version of nft as three numbers; (0,) if it is not known."""
    match = re.search(r"v([0-9]+)\.([0-9]+)(?:\.([0-9]+))?", program(["nft", "--version"]))
    return tuple(int(part or 0) for part in match.groups()) if match else (0,)


def as_script(lines: Iterable[str]) -> str:
    """Return commands as one script, which nft loads in one transaction."""
    return "".join(line + "\n" for line in lines)
