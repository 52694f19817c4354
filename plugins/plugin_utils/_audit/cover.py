# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fewest groups of the inventory that cover hosts which were seen."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._audit.words import shortened
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan

# Groups that say nothing about a host.
_EVERYBODY = ("all", "ungrouped")


class Cover(NamedTuple):
    """Groups, and the hosts that are in none of them."""

    groups: tuple[str, ...]
    rest: tuple[str, ...]


class Groups:
    """The groups of an inventory that a port file can name."""

    def __init__(self, plan: Plan) -> None:
        endpoints = plan.catalogue.endpoints
        self._members = {
            name: frozenset(members)
            for name, members in plan.inventory.groups.items()
            if name not in _EVERYBODY and name in endpoints and endpoints[name].groups == (name,)
        }

    def cover(self, hosts: Collection[str], among: Collection[str] | None = None, share: float = 0.5) -> Cover:
        """Return groups of these hosts; of their members, only `among` count.

        Hosts of one group of this collection are alike: such a group needs this share of its members, another one all
        of them. Groups without other members come first, then the larger ones, then those of this collection.
        """
        members = self._members
        if among is not None:
            members = {name: own & frozenset(among) for name, own in members.items()}
        usable = {
            name: own
            for name, own in members.items()
            if own and len(own & set(hosts)) >= len(own) * (share if name in CANONICAL_GROUPS else 1)
        }
        rest = set(hosts)
        chosen: list[str] = []
        while True:
            best = min(
                (name for name in usable if usable[name] & rest),
                key=lambda name: (
                    not usable[name] <= set(hosts),
                    -len(usable[name] & rest),
                    len(usable[name]),
                    name not in CANONICAL_GROUPS,
                    name,
                ),
                default=None,
            )
            if best is None:
                return Cover(tuple(sorted(chosen)), tuple(sorted(rest)))
            chosen.append(best)
            rest -= usable[best]

    def text(self, hosts: Collection[str]) -> str:
        """Return hosts as a text: a group that is exactly these hosts, or the first few names."""
        alike = [name for name, members in self._members.items() if len(hosts) > 1 and members == set(hosts)]
        if not alike:
            return shortened(sorted(hosts))
        return f"{min(alike, key=lambda name: (name not in CANONICAL_GROUPS, name))} ({len(hosts)} hosts)"
