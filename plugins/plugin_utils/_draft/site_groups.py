# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Map the groups of an inventory to the canonical groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import (
    CANONICAL_GROUPS,
    similar_group,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import invalid, nearest

# Groups of the inventory by canonical group.
Children = Mapping[str, Sequence[str]]
# Every inventory has these groups.
_EVERYWHERE = ("all", "ungrouped")
# What inventories of clusters call these groups, in the singular and without underscores, with or without "slurm". The
# words after the stroke only with it: they are of Kubernetes and others as often.
_USUAL = {
    "slurm_controller": "control controller ctld head headnode hpccontroller | backup master server",
    "slurm_database": "dbd dbdserver | db",
    "slurm_login": "login loginnode logingroup submit submitter",
    "slurm_compute": "compute computenode computegroup hpccomputenode node exechost | d worker",
    "nfs_server": "nfs",
    "monitoring": "monitor prometheus grafana | metric",
}
_BY_NAME = {group.replace("_", ""): group for group in CANONICAL_GROUPS} | {
    prefix + word: group
    for group, words in _USUAL.items()
    for prefix in ("", "slurm")
    for word in (words.replace("|", "") if prefix else words.partition("|")[0]).split()
}


def own_groups(groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the groups with hosts that the inventory itself has."""
    return [name for name, hosts in groups.items() if hosts and name not in _EVERYWHERE]


def proposed(groups: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return a map by the names of the groups. A canonical group that the inventory has needs no other."""
    found: dict[str, list[str]] = {}
    for name in own_groups(groups):
        group = name if name in CANONICAL_GROUPS else _meant(name)
        if group:
            found.setdefault(group, []).append(name)
    return {group: [group] if group in found[group] else found[group] for group in CANONICAL_GROUPS if group in found}


def _meant(name: str) -> str:
    plain = name.lower().replace("-", "").replace("_", "")
    return similar_group(name) or _BY_NAME.get(plain) or _BY_NAME.get(plain.removesuffix("s"), "")


def checked(children: Mapping[str, object], groups: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return a map that a user wrote. Raises PortFileError."""
    found = {}
    for group, value in children.items():
        check_canonical("init_groups", group)
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, Sequence):
            raise invalid(f"init_groups.{group}", value, "a list of groups of the inventory")
        for name in names:
            if not isinstance(name, str) or name not in groups:
                advice = nearest(name, own_groups(groups)) or "Name the inventory with -i."
                raise invalid(f"init_groups.{group}", name, "a group of the inventory", advice)
            if name == "all":
                advice = f"Name its groups: {', '.join(own_groups(groups))}." if own_groups(groups) else ""
                raise invalid(f"init_groups.{group}", name, "a group that can be part of another one", advice)
        found[group] = list(map(str, names))
    return found


def check_canonical(key: str, group: object) -> None:
    """Raise PortFileError for a name that is not a canonical group."""
    if group not in CANONICAL_GROUPS:
        near = _meant(str(group))
        raise invalid(
            key,
            group,
            "a group of hpc.ports",
            f"Did you mean {near!r}?" if near else f"They are {', '.join(CANONICAL_GROUPS)}.",
        )


def unmapped(children: Children, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the groups that have hosts without a canonical group."""
    mapped = {host for names in children.values() for name in names for host in groups[name]}
    mapped.update(host for group in CANONICAL_GROUPS for host in groups.get(group, ()))
    return [name for name in own_groups(groups) if not mapped.issuperset(groups[name])]
