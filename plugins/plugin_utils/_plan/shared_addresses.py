# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reject two hosts with the same address, unless both list it as shared.

Rules distinguish hosts by their addresses. Two hosts with one address have the same access, and a wrong address would
go unnoticed. A host that is not managed is checked only against managed hosts, and only by its written addresses: its
names are not looked up. Hosts may share source addresses (`firewall_source_addresses`) freely, because of NAT.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, Vaulted, invalid
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import is_address, parse_address, single

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.address_book import AddressBook
    from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.inventory import Host
    from netaddr import IPNetwork


def check_shared(book: AddressBook) -> None:
    """Raise PortFileError for two hosts that have the same address, unless both list it as shared."""
    hosts, managed = book.inventory.hosts, book.inventory.managed
    owners: dict[IPNetwork, Host] = {}
    for name in sorted(hosts, key=lambda name: (name not in managed, name)):
        for text, network in _addresses(book, hosts[name], name in managed):
            owner = owners.setdefault(network, hosts[name]) if name in managed else owners.get(network, hosts[name])
            if owner is not hosts[name] and not (_shares(book, owner, network) and _shares(book, hosts[name], network)):
                raise _error(owner, hosts[name], text, network)


def _addresses(book: AddressBook, host: Host, is_managed: bool) -> Iterator[tuple[str, IPNetwork]]:
    for text in host.addresses:
        if is_managed:
            yield from ((text, network) for network in book.resolver.networks(host.address_key, text))
        elif is_address(text):
            yield text, single(parse_address(text))


def _shares(book: AddressBook, host: Host, network: IPNetwork) -> bool:
    key = f"firewall_shared_addresses of host {host.name}"
    return any(network in book.resolver.networks(key, text) for text in host.shared_addresses)


def _error(owner: Host, host: Host, text: str, network: IPNetwork) -> PortFileError:
    address = "it" if isinstance(text, Vaulted) else str(network.ip)
    return invalid(
        host.address_key,
        text,
        "an address that no other host has",
        (
            f"Host {owner.name} also has {address}, from its {owner.addressed_by}, and rules distinguish hosts by "
            "their addresses. Set firewall_addresses of each host to the address that other hosts use to reach it. If "
            "both hosts share the address on purpose, list it in firewall_shared_addresses of both."
        ),
    )
