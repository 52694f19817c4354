# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names for addresses and hosts: the hosts and groups of the inventory."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.membership import addresses_of

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan

_SHOWN = 5
# Groups that say nothing about a host.
_EVERYBODY = ("all", "ungrouped")


class Names:
    """The names that the inventory of a plan has for addresses and hosts."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    @cached_property
    def _hosts(self) -> dict[str, str]:
        """The host of each address; managed hosts come first."""
        inventory = self._plan.inventory
        found: dict[str, str] = {}
        for host in sorted(inventory.hosts, key=lambda name: (name not in inventory.managed, name)):
            for source in (False, True):
                for network in addresses_of(self._plan.addresses, host, source):
                    found.setdefault(str(network.ip), host)
        return found

    def hosts(self, addresses: Iterable[str]) -> tuple[list[str], list[str]]:
        """Return the hosts that have these addresses, and the addresses of no host, both sorted."""
        all_addresses = list(addresses)
        known = {self._hosts[address] for address in all_addresses if address in self._hosts}
        return sorted(known), sorted(address for address in all_addresses if address not in self._hosts)

    def group(self, hosts: Collection[str]) -> str:
        """Return the smallest group that has all of these hosts, a group of this collection if two are alike."""
        groups = {
            name: members
            for name, members in self._plan.inventory.groups.items()
            if name not in _EVERYBODY and hosts and set(hosts) <= set(members)
        }
        return min(groups, key=lambda name: (len(groups[name]), name not in CANONICAL_GROUPS, name), default="")

    def text(self, hosts: Collection[str]) -> str:
        """Return hosts as a text: a group that is exactly these hosts, or the first few names."""
        group = self.group(hosts)
        if len(hosts) > 1 and group and len(self._plan.inventory.groups[group]) == len(hosts):
            return f"{group} ({len(hosts)} hosts)"
        return shortened(sorted(hosts))


def shortened(names: Collection[str]) -> str:
    """Return the first few names, and how many more there are."""
    first = list(names)[:_SHOWN]
    more = len(names) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")
