# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host is in an endpoint, by its groups or its addresses, and which `except` takes it out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import parse_network

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.address_book import AddressBook
    from netaddr import IPNetwork


class Exclusion(NamedTuple):
    """A network in `except` of an endpoint, and the address of a host that it takes out."""

    endpoint: str
    network: IPNetwork
    address: IPNetwork

    @property
    def is_wider(self) -> bool:
        """Return whether the network has other addresses, too."""
        return bool(self.network != self.address)


def addresses_of(book: AddressBook, host: str, source: bool) -> list[IPNetwork]:
    """Return the addresses of a host; none for an unmanaged host that does not resolve."""
    try:
        return book.host_networks([host], source)
    except PortFileError:
        return []


def is_in(book: AddressBook, host: str, endpoint: str, source: bool) -> bool:
    """Return whether a host, or one of its addresses, is in an endpoint. A network has no targets that are managed."""
    is_closed = not source and host in book.inventory.managed
    return host in book.members(endpoint) or not is_closed and is_in_network(book, host, endpoint, source)


def is_in_network(book: AddressBook, host: str, endpoint: str, source: bool) -> bool:
    """Return whether one of the addresses of a host is in a network of an endpoint."""
    networks = book.networks(endpoint)
    return any(address in network for address in addresses_of(book, host, source) for network in networks)


def exclusions_of(book: AddressBook, host: str, endpoints: Iterable[str], source: bool) -> list[Exclusion]:
    """Return what takes a host out of endpoints that it would be in without their `except`."""
    return [
        exclusion
        for endpoint in endpoints
        if book.endpoints[endpoint].excepted and not is_in(book, host, endpoint, source)
        for exclusion in _exclusions(book, host, endpoint, source)
    ]


def _exclusions(book: AddressBook, host: str, endpoint: str, source: bool) -> list[Exclusion]:
    written = replace(book.endpoints[endpoint], excepted=())
    without = replace(book, endpoints={**book.endpoints, endpoint: written})
    if not is_in(without, host, endpoint, source):
        return []
    # An address of any direction takes a host out of a group, but only its own address out of a network.
    directions = (source, not source) if host in without.members(endpoint) else (source,)
    addresses = dict.fromkeys(address for side in directions for address in addresses_of(book, host, side))
    return excepting(book, endpoint, addresses)


def excepting(book: AddressBook, endpoint: str, addresses: Iterable[IPNetwork]) -> list[Exclusion]:
    """Return the networks in `except` of an endpoint that contain one of these addresses."""
    return [
        Exclusion(endpoint, network, address)
        for address in addresses
        for network in book.endpoints[endpoint].excepted
        if address in network
    ]


def exclusions_text(exclusions: Iterable[Exclusion]) -> str:
    """Return what takes which address out, such as `its address 10.0.0.1 is taken out by except 10.0.0.0/8 of e`."""
    return ", and ".join(
        f"its address {item.address.ip} is taken out by except {item.network} of {item.endpoint}" for item in exclusions
    )


def remedies(exclusions: Iterable[Exclusion]) -> list[str]:
    """Return for each endpoint how to change its `except`, so that it contains the addresses."""
    by_endpoint: dict[str, list[Exclusion]] = {}
    for item in exclusions:
        by_endpoint.setdefault(item.endpoint, []).append(item)
    return [_remedy(endpoint, items) for endpoint, items in by_endpoint.items()]


def _remedy(endpoint: str, exclusions: list[Exclusion]) -> str:
    networks = list(dict.fromkeys(str(item.network) for item in exclusions))
    wider = [item for item in exclusions if item.is_wider]
    wide = ", ".join(dict.fromkeys(str(item.network) for item in wider))
    addresses = ", ".join(dict.fromkeys(str(item.address.ip) for item in wider))
    narrower = "it" if len(networks) == 1 else wide
    contains = "they do" if "," in wide else "it does"
    return f"Remove {', '.join(networks)} from firewall_endpoints.{endpoint}.except" + (
        f", or narrow {narrower} so that {contains} not contain {addresses}." if wide else "."
    )


def lacking(book: AddressBook, endpoints: Iterable[str], host: str, address: str) -> list[str]:
    """Return how to bring another source address of a host into the endpoints that have one of its addresses."""
    sources, wanted = addresses_of(book, host, source=True), parse_network(address)
    having = [name for name in endpoints if any(own in network for own in sources for network in book.networks(name))]
    return [
        advice
        for name in having
        for advice in remedies(excepting(book, name, [wanted])) or [adding(f"firewall_endpoints.{name}", host, wanted)]
    ]


def adding(key: str, host: str, address: IPNetwork) -> str:
    """Return the advice to add an address of a host to the networks of an endpoint or a cluster."""
    return f"Add {address.ip} of {host}, or its IPv{address.version} network, to {key}.cidrs."
