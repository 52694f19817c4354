# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ends of connections by name: hosts of the inventory, and endpoints with networks."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.membership import addresses_of

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan

HOST, ENDPOINT, ADDRESS = "host", "endpoint", "address"
# An endpoint with a wider network says little about an address.
_WIDEST = {4: 8, 6: 16}
_BITS = {4: 32, 6: 128}


class End(NamedTuple):
    """One side of a connection: a host, an endpoint that has its address in a network, or an address without a name."""

    kind: str
    name: str


class Peer(NamedTuple):
    """The end that an address belongs to, and the address as a number."""

    end: End
    version: int
    number: int


class Ends(dict[str, Peer]):
    """The end of each address, by the names of a plan. Another text than an address raises ValueError."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def __missing__(self, address: str) -> Peer:
        """Find the end of an address that is asked for the first time."""
        parsed = ip_address(address)
        if "%" in address:  # an IPv6 address with an interface, which no network has
            raise ValueError(address)
        end = self._end(str(parsed), parsed.version, int(parsed))
        self[address] = Peer(end, parsed.version, int(parsed))
        return self[address]

    def _end(self, address: str, version: int, number: int) -> End:
        host = self.hosts.get(address)
        if host is not None:
            return End(HOST, host)
        for length, networks in self._networks[version]:
            name = networks.get(number >> (_BITS[version] - length))
            if name is not None:
                return End(ENDPOINT, name)
        return End(ADDRESS, address)

    @cached_property
    def hosts(self) -> dict[str, str]:
        """The host of each address of the inventory; managed hosts come first."""
        inventory = self._plan.inventory
        found: dict[str, str] = {}
        for host in sorted(inventory.hosts, key=lambda name: (name not in inventory.managed, name)):
            for source in (False, True):
                for network in addresses_of(self._plan.addresses, host, source):
                    found.setdefault(str(network.ip), host)
        return found

    @cached_property
    def _networks(self) -> dict[int, list[tuple[int, dict[int, str]]]]:
        """The endpoint of each network by the first bits of its addresses, by family; the longest prefixes first."""
        found: dict[int, dict[int, dict[int, str]]] = {4: defaultdict(dict), 6: defaultdict(dict)}
        for name in sorted(self._plan.catalogue.endpoints):
            for network in self._plan.addresses.networks(name):
                length = network.prefixlen
                if length >= _WIDEST[network.version]:
                    found[network.version][length].setdefault(network.first >> (_BITS[network.version] - length), name)
        return {version: sorted(by_length.items(), reverse=True) for version, by_length in found.items()}


def is_impossible(source: str) -> bool:
    """Return whether no host sends from an address: its packets are forged, and no flow accepts them."""
    address = ip_address(source)
    is_mapped = address.version == 6 and address.ipv4_mapped is not None
    is_nobody = address.version == 6 and address.is_unspecified  # 0.0.0.0 asks for an address by DHCP
    is_reserved = address.version == 4 and address.is_reserved
    return address.is_multicast or address.is_loopback or is_mapped or is_nobody or is_reserved
