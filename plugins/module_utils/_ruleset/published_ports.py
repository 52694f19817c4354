# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Warn of ports that rules of other programs publish and no flow opens, and name who uses them now."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Callable

from ansible_collections.hpc.ports.plugins.module_utils._linux import conntrack
from ansible_collections.hpc.ports.plugins.module_utils._linux.conntrack import ConntrackEntry
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, covers_port
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import parse_ports
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.other_rules import OtherRules

# Returns the tracked connections, such as `conntrack.entries`. Raises NetlinkError and OSError.
Entries = Callable[[], Iterable[ConntrackEntry]]

_MOST_PORTS, _MOST_USERS, _MOST_CHAINS = 20, 5, 3
_PROTOCOLS = {conntrack.TCP: "tcp", conntrack.UDP: "udp"}
_UNOPENED = (
    "Rules of other programs publish ports that no flow opens: {0}. The policy {1} connections to them, except on "
    "trusted interfaces. If they are wanted, add a flow with the port that the peers use; if not, publish the port on "
    "127.0.0.1 or stop the service that publishes it. {2}"
)


def unopened_warnings(others: OtherRules, policy: Policy, entries: Entries = conntrack.entries) -> list[str]:
    """Return a warning if other programs publish ports that the policy opens to nobody."""
    ports = [port for port in others.published if not _is_opened(policy, port)]
    if not ports:
        return []
    users = _users(ports, entries)
    texts = [f"{port} (in use by {listed(users[port], _MOST_USERS)})" if port in users else port for port in ports]
    # Ports in use first, because somebody will miss them.
    texts.sort(key=lambda text: " " not in text)
    return [
        _UNOPENED.format(
            listed(texts, _MOST_PORTS),
            "drops" if policy.mode == "enforce" else "would drop",
            f"Rules: {listed(others.translating, _MOST_CHAINS, '; ')}.",
        )
    ]


def _is_opened(policy: Policy, port: str) -> bool:
    published = parse_ports(port)
    packet = Packet("in", published.protocol, "", published.first)
    return any(rule.direction == "in" and covers_port(rule, packet) for rule in policy.rules)


def _users(ports: Collection[str], entries: Entries) -> dict[str, list[str]]:
    """Return by port the peers whose connections to the port are translated now; none if they cannot be read."""
    users: dict[str, set[str]] = defaultdict(set)
    try:
        for entry in entries():
            there, back = entry.there, entry.back
            port = f"{there.target_port}/{_PROTOCOLS.get(there.protocol, '')}"
            is_translated = (there.target, there.target_port) != (back.source, back.source_port)
            if port in ports and is_translated and not entry.is_over and not _is_loopback(there.source):
                users[port].add(there.source)
    except (NetlinkError, OSError):
        return {}
    return {port: sorted(peers) for port, peers in users.items()}


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def listed(names: Sequence[str], most: int, comma: str = ", ") -> str:
    """Return the names as a list in words, with the number of those left out."""
    shown = [*names[:most], *([f"and {len(names) - most} more"] if len(names) > most else [])]
    return comma.join(shown)
