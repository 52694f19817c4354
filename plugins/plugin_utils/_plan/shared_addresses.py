# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that are reached at one address: an error unless each of them says that the address is shared.

Rules know hosts by their addresses, so what one of them is let in to is open to the other, and a wrong address would go
unnoticed. Of hosts that are not managed only those count that have the address of a managed one, as an address: their names
are not looked up for this. Where connections come from (`firewall_source_addresses`) may be shared at will: NAT does that.
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
    """Raise PortFileError for two hosts that have one address and do not both say so."""
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
            f"Host {owner.name} has {address} by its {owner.addressed_by}, too, and rules know hosts by their addresses. Set "
            "firewall_addresses of each to where other hosts reach it, or, where they mean to share it, name it in "
            "firewall_shared_addresses of both."
        ),
    )
