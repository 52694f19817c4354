# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Warn of connections from and to containers that exist now, and that a new policy does not allow to be opened."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux import conntrack
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.routes import Addresses, local_addresses
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, is_named
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.forwarded_connections import (
    ForwardedConnection,
    Routing,
    denied_of,
    forwarded_connections,
)
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.published_ports import Entries, listed

_MOST_GROUPS, _MOST_PEERS, _MOST_INTERFACES = 20, 5, 20
_LEAVING = (
    "Containers of this host have connections to other hosts that no flow allows: {0}. {1} If they are wanted, add a "
    "flow from this host to these peers, or take the interface out of firewall_filtered_containers of this host."
)
_ENTERING = (
    "Other hosts have connections that are routed straight to containers of this host, past published ports: {0}. {1} "
    "If they are wanted, publish the port on this host and add a flow, or take the interface out of "
    "firewall_filtered_containers of this host; [] filters no forwarded packets."
)
_GO_ON = "They continue until they end, but cannot be opened again."
_ARE_CUT = "They are cut when the change is confirmed, and cannot be opened again."
_ARE_COUNTED = "In observe mode they are only counted; with firewall_mode enforce they could not be opened again."
_FILTERED = (
    "Packets that this host forwards from and to {0} were not filtered before; firewall_filtered_containers has these "
    "interfaces."
)


class KernelViews(NamedTuple):
    """What is read of the kernel: the tracked connections, addresses, routes, and the names of interfaces."""

    entries: Entries = conntrack.entries
    addresses: Callable[[], Addresses] = local_addresses
    routing: Routing = Routing()
    interfaces: Callable[[], Iterable[tuple[int, str]]] = socket.if_nameindex


def filtered_interfaces(policy: Policy, kernel: KernelViews = KernelViews()) -> list[str]:
    """Return the interfaces of this host from and to which forwarded packets are filtered, sorted."""
    return sorted(name for _index, name in kernel.interfaces() if is_named(name, policy.filtered_containers))


def container_warnings(
    policy: Policy, is_new: bool, is_check: bool, cuts: bool = False, kernel: KernelViews = KernelViews()
) -> list[str]:
    """Return at most one warning about connections of containers, and one about connections to them.

    `is_new`: this host has filtered no forwarded packets so far. Then the first warning names the interfaces; in check
    mode there is one also without such connections. `cuts`: denied connections are cut.
    """
    names = filtered_interfaces(policy, kernel)
    if not names:
        return []
    fate = _ARE_COUNTED if policy.mode == "observe" else _ARE_CUT if cuts else _GO_ON
    denied = _denied(policy, kernel)
    kinds = (
        (_LEAVING, [item for item in denied if _leaves(policy, item)], "{0} to {1} of {2}"),
        (_ENTERING, [item for item in denied if not _leaves(policy, item)], "{0} at {1} from {2}"),
    )
    texts = [
        text.format(listed(_groups(policy, found, form), _MOST_GROUPS, "; "), fate)
        for text, found, form in kinds
        if found
    ]
    if is_new and (texts or is_check):
        texts[:1] = [" ".join([*texts[:1], _FILTERED.format(listed(names, _MOST_INTERFACES))])]
    return texts


def _denied(policy: Policy, kernel: KernelViews) -> list[ForwardedConnection]:
    """Return the connections that could not be opened again; none if they cannot be read."""
    try:
        addresses = kernel.addresses().with_networks(policy.addresses)
        found = forwarded_connections(policy, addresses, kernel.entries(), kernel.routing)
    except (NetlinkError, OSError):
        return []
    return denied_of(policy._replace(mode="enforce"), found)


def _leaves(policy: Policy, connection: ForwardedConnection) -> bool:
    return is_named(connection.from_interface, policy.filtered_containers)


def _groups(policy: Policy, found: Sequence[ForwardedConnection], form: str) -> list[str]:
    """Return a text for each interface of containers and port, the ones with most connections first."""
    peers: dict[tuple[str, str], list[str]] = defaultdict(list)
    for connection in found:
        there, opening = connection.entry.there, connection.openings()[0]
        leaves = _leaves(policy, connection)
        name, peer = (connection.from_interface, there.target) if leaves else (connection.to_interface, there.source)
        peers[name, f"{opening.port}/{opening.protocol}"].append(peer)
    return [
        form.format(name, port, listed(sorted(set(ends)), _MOST_PEERS)) + _count(len(ends))
        for (name, port), ends in sorted(peers.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def _count(number: int) -> str:
    return f" ({number} connections)" if number > 1 else " (1 connection)"
