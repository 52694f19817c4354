# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ends of a connection as people name them: a host, or a group for its first host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.hpc.ports.plugins.plugin_utils.errors import invalid, nearest


def host_of(key: str, name: str, groups: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    """Return the host that a name means, and what is to be said of that. Raises PortFileError, which names the key."""
    if name in groups.get("all", ()):
        return name, ""
    if not groups.get(name):
        known = [*groups.get("all", ()), *(group for group, hosts in groups.items() if hosts)]
        raise invalid(key, name, "a host of the inventory, or a group with hosts", nearest(name, known))
    first, more = groups[name][0], len(groups[name]) - 1
    said = f"{name} is a group: {first} is its first host" if more else f"{name} is a group: {first} is its only host"
    return first, f"{said}, and {more} more are not looked at." if more else f"{said}."
