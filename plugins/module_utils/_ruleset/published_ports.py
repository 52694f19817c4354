# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Warn of ports that rules of other programs publish and no flow opens, and name who uses them now."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Callable

from ansible_collections.hpc.ports.plugins.module_utils._linux import conntrack
from ansible_collections.hpc.ports.plugins.module_utils._linux.conntrack import ConntrackEntry
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import (
    PortRange,
    common_ports,
    parse_policy_ports,
    without,
)
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.other_rules import OtherRules

# Returns the tracked connections, such as `conntrack.entries`. Raises NetlinkError and OSError.
Entries = Callable[[], Iterable[ConntrackEntry]]

_MOST_PORTS, _MOST_USERS, _MOST_CHAINS = 20, 5, 3
_MOST_ENDS = 1000
_PROTOCOLS = {conntrack.TCP: "tcp", conntrack.UDP: "udp"}
_UNOPENED = (
    "Rules of other programs publish ports that no flow opens: {0}. The policy {1} connections to them, except on "
    "trusted interfaces. If they are wanted, add a flow with the port that the peers use; if not, publish the port on "
    "127.0.0.1 or stop the service that publishes it. {2}"
)


_STRANGERS = (
    "Peers that no flow allows use published ports of this host: {0}. They cannot connect again, "
    "except on trusted interfaces. If they are wanted, add them to a flow with the port."
)


def published_warnings(others: OtherRules, policy: Policy, entries: Entries = conntrack.entries) -> list[str]:
    """Return a warning of published ports that the policy opens to nobody, and one of peers that it does not allow."""
    users = _users(list(map(parse_policy_ports, others.published)), entries)
    unopened = _unopened(others.published, policy)
    closed = {port: peers for port, peers in users.items() if common_ports([port], unopened)}
    strangers = {
        port: denied
        for port, peers in users.items()
        for denied in [[peer for peer in peers if not _is_allowed(policy, port, peer)]]
        if denied and port not in closed
    }
    return [
        *(_unopened_warning(others, policy, unopened, closed) if unopened else []),
        *([_STRANGERS.format(listed(_in_use(strangers), _MOST_PORTS))] if strangers else []),
    ]


def _is_allowed(policy: Policy, port: PortRange, peer: str) -> bool:
    """Return whether a flow allows the peer to use the port. The interface is not known, so none is trusted."""
    packet = Packet("in", port.protocol, peer, port.first, interface="")
    return evaluate(policy._replace(mode="enforce"), packet).passes


def _in_use(users: Mapping[PortRange, Sequence[str]]) -> list[str]:
    return [f"{port} (in use by {listed(users[port], _MOST_USERS)})" for port in sorted(users)]


def _unopened_warning(
    others: OtherRules, policy: Policy, ports: Sequence[PortRange], users: Mapping[PortRange, Sequence[str]]
) -> list[str]:
    # Ports in use first, because somebody will miss them.
    texts = [*_in_use(users), *map(str, without(ports, users))]
    return [
        _UNOPENED.format(
            listed(texts, _MOST_PORTS),
            "drops" if policy.mode == "enforce" else "would drop",
            f"Rules: {listed(others.translating, _MOST_CHAINS, '; ')}.",
        )
    ]


def _unopened(published: Iterable[str], policy: Policy) -> list[PortRange]:
    """Return the published ports that the policy opens to nobody, as the fewest ranges."""
    opened = [ports for rule in policy.rules if rule.direction == "in" for ports in rule.ports]
    return without(map(parse_policy_ports, published), opened)


def _users(ports: Collection[PortRange], entries: Entries) -> dict[PortRange, list[str]]:
    """Return by port the peers whose connections to the port are translated now; none if they cannot be read."""
    users: dict[PortRange, set[str]] = defaultdict(set)
    # Of very many connections, most are to a few ports.
    is_wanted = lru_cache(maxsize=None)(lambda port: any(some.covers(port.protocol, port.first) for some in ports))
    try:
        for entry in entries():
            there, back = entry.there, entry.back
            port = PortRange(_PROTOCOLS.get(there.protocol, ""), there.target_port, there.target_port)
            is_translated = (there.target, there.target_port) != (back.source, back.source_port)
            if is_translated and not entry.is_over and not _is_loopback(there.source) and is_wanted(port):
                users[port].add(there.source)
    except (NetlinkError, OSError):
        return {}
    return {port: sorted(peers) for port, peers in users.items()}


def ends_of(published: Iterable[str]) -> list[str]:
    """Return the published ports; of a range, the first and the last."""
    ranges = map(parse_policy_ports, published)
    ends = dict.fromkeys(f"{port}/{ports.protocol}" for ports in ranges for port in (ports.first, ports.last))
    return list(ends)[:_MOST_ENDS]


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def listed(names: Sequence[str], most: int, comma: str = ", ") -> str:
    """Return the names as a list in words, with the number of those left out."""
    shown = [*names[:most], *([f"and {len(names) - most} more"] if len(names) > most else [])]
    return comma.join(shown)
