# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts in the variables of playbooks: the two ends of a connection, lists of hosts, and the hosts of a play."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from ansible.inventory.manager import split_host_pattern
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import (
    CANONICAL_GROUPS,
    similar_group,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import invalid, listed, nearest, shown_value
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.validators import texts_of

# What to do with an inventory that has groups of its own.
_MAPPED = ". The playbook hpc.ports.init writes a file that puts the hosts of other groups into these."
# Ansible reads a name as a pattern if it starts with one of the first characters or contains one of the others.
_FIRST, _ANYWHERE = "!&~@", "*?["


def check_pattern(key: str, host: str) -> None:
    """Raise PortFileError for a host whose name Ansible reads as a pattern in `hosts` of a play."""
    if split_host_pattern([host]) != [host] or host[0] in _FIRST or any(letter in host for letter in _ANYWHERE):
        raise invalid(
            key,
            host,
            "a host name that Ansible does not read as a pattern (no space, comma, colon or wildcard)",
            "Rename the host in the inventory, and put its address into ansible_host.",
        )


def host_of(key: str, name: str, groups: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    """Return the host for the name of a host or a group, with a note for a group, else empty. Raises PortFileError."""
    if isinstance(name, str) and name in groups.get("all", ()):
        return name, ""
    if not isinstance(name, str) or not groups.get(name):
        known = [*groups.get("all", ()), *(group for group, hosts in groups.items() if hosts)]
        raise invalid(key, name, "an inventory host, or a group with hosts", nearest(name, known))
    first, count = groups[name][0], len(groups[name])
    if count == 1:
        return first, f"{name} is a group. Its only host is {first}."
    return first, f"{name} is a group of {count} hosts. Only its first host, {first}, is examined."


def hosts_of(key: str, value: Any, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the hosts of a list or of a comma-separated string, each once. Raises PortFileError."""
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
                "an inventory host",
                (
                    f"{nearest(name, groups.get('all', ()))} Add a new host to the inventory and its groups first. "
                    "Remove an old host from the inventory last."
                ).strip(),
            )
    return list(dict.fromkeys(filter(None, names)))


__all__ = ["host_pattern"]

# A pattern that selects no host. It matches hosts first, so no Ansible setting reports an unmatched pattern.
NOBODY = ("all", "!all")


def host_pattern(
    groups: Mapping[str, Collection[str]], kinds: Sequence[str] = (), among: Collection[str] | None = None
) -> list[str]:
    """Return a pattern for `hosts` of a play: the canonical groups that have hosts and match one of `kinds`.

    Without `kinds`, all canonical groups match. With `among`, the pattern lists the members of these groups that are in
    `among`. If no group or host is left, the pattern selects no host.

    Raises ValueError for a kind that matches no canonical group, and, without `kinds`, for an inventory that has hosts
    but none in a canonical group.
    """
    for kind in kinds:
        if not any(fnmatchcase(group, kind) for group in CANONICAL_GROUPS):
            raise ValueError(f"got {kind!r}, expected one of the canonical groups: {', '.join(CANONICAL_GROUPS)}")
    wanted = [group for group in CANONICAL_GROUPS if not kinds or any(fnmatchcase(group, kind) for kind in kinds)]
    pattern = [group for group in wanted if groups.get(group)]
    if not pattern and not kinds and groups.get("all"):
        raise ValueError(
            "got an inventory without managed hosts, expected hosts in at least one of the canonical groups: "
            f"{', '.join(CANONICAL_GROUPS)}{_misspelt(groups) or _MAPPED}"
        )
    if among is not None:
        members = {host for group in pattern for host in groups[group]}
        pattern = [host for host in among if host in members]
    return pattern or list(NOBODY)


def _misspelt(groups: Mapping[str, Collection[str]]) -> str:
    """Return which groups with hosts look like misspelt canonical ones, or an empty text."""
    pairs = [
        f"{shown_value(meant)} instead of {shown_value(name)}"
        for name in sorted(groups)
        if groups[name] and (meant := similar_group(name))
    ]
    return f". Did you mean {listed(pairs)}?" if pairs else ""
