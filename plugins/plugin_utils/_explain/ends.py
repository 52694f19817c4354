# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two ends of a connection as people name them; the error for an address names the host that has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ansible_collections.hpc.ports.plugins.plugin_utils._plan.store import Store
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.host_arguments import host_of
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import is_address, parse_address
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.membership import addresses_of

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.address_book import AddressBook


def end_of(key: str, name: str, groups: Mapping[str, Sequence[str]], store: Store) -> tuple[str, str]:
    """Return the host for the name of a host or a group, with a note for a group, else empty. Raises PortFileError."""
    try:
        return host_of(key, name, groups)
    except PortFileError as exc:
        if not is_address(name):
            raise
        host = _host_at(store.plan().addresses, name)
        advice = f"{host} has this address: write -e {key}={host}." if host else ""
        raise PortFileError(f"{exc} {advice or 'No host of the inventory has this address.'}") from None


def _host_at(book: AddressBook, text: str) -> str:
    """Return the host with this address or source address, empty if there is none; managed hosts come first."""
    wanted = parse_address(text)
    strangers = sorted(set(book.inventory.hosts) - book.inventory.managed)
    return book.host_at(text) or next(
        (
            host
            for host in strangers
            for source in (False, True)
            if any(wanted in network for network in addresses_of(book, host, source))
        ),
        "",
    )
