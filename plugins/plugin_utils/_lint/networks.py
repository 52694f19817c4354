# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks and ports of a flow, as the rules of lint compare them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, merged
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Flow
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import collapsed, parse_network

if TYPE_CHECKING:
    from netaddr import IPNetwork


# The shortest prefixes that are still a named network, and still known sources, by IP version.
PLATFORM_PREFIX = {4: 8, 6: 16}


KNOWN_PREFIX = {4: 16, 6: 48}


# RFC 1918, RFC 6598 and RFC 4193.
INTERNAL = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")


# More than the largest set of ports that a service needs by itself: the 2,768 NodePorts of Kubernetes.
WHOLE_RANGE = 4096


class Breach(NamedTuple):
    """From where a flow opens more than it should."""

    source: str
    severity: str = "error"


def named_ports(plan: Plan, flow: Flow) -> list[PortRange]:
    """Return the ports of a flow without its broad services, which yield to the named ones."""
    services = [plan.catalogue.services[name] for name in flow.services]
    return [item for service in services if not service.broad for item in service.ports]


def uses_broad(plan: Plan, flow: Flow) -> bool:
    return any(plan.catalogue.services[name].broad for name in flow.services)


def is_whole_range(plan: Plan, service: str) -> bool:
    ports = merged(plan.catalogue.services[service].ports)
    return sum(item.last - item.first + 1 for item in ports) > WHOLE_RANGE


def reaches(plan: Plan, flow: Flow, groups: Collection[str]) -> bool:
    hosts = {host for group in groups for host in plan.inventory.groups.get(group, ())}
    return not groups or any(plan.addresses.members(name) & hosts for name in flow.targets)


def groups_of(plan: Plan, names: Iterable[str]) -> set[str]:
    return {group for name in names for group in plan.catalogue.endpoints[name].groups}


@cache
def internal_networks() -> list[IPNetwork]:
    return [parse_network(text) for text in INTERNAL]


def outside_networks(plan: Plan, flow: Flow, names: Iterable[str]) -> list[IPNetwork]:
    """Return what a side of a flow names beside groups: networks, host names as addresses."""
    return plan.addresses.outside(names, frozenset(plan.catalogue.clusters) if flow.within_cluster else None)


def networks_of(plan: Plan, flow: Flow, names: Iterable[str]) -> list[IPNetwork]:
    """Return the same as the fewest prefixes."""
    return [parse_network(text) for text in collapsed(outside_networks(plan, flow, names))]


def source_networks(plan: Plan, flow: Flow) -> list[IPNetwork]:
    return networks_of(plan, flow, flow.sources)


def widest_breach(networks: Iterable[IPNetwork], shortest: Mapping[int, int]) -> Breach | None:
    """Return the first network wider than these prefixes; an error where it is as good as anywhere."""
    for network in sorted(networks, key=lambda item: item.prefixlen):
        if network.prefixlen < shortest[network.version]:
            as_anywhere = network.prefixlen < PLATFORM_PREFIX[network.version]
            return Breach(str(network), "error" if as_anywhere else "warning")
    return None


def without_networks(texts: Iterable[str], others: Iterable[str]) -> list[str]:
    """Return those of `texts` that no network of `others` holds; both are collapsed prefixes."""
    outer = [parse_network(text) for text in others]
    return [text for text in texts if not any(parse_network(text) in network for network in outer)]
