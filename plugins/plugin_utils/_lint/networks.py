# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks and ports of a flow, as the rules of lint compare them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, merged
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import HostKind, Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Flow
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import (
    collapsed,
    is_nearly_all,
    parse_network,
)

if TYPE_CHECKING:
    from netaddr import IPNetwork


# The shortest prefixes of a network that counts as known sources, by IP version.
KNOWN_PREFIX = {4: 16, 6: 48}
# RFC 1918, RFC 6598 and RFC 4193.
INTERNAL = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
# More than the largest set of ports that a service needs by itself: the 2,768 NodePorts of Kubernetes.
MOST_PORTS = 4096


class Breach(NamedTuple):
    """A source to which a flow opens more than it should."""

    source: str
    severity: str = "error"


def named_ports(plan: Plan, flow: Flow) -> list[PortRange]:
    """Return the ports of a flow without its broad services and `any/ip`."""
    services = [plan.catalogue.services[name] for name in flow.services]
    return [ports for service in services if service.has_own_ports for ports in service.ports]


def uses_broad(plan: Plan, flow: Flow) -> bool:
    """Return whether a flow has a broad service or `any/ip`."""
    return not all(plan.catalogue.services[name].has_own_ports for name in flow.services)


def uses_range(plan: Plan, flow: Flow) -> bool:
    """Return whether a flow has a service with more ports than any service needs."""
    return any(has_too_many_ports(plan, name) for name in flow.services)


def has_too_many_ports(plan: Plan, service: str) -> bool:
    """Return whether a service has more ports than any service needs."""
    ranges = merged(plan.catalogue.services[service].ports)
    return sum(ports.last - ports.first + 1 for ports in ranges) > MOST_PORTS


def claimed_ports(plan: Plan, kind: HostKind) -> list[PortRange]:
    """Return the ports that broad services do not cover on a kind of host.

    A range of thousands of ports does not count: it is one finding of least-privilege, whatever else it closes.
    """
    if not plan.catalogue.broad_yields:
        return []
    ranges = {name for flow in plan.flows_on.values() for name in flow.services if has_too_many_ports(plan, name)}
    names = {
        name
        for flow in plan.catalogue.flows.values()
        if not kind.endpoints.isdisjoint(flow.targets)
        for name in flow.services
        if plan.catalogue.services[name].has_own_ports
    }
    return [ports for name in names - ranges for ports in plan.catalogue.services[name].ports]


def reaches(plan: Plan, flow: Flow, groups: Collection[str] = ()) -> bool:
    """Return whether a flow opens ports on a host in one of the groups, or on any host without groups."""
    managed = plan.inventory.managed
    hosts = managed & {host for group in groups for host in plan.inventory.groups.get(group, ())} if groups else managed
    return any(plan.addresses.members(name) & hosts for name in flow.targets)


def groups_of(plan: Plan, names: Iterable[str]) -> set[str]:
    """Return the groups of endpoints."""
    endpoints = [plan.catalogue.endpoints[name] for name in names]
    return {group for endpoint in endpoints for group in (*endpoint.groups, *endpoint.fallback_groups)}


@cache
def internal_networks() -> list[IPNetwork]:
    """Return the private networks."""
    return [parse_network(text) for text in INTERNAL]


def outside_networks(plan: Plan, flow: Flow, names: Iterable[str]) -> list[IPNetwork]:
    """Return the networks, and the addresses of host names, that a side of a flow names."""
    return plan.addresses.outside(names, frozenset(plan.catalogue.clusters) if flow.within_cluster else None)


def networks_of(plan: Plan, flow: Flow, names: Iterable[str]) -> list[IPNetwork]:
    """Return the networks of a side of a flow as the fewest prefixes."""
    return [parse_network(text) for text in collapsed(outside_networks(plan, flow, names))]


def source_networks(plan: Plan, flow: Flow) -> list[IPNetwork]:
    """Return the networks of the sources of a flow as the fewest prefixes."""
    return networks_of(plan, flow, flow.sources)


def sorted_addresses(plan: Plan) -> list[tuple[int, int, list[str]]]:
    """Return the addresses of managed hosts with the hosts, for `hosts_inside`."""
    return sorted((ip.version, ip.first, hosts) for ip, hosts in plan.addresses.hosts_by_address.items())


def hosts_inside(ordered: list[tuple[int, int, list[str]]], network: IPNetwork) -> list[str]:
    """Return the managed hosts with an address in a network, sorted."""
    low = bisect_left(ordered, (network.version, network.first))
    high = bisect_right(ordered, (network.version, network.last + 1))
    return sorted({host for _version, _address, hosts in ordered[low:high] for host in hosts})


def widest_breach(networks: Iterable[IPNetwork], shortest: Mapping[int, int]) -> Breach | None:
    """Return the first network wider than these prefixes: an error if it is nearly the whole internet.

    Link-local addresses reach no further than one link, however wide their network is.
    """
    for network in sorted(networks, key=lambda network: network.prefixlen):
        if network.prefixlen < shortest[network.version] and not network.is_link_local():
            return Breach(str(network), "error" if is_nearly_all(network) else "warning")
    return None


def without_networks(texts: Iterable[str], others: Iterable[str]) -> list[str]:
    """Return the networks in `texts` that are in no network of `others`; both are collapsed prefixes."""
    outer = [parse_network(text) for text in others]
    return [text for text in texts if not any(parse_network(text) in network for network in outer)]
