# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The routes of this host: its own addresses, and the interface that leads to another address (rtnetlink)."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterable
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux import netlink
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Network

_ROUTE = 0
_GET_ROUTE, _GET_RULE = 26, 34
_HEAD = struct.Struct("=BBBBBBBBI")  # rtmsg: family, lengths of target and source, …, scope, type, flags
TYPE_AT, _UNICAST, _LOCAL = 7, 1, 2
_TARGET, _SOURCE, _INCOMING, INTERFACE, _MARK = 1, 2, 3, 4, 16
_RULE_MARKS = (10, 16)  # linux/fib_rules.h: the mark and its mask


class Addresses(NamedTuple):
    """The addresses of a host with their interfaces, and whole networks that are local to the host."""

    interfaces: dict[str, set[str]]
    networks: tuple[Network, ...]

    def is_local(self, address: str) -> bool:
        """Return whether this host receives packets to the address."""
        return address in self.interfaces or any(ipaddress.ip_address(address) in network for network in self.networks)

    def with_networks(self, networks: Iterable[Network]) -> Addresses:
        """Return the addresses with more networks that are local to the host."""
        return self._replace(networks=(*self.networks, *networks))


def local_addresses() -> Addresses:
    """Return the addresses of this host. Raises NetlinkError."""
    interfaces: dict[str, set[str]] = {}
    networks: list[Network] = []
    for body in netlink.ask(_ROUTE, _GET_ROUTE, netlink.ALL, _HEAD.pack(*[0] * 9)):
        family = netlink.number("=B", body)
        if family in netlink.FAMILIES.values() and netlink.number("=B", body, TYPE_AT) == _LOCAL:
            _add(body, interfaces, networks)
    return Addresses(interfaces, tuple(networks))


def _add(body: bytes, interfaces: dict[str, set[str]], networks: list[Network]) -> None:
    content = route_attributes(body)
    size = netlink.number("=B", body, 1)
    width = 32 if netlink.number("=B", body) == netlink.FAMILIES[4] else 128
    address = netlink.address_text(content.get(_TARGET, bytes(width // 8)))
    if size == width:
        interfaces.setdefault(address, set()).add(_interface(content))
    else:
        networks.append(ipaddress.ip_network(f"{address}/{size}"))


def interface_towards(peer: str, local: str) -> str:
    """Return the interface over which packets from the local address go to the peer. Raises NetlinkError."""
    return _interface(route_attributes(route(peer, local)))


def unicast_interface(address: str) -> str:
    """Return the interface over which packets go to an address; empty if it is not one of another host.

    Raises NetlinkError.
    """
    return _unicast_interface(route(address))


def forwarding_interface(target: str, source: str, incoming: str) -> str:
    """Return the interface over which this host forwards packets that come in on an interface; empty if it does not.

    Raises NetlinkError, OSError for an unknown interface.
    """
    return _unicast_interface(forwarding_route(target, source, incoming))


def _unicast_interface(answer: bytes) -> str:
    return _interface(route_attributes(answer)) if netlink.number("=B", answer, TYPE_AT) == _UNICAST else ""


def route(target: str, source: str = "", interface: str = "") -> bytes:
    """Return the kernel's answer about the route of a packet. Raises NetlinkError, OSError for an unknown interface."""
    return _asked_route(
        target,
        source,
        netlink.attribute(INTERFACE, struct.pack("=I", socket.if_nametoindex(interface))) if interface else b"",
    )


def _asked_route(target: str, source: str, conditions: bytes) -> bytes:
    addresses = [(_TARGET, netlink.address_bytes(target)), (_SOURCE, netlink.address_bytes(source) if source else b"")]
    family = netlink.FAMILIES[4 if len(addresses[0][1]) == 4 else 6]
    body = _HEAD.pack(family, *(8 * len(raw) for _kind, raw in addresses), 0, 0, 0, 0, 0, 0)
    body += b"".join(netlink.attribute(kind, raw) for kind, raw in addresses if raw)
    return b"".join(netlink.ask(_ROUTE, _GET_ROUTE, netlink.ONE, body + conditions))


def forwarding_route(target: str, source: str, incoming: str, mark: int = 0) -> bytes:
    """Return the kernel's answer about the route of a packet that comes in on an interface, with a mark.

    Raises NetlinkError, also if the packet would not be forwarded, and OSError for an unknown interface.
    """
    return _asked_route(
        target,
        source,
        netlink.attribute(_INCOMING, struct.pack("=I", socket.if_nametoindex(incoming)))
        + (netlink.attribute(_MARK, struct.pack("=I", mark)) if mark else b""),
    )


def depends_on_marks(version: int) -> bool:
    """Return whether the routes of this host depend on the marks of packets. Raises NetlinkError."""
    rules = netlink.ask(_ROUTE, _GET_RULE, netlink.ALL, _HEAD.pack(netlink.FAMILIES[version], *[0] * 8))
    return any(mark in route_attributes(rule) for rule in rules for mark in _RULE_MARKS)


def route_attributes(answer: bytes) -> dict[int, bytes]:
    """Return the attributes of a route. Raises NetlinkError."""
    return netlink.attributes(answer[_HEAD.size :])


def _interface(content: dict[int, bytes]) -> str:
    try:
        return socket.if_indextoname(netlink.number("=I", netlink.part(content, INTERFACE)))
    except OSError as exc:
        raise netlink.NetlinkError(f"A route leads over an interface that is gone: {exc}.", exc.errno or 0) from exc
