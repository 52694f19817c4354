# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The established connections of this host and of its containers with other hosts, and which a policy denies."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import lru_cache
from typing import Callable, NamedTuple, Union

from ansible_collections.hpc.ports.plugins.module_utils._linux.bound_ports import ANY
from ansible_collections.hpc.ports.plugins.module_utils._linux.conntrack import TCP, UDP, ConntrackEntry, ConntrackTuple
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.routes import Addresses, interface_towards
from ansible_collections.hpc.ports.plugins.module_utils._linux.sock_diag import Socket
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.forwarded_connections import (
    ForwardedConnection,
    Routing,
    denied_of,
    forwarded_connections,
)

_PROTOCOLS = {TCP: "tcp", UDP: "udp"}
_FIRST_PORT_OF_USERS = 1024


class LiveConnection(NamedTuple):
    """A connection of this host, with both ends as the firewall judges them.

    The target of an incoming connection is the one that the peer used, if it is an address of this host, whether NAT
    sends it to a container or to another port. It has two `directions` if it is not known which end opened it. `key`
    has both ends of the socket of this host, if one of its sockets has the connection.
    """

    protocol: int
    local: str
    local_port: int
    peer: str
    peer_port: int
    directions: tuple[str, ...]
    key: ConntrackTuple
    entry: ConntrackEntry | None = None

    def __str__(self) -> str:
        """Return both ends, the one that opened the connection first."""
        ends = [(self.local, self.local_port), (self.peer, self.peer_port)]
        first, second = ends if self.directions[0] == "out" else ends[::-1]
        return str(ConntrackTuple(self.protocol, *first, *second))

    def opening(self, direction: str, interface: str = "") -> Packet:
        """Return the packet that would open the connection in this direction."""
        name = _PROTOCOLS.get(self.protocol, "ip")
        ports = (self.local_port, self.peer_port) if direction == "in" else (self.peer_port, self.local_port)
        return Packet(direction, name, self.peer, self.protocol if name == "ip" else ports[0], ports[1], interface)


# A connection of this host, or one that it forwards.
AnyConnection = Union[LiveConnection, ForwardedConnection]


class HostConnections(NamedTuple):
    """The addresses, sockets and conntrack entries of this host; `problems` says which could not be read."""

    addresses: Addresses
    sockets: tuple[Socket, ...]
    entries: tuple[ConntrackEntry, ...]
    problems: tuple[str, ...] = ()


def connections(host: HostConnections) -> Iterator[LiveConnection]:
    """Yield the connections of this host with other hosts: the tracked ones, and TCP sockets that are not tracked.

    Connections that are forwarded without NAT, and connections within the host, are left out.
    """
    listening = {(sock.local, sock.local_port) for sock in host.sockets if sock.listens}
    tracked = set()
    for entry in host.entries:
        connection = connection_of(host.addresses, entry, listening)
        if connection:
            tracked.add(connection.key)
            if not entry.is_over:
                yield connection
    for sock in host.sockets:
        if sock.protocol == TCP and not sock.opens and key_of(sock) not in tracked and _is_remote(host.addresses, sock):
            yield LiveConnection(*key_of(sock), directions=_directions(listening, key_of(sock)), key=key_of(sock))


def connection_of(
    addresses: Addresses, entry: ConntrackEntry, listening: set[tuple[str, int]]
) -> LiveConnection | None:
    """Return the connection of an entry, or None if it is not between this host and another one.

    The chains of a host see the source before NAT. They see the target before NAT as well if it is of this host.
    """
    there, back = entry.there, entry.back
    to_own = addresses.is_local(there.target)
    is_in, is_out = to_own or addresses.is_local(back.source), addresses.is_local(there.source)
    if is_in == is_out:
        return None
    direction, key = ("in", back) if is_in else ("out", there)
    known = there.protocol != TCP or not entry.picked_up
    source = (there.source, there.source_port)
    target = (there.target, there.target_port) if to_own else (back.source, back.source_port)
    local, peer = (source, target) if is_out else (target, source)
    return LiveConnection(
        there.protocol,
        *local,
        *peer,
        entry=entry,
        key=key,
        directions=(direction,) if known else _directions(listening, key),
    )


def _directions(listening: set[tuple[str, int]], key: ConntrackTuple) -> tuple[str, ...]:
    """Return the directions in which a TCP connection may have been opened, the likely one first."""
    served = any((address, key.source_port) in listening for address in (key.source, *ANY.values()))
    return ("in",) if served else ("out", "in")


def key_of(sock: Socket) -> ConntrackTuple:
    """Return both ends of a socket, its own first."""
    return ConntrackTuple(sock.protocol, sock.local, sock.local_port, sock.peer, sock.peer_port)


def _is_remote(addresses: Addresses, sock: Socket) -> bool:
    return not sock.listens and addresses.is_local(sock.local) and not addresses.is_local(sock.peer)


# ---- the connections that the policy denies


def denied_connections(
    policy: Policy,
    host: HostConnections,
    towards: Callable[[str, str], str] = interface_towards,
    routing: Routing = Routing(),
) -> list[AnyConnection]:
    """Return the connections that the policy does not allow; a related connection is denied together with its master.

    `towards` returns the interface to a peer from an address of this host; `routing` is for what the host forwards.
    """
    denied, related = _denied_own(policy, host)
    if policy.trusted_interfaces or policy.container_interfaces:
        denied = [
            connection
            for connection in denied
            if not _may_pass_by_interface(policy, host.addresses, connection, towards)
        ]
    forwarded = forwarded_connections(policy, host.addresses, host.entries, routing)
    return _with_related(
        [*denied, *denied_of(policy, forwarded)],
        [*related, *(connection for connection in forwarded if connection.entry.is_related)],
    )


def _denied_own(policy: Policy, host: HostConnections) -> tuple[list[LiveConnection], list[LiveConnection]]:
    """Return the connections of this host that the policy does not allow on every interface, and the related ones."""
    # A busy host has a hundred thousand connections, and most of them equal another one.
    passes = lru_cache(maxsize=None)(lambda packet: evaluate(policy, packet).passes)
    related: list[LiveConnection] = []
    denied: list[LiveConnection] = []
    for connection in connections(host):
        if connection.entry and connection.entry.is_related:
            related.append(connection)
        elif not any(
            passes(_without_source_port(connection.opening(direction))) for direction in connection.directions
        ):
            denied.append(connection)
    return denied, related


def _without_source_port(packet: Packet) -> Packet:
    """Return the packet with the same source port for all unprivileged ports: only well-known ones matter (DHCP)."""
    return packet._replace(source_port=min(packet.source_port, _FIRST_PORT_OF_USERS))


def _with_related(denied: list[AnyConnection], related: list[AnyConnection]) -> list[AnyConnection]:
    while True:
        masters = {connection.entry.there for connection in denied if connection.entry}
        more = [connection for connection in related if connection.entry and connection.entry.master in masters]
        if not more:
            return denied
        denied = denied + more
        related = [connection for connection in related if connection not in more]


def _may_pass_by_interface(
    policy: Policy, addresses: Addresses, connection: LiveConnection, towards: Callable[[str, str], str]
) -> bool:
    """Return whether the connection uses, or may use, an interface over which it passes."""
    # An address on `lo` belongs to the whole host: connections to it came over other interfaces.
    names = addresses.interfaces.get(connection.local, set()) - {"lo"}
    if not ipaddress.ip_address(connection.peer).is_link_local:
        try:
            names = names | {towards(connection.peer, connection.local)}
        except NetlinkError:
            return True
    elif not ipaddress.ip_address(connection.local).is_link_local:
        return True
    direction = connection.directions[0]
    return any(evaluate(policy, connection.opening(direction, name)).passes for name in names)
