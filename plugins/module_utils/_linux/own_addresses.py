# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses under which other hosts may see this one, and the networks of its containers (rtnetlink).

Addresses that no other host sees are left out: loopback, link-local, temporary, tentative and deprecated addresses, and
addresses on interfaces that lead only to containers and guests of this host. Such an interface is recognized by its
kind (a tunnel of pods, a bridge that has only ports of containers and guests) or by the usual names of container
programs.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Iterator
from typing import Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux import netlink
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Network, is_named

_ROUTE = 0
_GET_LINK, _GET_ADDRESS = 18, 22
_LINK_HEAD = struct.Struct("=BBHiII")  # ifinfomsg: family, …, type, index, flags, change
_INDEX_AT, _LINK_FLAGS_AT, _UP = 4, 8, 1
_NAME, _PEER, _MASTER, _INFO, _KIND, _PEER_NAMESPACE = 3, 5, 10, 18, 1, 37
_ADDRESS_HEAD = struct.Struct("=BBBBI")  # ifaddrmsg: family, length of the prefix, flags, scope, index
_LENGTH_AT, _SCOPE_AT, _ADDRESS_INDEX_AT, _EVERYWHERE = 1, 3, 4, 0
_ADDRESS, _LOCAL, _FLAGS = 1, 2, 8
_TEMPORARY, _UNUSABLE = 0x01, 0x08 | 0x20 | 0x40  # with IPv4, the first flag marks an ordinary second address
_PODS = ("vxlan", "geneve", "ipip")
_GUESTS = ("veth", "tun")
# The names that container programs give to interfaces of the host.
USUAL_NAMES = (
    "veth*",
    "docker*",
    "br-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]*",
    "podman*",
    "cni*",
    "virbr*",
    "lxcbr*",
    "lxdbr*",
    "incusbr*",
    "flannel*",
    "cali*",
    "tunl*",
    "vxlan*",
    "cilium*",
    "lxc*",
    "weave*",
    "kube-*",
    "nodelocaldns",
    "ovn-k8s-*",
    "antrea-*",
)
# A function that sends a request to the kernel, such as `netlink.ask`.
Ask = Callable[[int, int, int, bytes], Iterator[bytes]]


class OwnAddress(NamedTuple):
    """An address and its interface."""

    address: str
    interface: str


class Link(NamedTuple):
    """An interface; `master` is the index of its bridge, or 0.

    `peer` is the index of the other end of a pair (veth), and `peer_namespace` the number of its network namespace, -1
    for ours.
    """

    name: str
    kind: str
    master: int
    is_up: bool
    peer: int
    peer_namespace: int


def own_addresses(trusted: Iterable[str] = (), request: Ask = netlink.ask) -> list[OwnAddress]:
    """Return the addresses, without those on trusted interfaces, which are patterns. Raises NetlinkError."""
    left_out = (*USUAL_NAMES, *trusted)
    links = dict(links_here(request))
    shown = {
        index: link.name
        for index, link in links.items()
        if link.is_up and not _leads_inside(index, links) and not is_named(link.name, left_out)
    }
    own = {OwnAddress(address, shown[index]) for index, address in _addresses(request) if index in shown}
    return sorted(own, key=lambda own_address: (own_address.interface, own_address.address))


def container_networks(patterns: Iterable[str], request: Ask = netlink.ask) -> tuple[Network, ...]:
    """Return the networks on interfaces that match the patterns and lead only to containers and guests.

    Raises NetlinkError.
    """
    names = tuple(patterns)
    links = dict(links_here(request)) if names else {}
    inside = {index for index, link in links.items() if is_named(link.name, names) and not _leads_outside(index, links)}
    networks = {
        ipaddress.ip_network("{}/{}".format(address, netlink.number("=B", body, _LENGTH_AT)), strict=False)
        for body, address in (_known(request) if inside else ())
        if netlink.number("=I", body, _ADDRESS_INDEX_AT) in inside
    }
    return tuple(sorted(networks, key=lambda network: (network.version, network)))


def shared_interfaces(patterns: Iterable[str], request: Ask = netlink.ask) -> list[str]:
    """Return the interfaces that match the patterns and lead to other hosts, such as a bridge with a network card."""
    names = tuple(patterns)
    links = dict(links_here(request)) if names else {}
    return sorted(
        link.name for index, link in links.items() if is_named(link.name, names) and _leads_outside(index, links)
    )


def other_bridges(patterns: Iterable[str], request: Ask = netlink.ask) -> list[str]:
    """Return the bridges with ports of containers or guests alone whose names match none of the patterns.

    Raises NetlinkError.
    """
    names, links = tuple(patterns), dict(links_here(request))
    masters = {link.master for link in links.values()}
    return sorted(
        link.name
        for index, link in links.items()
        if link.kind == "bridge" and index in masters and _leads_inside(index, links) and not is_named(link.name, names)
    )


def _leads_outside(index: int, links: dict[int, Link]) -> bool:
    return links[index].kind not in _GUESTS and not _leads_inside(index, links)


def _leads_inside(index: int, links: dict[int, Link]) -> bool:
    """Return whether only containers and guests of this host are behind an interface."""
    if links[index].kind != "bridge":
        return links[index].kind in _PODS
    return all(link.kind in _GUESTS for link in links.values() if link.master == index)


def links_here(request: Ask = netlink.ask) -> Iterator[tuple[int, Link]]:
    """Yield the index of each interface, and the interface. Raises NetlinkError."""
    for body in request(_ROUTE, _GET_LINK, netlink.ALL, bytes(_LINK_HEAD.size)):
        content = netlink.attributes(body[_LINK_HEAD.size :])
        kind = netlink.attributes(content.get(_INFO, b"")).get(_KIND, b"")
        yield (
            netlink.number("=i", body, _INDEX_AT),
            Link(
                _text(netlink.part(content, _NAME)),
                _text(kind),
                netlink.number("=I", content.get(_MASTER, bytes(4))),
                bool(netlink.number("=I", body, _LINK_FLAGS_AT) & _UP),
                netlink.number("=I", content.get(_PEER, bytes(4))),
                netlink.number("=i", content.get(_PEER_NAMESPACE, b"\xff" * 4)),
            ),
        )


def _addresses(request: Ask) -> Iterator[tuple[int, str]]:
    for body, address in _known(request):
        if _is_usable(body):
            yield netlink.number("=I", body, _ADDRESS_INDEX_AT), address


def _known(request: Ask) -> Iterator[tuple[bytes, str]]:
    """Yield the answer of the kernel for each address that is neither loopback nor link-local, and the address."""
    for body in request(_ROUTE, _GET_ADDRESS, netlink.ALL, bytes(_ADDRESS_HEAD.size)):
        content = netlink.attributes(body[_ADDRESS_HEAD.size :])
        raw = content.get(_LOCAL) or content.get(_ADDRESS)
        if raw and netlink.number("=B", body) in netlink.FAMILIES.values():
            address = ipaddress.ip_address(netlink.address_text(raw))
            if not address.is_loopback and not address.is_link_local:
                yield body, str(address)


def _is_usable(body: bytes) -> bool:
    content = netlink.attributes(body[_ADDRESS_HEAD.size :])
    flags = netlink.number("=I", content[_FLAGS]) if _FLAGS in content else netlink.number("=B", body, 2)
    unwanted = _UNUSABLE | (_TEMPORARY if netlink.number("=B", body) == netlink.FAMILIES[6] else 0)
    return not flags & unwanted and netlink.number("=B", body, _SCOPE_AT) == _EVERYWHERE


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode("utf-8", "replace")
