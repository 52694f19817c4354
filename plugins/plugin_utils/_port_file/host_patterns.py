# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts a play is for, whichever of the canonical groups an inventory has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS

__all__ = ["host_pattern"]

# Matches, so that no Ansible setting complains of it, and selects no host.
NOBODY = ("all", "!all")


def host_pattern(groups: Mapping[str, Collection[str]], kinds: Sequence[str] = (),
                 among: Collection[str] | None = None) -> list[str]:
    """Return the canonical groups of an inventory that match one of `kinds` (all without), as a pattern for hosts.

    With `among` they are those of these hosts that are in one of the groups.

    Where the inventory has none of them the pattern selects no host. Raises ValueError for a kind that is no canonical
    group, and where all kinds were asked for and no host of the inventory is in a canonical group.
    """
    for kind in kinds:
        if not any(fnmatchcase(group, kind) for group in CANONICAL_GROUPS):
            raise ValueError(f"got {kind!r}, expected one of the canonical groups: {', '.join(CANONICAL_GROUPS)}")
    wanted = [group for group in CANONICAL_GROUPS if not kinds or any(fnmatchcase(group, kind) for kind in kinds)]
    found = [group for group in wanted if groups.get(group)]
    if not found and not kinds and groups.get("all"):
        raise ValueError(
            "got an inventory without managed hosts, expected hosts in at least one of the canonical groups: "
            f"{', '.join(CANONICAL_GROUPS)}"
        )
    if among is not None:
        members = {host for group in found for host in groups[group]}
        found = [host for host in among if host in members]
    return found or list(NOBODY)
