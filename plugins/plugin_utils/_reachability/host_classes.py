# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Classes of hosts that no rule distinguishes: a test of one member proves the rules of all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.inventory import Inventory
    from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import Connections


class HostClass(NamedTuple):
    """Hosts with one policy, in the same endpoints and clusters, with addresses of the same kinds.

    Classes of one `role` differ only in their clusters and networks. A class of unmanaged hosts has no `policy`.
    """

    name: str
    members: tuple[str, ...]
    policy: str
    role: tuple[Any, ...]
    clusters: frozenset[str]


def classes_of(connections: Connections) -> list[HostClass]:
    """Return the classes of the hosts, in the order of their first members."""
    members_by_key = defaultdict(list)
    for host in connections.hosts:
        members_by_key[_class_key(connections, host)].append(host)
    plan = connections.plan
    names = _unique_names(class_name(plan.inventory, members) for members in members_by_key.values())
    return [
        HostClass(
            name,
            tuple(members),
            plan.hosts.get(members[0], ""),
            _role(connections, members[0]),
            common_clusters(plan.inventory, members),
        )
        for name, members in zip(names, members_by_key.values())
    ]


def _class_key(connections: Connections, host: str) -> tuple[Any, ...]:
    """Return a key that is equal for hosts of one class. A host that no flow names has no `kind` in the plan."""
    plan = connections.plan
    return (
        plan.kinds.get(host),
        plan.hosts.get(host),
        *(
            frozenset(address.kind for address in addresses[host])
            for addresses in (connections.comes_from, connections.reached)
        ),
    )


def _role(connections: Connections, host: str) -> tuple[Any, ...]:
    """Return a key that is equal for hosts of one role. The networks of unmanaged hosts distinguish their roles."""
    plan, values = connections.plan, connections.plan.inventory.hosts[host]
    endpoints = plan.kinds[host].endpoints if host in plan.kinds else frozenset()
    if host not in plan.hosts:
        return (endpoints, frozenset(address.kind for address in connections.comes_from[host]))
    return (endpoints, values.egress, values.mode, values.trusted_interfaces)


def class_name(inventory: Inventory, members: Sequence[str]) -> str:
    """Return the groups and clusters that all members share, such as `slurm_compute alpha`, and unusual settings."""
    clusters = common_clusters(inventory, members) - {"default"}
    common = common_roles(inventory, members)
    others = [
        group
        for group in sorted(inventory.groups)
        if group not in ("all", "ungrouped") and _are_in(inventory, group, members)
    ]
    if members[0] not in inventory.managed:
        return " ".join(["outsider", *others])
    host = inventory.hosts[members[0]]
    unusual = [word for word in (host.egress, host.mode) if word in ("restricted", "observe")]
    return " ".join(filter(None, ["+".join(common) or "managed", "+".join(sorted(clusters)), *unusual]))


def common_roles(inventory: Inventory, members: Iterable[str]) -> list[str]:
    """Return the canonical groups that all members are in."""
    return [group for group in CANONICAL_GROUPS if _are_in(inventory, group, members)]


def common_clusters(inventory: Inventory, members: Iterable[str]) -> frozenset[str]:
    """Return the clusters that all members are in."""
    return frozenset.intersection(*(inventory.hosts[host].clusters for host in members))


def _are_in(inventory: Inventory, group: str, members: Iterable[str]) -> bool:
    return set(members) <= set(inventory.groups.get(group, ()))


def _unique_names(names: Iterable[str]) -> list[str]:
    """Return the names, with a number added to repeated ones."""
    unique_names: dict[str, None] = {}
    for name in names:
        number, free = 1, name
        while free in unique_names:
            number += 1
            free = f"{name} {number}"
        unique_names[free] = None
    return list(unique_names)
