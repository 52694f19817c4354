# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find out from which addresses this machine reaches hosts."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._plan.address_book import Resolver
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.lookups import Lookup, system_lookup
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError

# After so many seconds no more names are looked up.
_LONGEST = 10.0


class Found(NamedTuple):
    """The addresses of this machine, and the hosts without an address that others can reach."""

    own: list[str]
    failed: list[str]


def looked_up(hosts: Mapping[str, Iterable[str]], lookup: Lookup = system_lookup) -> Found:
    """Look up the addresses or names of each host. Sends no packet to a host."""
    resolver, own = Resolver(lookup), set[str]()
    failed: list[str] = []
    end = monotonic() + _LONGEST
    for host, names in hosts.items():
        try:
            networks = [network for name in names for network in resolver.networks(host, name)]
        except PortFileError:
            failed.append(host)
        else:
            own.update(filter(None, (_own(str(network.ip)) for network in networks)))
        if monotonic() > end:
            break
    return Found(sorted(own), failed)


def _own(address: str) -> str:
    """Return the address from which the routes of this machine lead to an address, empty without a route."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((address, 9))  # sends nothing
        return str(sock.getsockname()[0])
    return ""
