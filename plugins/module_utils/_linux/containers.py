# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running containers of this host, found by their network namespaces.

No container program is asked: a container is a process in another network namespace, which a pair of virtual Ethernet
interfaces (veth) connects with an interface of this host, directly or by a bridge.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux import netlink
from ansible_collections.hpc.ports.plugins.module_utils._linux.namespaces import entered, other_namespaces
from ansible_collections.hpc.ports.plugins.module_utils._linux.own_addresses import links_here, own_addresses
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import is_named

_ROUTE, _GET_NAMESPACE_ID, _NAMESPACE_ID, _BY_DESCRIPTOR = 0, 90, 1, 3


class Container(NamedTuple):
    """A container: the file of its network namespace, the host's interface that leads to it, and its addresses."""

    namespace: str
    interface: str
    addresses: tuple[str, ...]


def containers(patterns: Iterable[str], proc: str = "/proc") -> Iterator[Container]:
    """Yield one container for each interface that matches the patterns: that of the process with the lowest id.

    Raises NetlinkError.
    """
    ends, done = _ends_inside(tuple(patterns)), set()
    for namespace in other_namespaces(proc) if ends else ():
        with suppress(OSError, netlink.NetlinkError):  # it may have ended
            for container in _containers_in(namespace, ends):
                if container.interface not in done:
                    done.add(container.interface)
                    yield container


def _ends_inside(patterns: Sequence[str]) -> dict[tuple[int, int], str]:
    """Return the interfaces that match, by the namespace and the index of the other end of their veth pairs."""
    links = dict(links_here())
    ends = {}
    for link in links.values():
        interface = links[link.master].name if link.master in links else link.name
        if link.kind == "veth" and link.peer_namespace >= 0 and is_named(interface, patterns):
            ends[link.peer_namespace, link.peer] = interface
    return ends


def _containers_in(namespace: str, ends: Mapping[tuple[int, int], str]) -> list[Container]:
    """Return the container in a namespace, once for each interface that leads to it. Raises OSError, NetlinkError."""
    identity = _id_of(namespace)
    outside = {index: interface for (known, index), interface in ends.items() if known == identity}
    if not outside:
        return []
    with entered(namespace):
        inside, addresses = dict(links_here()), own_addresses()
    found = [
        (interface, tuple(own.address for own in addresses if own.interface == inside[index].name))
        for index, interface in outside.items()
        if index in inside
    ]
    return [Container(namespace, interface, own) for interface, own in found if own]


def _id_of(namespace: str) -> int:
    """Return the number that a namespace has in this one, or -1. Raises OSError, NetlinkError."""
    with open(namespace, "rb") as file:
        request = bytes(4) + netlink.attribute(_BY_DESCRIPTOR, struct.pack("=I", file.fileno()))
        [answer] = netlink.ask(_ROUTE, _GET_NAMESPACE_ID, netlink.ONE, request)
    return netlink.number("=i", netlink.part(netlink.attributes(answer[4:]), _NAMESPACE_ID))
