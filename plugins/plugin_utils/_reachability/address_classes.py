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


class AddressKind(NamedTuple):
    """What rules distinguish about addresses: `networks` has the keys of the networks of the policies that contain it.

    `isolated` is the network of firewall_isolated_networks that contains it, or empty.
    """

    version: int
    link_local: bool  # the rules for DHCP distinguish it
    networks: frozenset[str]
    isolated: str = ""


class NumberedKinds(NamedTuple):
    """The number of the kind of each address, and the kinds by their numbers."""

    numbers: dict[IPNetwork, int]
    kinds: list[AddressKind]


def address_kinds(
    policies: Iterable[Mapping[str, Any]], addresses: Iterable[IPNetwork], isolated: Sequence[IPNetwork] = ()
) -> NumberedKinds:
    """Return the kinds of `addresses`, which are prefixes of one address each. The lowest address has kind 0."""
    networks = sorted(set(addresses))
    keys_of_networks = _keys_of_networks(policies, [(network.version, network.first) for network in networks])
    kind_numbers: dict[AddressKind, int] = {}
    numbers = {
        network: kind_numbers.setdefault(
            AddressKind(
                network.version, network.ip.is_link_local(), frozenset(keys), isolated_network(network, isolated)
            ),
            len(kind_numbers),
        )
        for network, keys in zip(networks, keys_of_networks)
    }
    return NumberedKinds(numbers, list(kind_numbers))


def isolated_network(address: IPNetwork, isolated: Sequence[IPNetwork]) -> str:
    """Return the smallest isolated network that contains an address, as text; empty if there is none."""
    containing = [network for network in isolated if address in network]
    return str(max(containing, key=lambda network: network.prefixlen)) if containing else ""


def _keys_of_networks(policies: Iterable[Mapping[str, Any]], ordered: list[tuple[int, int]]) -> list[list[str]]:
    """Return, for each address, the keys of the networks that contain it."""
    keys: list[list[str]] = [[] for place in ordered]
    by_key = {key: cidrs for policy in policies for key, cidrs in policy["networks"].items()}
    for key, cidrs in by_key.items():
        for network in map(ipaddress.ip_network, cidrs):
            first = bisect_left(ordered, (network.version, int(network.network_address)))
            after = bisect_right(ordered, (network.version, int(network.broadcast_address)))
            for index in range(first, after):
                keys[index].append(key)
    return keys
