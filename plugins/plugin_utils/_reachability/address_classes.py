# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of address: of one family and isolated network, and in the same networks of all policies.

No rule tells addresses of one kind apart, and the same hosts have a way to them.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from netaddr import IPNetwork


class Kind(NamedTuple):
    """All that rules see of an address: `networks` are the keys, in the policies, of those that it is in.

    `isolated` is the network of firewall_isolated_networks that it is in, or empty.
    """

    version: int
    link_local: bool  # by the rules for DHCP
    networks: frozenset[str]
    isolated: str = ""


class AddressKinds(NamedTuple):
    """The number of the kind of each address, and the kinds by their numbers."""

    numbers: dict[IPNetwork, int]
    kinds: list[Kind]


def address_kinds(
    policies: Iterable[Mapping[str, Any]], addresses: Iterable[IPNetwork], isolated: Sequence[IPNetwork] = ()
) -> AddressKinds:
    """Return the kinds of addresses, prefixes of one address each; they are numbered in the order of the addresses."""
    items = sorted(set(addresses))
    inside = _inside(policies, [(item.version, item.first) for item in items])
    known: dict[Kind, int] = {}
    numbers = {
        item: known.setdefault(
            Kind(item.version, item.ip.is_link_local(), frozenset(keys), isolated_network(item, isolated)), len(known)
        )
        for item, keys in zip(items, inside)
    }
    return AddressKinds(numbers, list(known))


def isolated_network(address: IPNetwork, isolated: Sequence[IPNetwork]) -> str:
    """Return the smallest isolated network that an address is in, as text, or nothing."""
    found = [network for network in isolated if address in network]
    return str(max(found, key=lambda network: network.prefixlen)) if found else ""


def _inside(policies: Iterable[Mapping[str, Any]], ordered: list[tuple[int, int]]) -> list[list[str]]:
    """Return the keys of the networks that each address is in."""
    result: list[list[str]] = [[] for item in ordered]
    by_key = {key: texts for policy in policies for key, texts in policy["networks"].items()}
    for key, texts in by_key.items():
        for network in map(ipaddress.ip_network, texts):
            first = bisect_left(ordered, (network.version, int(network.network_address)))
            after = bisect_right(ordered, (network.version, int(network.broadcast_address)))
            for index in range(first, after):
                result[index].append(key)
    return result
