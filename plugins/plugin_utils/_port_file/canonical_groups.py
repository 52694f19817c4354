# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The canonical inventory groups: every host in one of them is managed (docs/ARCHITECTURE.md, section 7)."""

from __future__ import annotations

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import closest

CANONICAL_GROUPS = (
    "control_plane",
    "platform_storage",
    "platform_database",
    "slurm_controller",
    "slurm_database",
    "slurm_login",
    "slurm_compute",
    "pbs_server",
    "pbs_comm",
    "pbs_login",
    "pbs_execution",
    "nfs_server",
    "nfs_client",
    "workspace",
    "workbench",
    "web_portal",
    "monitoring",
    "managed",
)
# From this similarity on (0 to 1), a whole name, or each word of it, is taken for a misspelt name of ours.
_SAME_NAME, _SAME_WORD = 0.88, 0.75


def similar_group(name: str) -> str:
    """Return the canonical group that a name nearly equals: `slurm_compute` for `slurm-computes`. Empty for none."""
    plain = name.lower().replace("-", "_")
    by_letters = {group.replace("_", ""): group for group in CANONICAL_GROUPS}
    if plain.replace("_", "") in by_letters:
        return by_letters[plain.replace("_", "")]
    group = closest(plain, CANONICAL_GROUPS, _SAME_NAME)
    words, others = plain.split("_"), group.split("_")
    # `dns_server` and `unmanaged` resemble `nfs_server` and `managed`, but mean something else.
    is_same = len(words) == len(others) and all(
        word[:1] == other[0] and closest(word, [other], _SAME_WORD) for word, other in zip(words, others) if other
    )
    return group if is_same else ""
