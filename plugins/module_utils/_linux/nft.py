# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program nft: whether it is there, its version, and scripts for it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ansible_collections.hpc.ports.plugins.module_utils._linux.command import Run, find_program


def is_installed() -> bool:
    """Tell whether the host has nft."""
    return find_program("nft") is not None


def version(program: Run) -> tuple[int, ...]:
    """Return the version of nft, three numbers; (0,) where it does not tell."""
    match = re.search(r"v([0-9]+)\.([0-9]+)(?:\.([0-9]+))?", program(["nft", "--version"]))
    return tuple(int(part or 0) for part in match.groups()) if match else (0,)


def as_script(lines: Iterable[str]) -> str:
    """Return commands as a script, which nft loads in one transaction."""
    return "".join(line + "\n" for line in lines)
