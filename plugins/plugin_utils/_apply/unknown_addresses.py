# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses that a host has and the plan does not know: what other hosts do with them, in one warning a host.

A family in which the plan knows no address of the host is left out: most sites do not use the IPv6 that a router hands
out. So is what lies in a network of the host's own clusters, as flows within these let it in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import INTERFACE_NAME
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import parse_address, parse_network

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
    from netaddr import IPAddress

_MOST = 5
_WARNING = (
    "{host} has addresses that the plan does not know: {unknown}. Other hosts take what comes from there for a "
    "stranger's, and those with restricted egress send nothing there. The plan knows {known}. If other hosts see {host} "
    "under them, write all of its addresses into firewall_addresses of {host}, or into firewall_source_addresses where "
    "it only connects from them.{fabric} Where NAT hides them from all other hosts, nothing is closed."
)
_FABRIC = " On a fabric where everything may pass, write {0} into firewall_trusted_interfaces of each host on it."


class KnownAddresses(NamedTuple):
    """What the plan knows of each managed host, for `Store.part`: its addresses, and networks of its clusters."""

    parts: dict[str, dict[str, Any]]


def known_addresses(plan: Plan) -> KnownAddresses:
    """Return what a plan knows of the hosts that it manages."""
    book = plan.addresses
    return KnownAddresses(
        {
            host: {
                "addresses": list(
                    dict.fromkeys(
                        str(item.ip) for is_source in (False, True) for item in book.host_networks([host], is_source)
                    )
                ),
                "networks": [str(network) for network in book.outside((), plan.inventory.hosts[host].clusters)],
            }
            for host in plan.hosts
        }
    )


def unknown_warnings(host: str, said: object, known: Mapping[str, Any]) -> list[str]:
    """Return at most one warning about what a host says it has."""
    versions = {parse_address(text).version for text in known["addresses"]}
    networks = [parse_network(text) for text in known["networks"]]
    own = list(_readable(said))
    unknown = [
        (str(address), interface)
        for address, interface in own
        if address.version in versions
        and str(address) not in known["addresses"]
        and not any(address in network for network in networks)
    ]
    if not unknown:
        return []
    # One that has an address which the plan knows leads to the others by their rules.
    planned = {interface for address, interface in own if str(address) in known["addresses"]}
    fabrics = sorted({interface for address, interface in unknown} - planned)
    return [
        _WARNING.format(
            host=host,
            unknown=_listed([f"{address} on {interface}" for address, interface in unknown]),
            known=_listed(known["addresses"]),
            fabric=_FABRIC.format(_listed(fabrics)) if fabrics else "",
        )
    ]


def _readable(said: object) -> Iterable[tuple[IPAddress, str]]:
    """Yield what a host says, but what makes no sense: it is shown to people."""
    for item in said if isinstance(said, list) else ():
        address, interface = (item.get(key) for key in ("address", "interface")) if isinstance(item, dict) else ("", "")
        if isinstance(interface, str) and INTERFACE_NAME.fullmatch(interface):
            try:
                yield parse_address(address), interface
            except ValueError:
                continue


def _listed(names: list[str]) -> str:
    more = [f"and {len(names) - _MOST} more"] if len(names) > _MOST else []
    return ", ".join([*names[:_MOST], *more])
