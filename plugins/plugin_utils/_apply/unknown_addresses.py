# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Warn about addresses that a host has and the plan does not know, in one warning per host.

An address family is skipped if the plan knows no address of the host in it: most sites do not use the IPv6 addresses
that routers assign. Addresses in networks of the host's own clusters are skipped too: flows in a cluster allow them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.names import INTERFACE_NAME
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import parse_address, parse_network

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
    from netaddr import IPAddress

_MOST = 5
_WARNING = (
    "{host} has addresses that the plan does not know: {unknown}. Other hosts treat connections from these addresses "
    "as unknown, and hosts with restricted egress cannot connect to them. The plan knows {known}. If other hosts see "
    "{host} under these addresses, add them all to firewall_addresses of {host}, or to firewall_source_addresses if "
    "it only connects from them.{fabric} If NAT hides them from all other hosts, nothing is blocked."
)
_FABRIC = " On a fabric where all traffic is allowed, add {0} to firewall_trusted_interfaces of each host on it."


class KnownAddresses(NamedTuple):
    """The addresses and cluster networks of each managed host, for `Store.part`."""

    parts: dict[str, dict[str, Any]]


def known_addresses(plan: Plan) -> KnownAddresses:
    """Return the addresses that a plan knows of its managed hosts."""
    book = plan.addresses
    return KnownAddresses(
        {
            host: {
                "addresses": list(
                    dict.fromkeys(
                        str(address.ip)
                        for is_source in (False, True)
                        for address in book.host_networks([host], is_source)
                    )
                ),
                "networks": [str(network) for network in book.outside((), plan.inventory.hosts[host].clusters)],
            }
            for host in plan.hosts
        }
    )


def unknown_warnings(host: str, reported: object, known: Mapping[str, Any]) -> list[str]:
    """Return at most one warning about `reported`, the addresses that the module found on the host.

    `known` is the part of the host in `KnownAddresses`.
    """
    versions = {parse_address(text).version for text in known["addresses"]}
    networks = [parse_network(text) for text in known["networks"]]
    own = list(_valid_addresses(reported))
    unknown = [
        (str(address), interface)
        for address, interface in own
        if address.version in versions
        and str(address) not in known["addresses"]
        and not any(address in network for network in networks)
    ]
    if not unknown:
        return []
    # An interface that also has a known address leads to the other hosts under their rules. It is not a fabric.
    planned = {interface for address, interface in own if str(address) in known["addresses"]}
    fabrics = sorted({interface for address, interface in unknown} - planned)
    return [
        _WARNING.format(
            host=host,
            unknown=_shortened([f"{address} on {interface}" for address, interface in unknown]),
            known=_shortened(known["addresses"]),
            fabric=_FABRIC.format(_shortened(fabrics)) if fabrics else "",
        )
    ]


def _valid_addresses(reported: object) -> Iterable[tuple[IPAddress, str]]:
    """Yield the valid entries. Messages show them, so the host is not trusted to send valid ones."""
    for entry in reported if isinstance(reported, list) else ():
        address, interface = (
            (entry.get(key) for key in ("address", "interface")) if isinstance(entry, dict) else ("", "")
        )
        if isinstance(interface, str) and INTERFACE_NAME.fullmatch(interface):
            try:
                yield parse_address(address), interface
            except ValueError:
                continue


def _shortened(names: list[str]) -> str:
    more = [f"and {len(names) - _MOST} more"] if len(names) > _MOST else []
    return ", ".join([*names[:_MOST], *more])
