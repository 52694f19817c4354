# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connections that this host forwards from and to its containers, and which of them a policy denies.

Connections to published ports are left out: they are judged as connections to this host.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux.conntrack import TCP, UDP, ConntrackEntry, ConntrackTuple
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.routes import (
    Addresses,
    forwarding_interface,
    unicast_interface,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import ForwardedPacket, evaluate_forwarded
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, is_named

_PROTOCOLS = {TCP: "tcp", UDP: "udp"}


class ForwardedConnection(NamedTuple):
    """A connection that this host forwards; its first packet came in and went out on these interfaces."""

    entry: ConntrackEntry
    from_interface: str
    to_interface: str

    @property
    def key(self) -> ConntrackTuple:
        """Return the tuple of the first packet, before NAT."""
        return self.entry.there

    def __str__(self) -> str:
        """Return both ends before NAT, the one that opened the connection first."""
        return str(self.entry.there)

    def openings(self) -> tuple[ForwardedPacket, ...]:
        """Return the packets that may have opened the connection: two if it is not known which end did."""
        there = self.entry.there
        opening = _packet(there.protocol, there.target, there.target_port, self.from_interface, self.to_interface)
        if there.protocol != TCP or not self.entry.picked_up:
            return (opening,)
        return opening, _packet(TCP, there.source, there.source_port, self.to_interface, self.from_interface)


def _packet(protocol: int, peer: str, port: int, from_interface: str, to_interface: str) -> ForwardedPacket:
    name = _PROTOCOLS.get(protocol, "ip")
    return ForwardedPacket(name, peer, protocol if name == "ip" else port, from_interface, to_interface)


class Routing(NamedTuple):
    """The interface to an address, and the one to a target for packets that come in from a source. Raise NetlinkError.

    The first one is empty for an address that belongs to no single host.
    """

    towards: Callable[[str], str] = unicast_interface
    onward: Callable[[str, str, str], str] = forwarding_interface


def is_forwarded(addresses: Addresses, entry: ConntrackEntry) -> bool:
    """Return whether the host forwards the connection, and its target is the one that the peer used."""
    there, back = entry.there, entry.back
    is_translated = (there.target, there.target_port) != (back.source, back.source_port)
    return not is_translated and not addresses.is_local(there.source) and not addresses.is_local(there.target)


def forwarded_connections(
    policy: Policy, addresses: Addresses, entries: Iterable[ConntrackEntry], routing: Routing = Routing()
) -> list[ForwardedConnection]:
    """Return the connections from and to filtered containers. Those whose interfaces are unknown are left out."""
    if not policy.filtered_containers:
        return []
    towards, onward = (lru_cache(maxsize=None)(_or_unknown(function)) for function in routing)
    found = []
    for entry in entries:
        there = entry.there
        if entry.is_over or not is_forwarded(addresses, entry) or not _has_one_target(there):
            continue
        names = [towards(there.source), towards(there.target)]
        if all(names) and any(is_named(name, policy.filtered_containers) for name in names):
            to_interface = onward(there.target, there.source, names[0])
            if to_interface:
                found.append(ForwardedConnection(entry, names[0], to_interface))
    return found


def _or_unknown(function: Callable[..., str]) -> Callable[..., str]:
    def asked(*arguments: str) -> str:
        try:
            return function(*arguments)
        except (NetlinkError, OSError):
            return ""

    return asked


def _has_one_target(there: ConntrackTuple) -> bool:
    """Return whether the ends have addresses that routers forward, and each belongs to a single host."""
    source, target = ipaddress.ip_address(there.source), ipaddress.ip_address(there.target)
    return not (target.is_multicast or target.is_link_local or source.is_link_local or source.is_unspecified)


def denied_of(policy: Policy, found: Iterable[ForwardedConnection]) -> list[ForwardedConnection]:
    """Return the connections that the policy does not allow to be opened. A related connection is not judged."""
    passes = lru_cache(maxsize=None)(lambda packet: evaluate_forwarded(policy, packet).passes)
    return [
        connection
        for connection in found
        if not connection.entry.is_related and not any(map(passes, connection.openings()))
    ]
