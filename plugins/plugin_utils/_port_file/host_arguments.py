# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts as people name them: the ends of a connection, lists, and which hosts a play is for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from ansible.inventory.manager import split_host_pattern
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import invalid, nearest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.validators import texts_of

# With one of these it is a pattern for other hosts, at the beginning of a name, or anywhere in it.
_FIRST, _ANYWHERE = "!&~@", "*?["


def check_pattern(key: str, host: str) -> None:
    """Raise PortFileError, which names the key, for a host that Ansible does not find by its name in `hosts` of a play."""
    if split_host_pattern([host]) != [host] or host[0] in _FIRST or any(letter in host for letter in _ANYWHERE):
        raise invalid(
            key,
            host,
            "a host that Ansible finds by its name, which no name with a space, a comma, a colon or a wildcard is",
            "Rename it in the inventory, with its address in ansible_host.",
        )


def host_of(key: str, name: str, groups: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    """Return the host that a name means, and what is to be said of that. Raises PortFileError, which names the key."""
    if isinstance(name, str) and name in groups.get("all", ()):
        return name, ""
    if not isinstance(name, str) or not groups.get(name):
        known = [*groups.get("all", ()), *(group for group, hosts in groups.items() if hosts)]
        raise invalid(key, name, "a host of the inventory, or a group with hosts", nearest(name, known))
    first, more = groups[name][0], len(groups[name]) - 1
    said = f"{name} is a group: {first} is its first host" if more else f"{name} is a group: {first} is its only host"
    return first, f"{said}, and {more} more are not looked at." if more else f"{said}."


def hosts_of(key: str, value: Any, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the hosts that a list, or a text with commas, names. Raises PortFileError, which names the key."""
    names = (
        [name.strip() for name in value.split(",")]
        if isinstance(value, str)
        else texts_of(key, value, "hosts", may_be_empty=True)
    )
    for name in filter(None, names):
        if name not in groups.get("all", ()):
            raise invalid(
                key,
                name,
                "a host of the inventory",
                (
                    f"{nearest(name, groups.get('all', ()))} A host is added to the inventory first, in the groups of its "
                    "kind, and taken out of it last."
                ).strip(),
            )
    return list(dict.fromkeys(filter(None, names)))


__all__ = ["host_pattern"]

# Matches, so that no Ansible setting complains of it, and selects no host.
NOBODY = ("all", "!all")


def host_pattern(
    groups: Mapping[str, Collection[str]], kinds: Sequence[str] = (), among: Collection[str] | None = None
) -> list[str]:
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
