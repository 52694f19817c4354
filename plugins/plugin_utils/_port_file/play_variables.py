# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of the playbooks that begin with the name of their playbook, such as `matrix_by` of matrix.yml."""

from __future__ import annotations

from collections.abc import Mapping

# By playbook, without its name. A test compares them with the playbooks.
PLAYBOOKS: Mapping[str, tuple[str, ...]] = {
    "audit": ("draft",),
    "cloud": ("file", "hosts", "prefix", "references"),
    "difference": ("fail", "files"),
    "import": ("draft", "files", "interfaces", "to"),
    "init": ("controllers", "folder", "groups", "hosts", "slurm_conf"),
    "lint": ("fail_on",),
    "matrix": ("by", "expected", "files"),
    "observed": ("draft", "files"),
    "render": ("backends", "firewalld_version", "folder", "nft"),
}


def play_variables(playbook: str) -> dict[str, str]:
    """Return the variables of a playbook by their names without its name. Most of these are options of its module."""
    return {name: f"{playbook}_{name}" for name in PLAYBOOKS[playbook]}
