# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The canonical inventory groups: every host in one of them is managed (docs/ARCHITECTURE.md, section 7)."""

from __future__ import annotations

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
