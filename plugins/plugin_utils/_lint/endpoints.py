# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find endpoints and clusters without hosts, and managed hosts that a network does not name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import MANAGEMENT_FLOW
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.findings import Finding, and_more, flow_key, hosts_text
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.networks import hosts_inside, sorted_addresses
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.address_book import AddressBook
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.advice import group_of
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import CONTROLLERS, Endpoint, Flow
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import listed, nearest, shown_value
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import (
    PLATFORM_PREFIX,
    is_address,
    parse_address,
    single,
)

if TYPE_CHECKING:
    from netaddr import IPNetwork


def _empty_endpoints(plan: Plan, today: date) -> Iterator[Finding]:
    users: dict[str, list[str]] = defaultdict(list)
    for flow in plan.flows_on.values():
        for name in _empty_ends(plan, flow):
            users[name].append(flow.name)
    for name, flows in sorted(users.items()):
        endpoint = plan.catalogue.endpoints[name]
        left = " outside its except" if endpoint.excepted else ""
        yield Finding(
            "empty-endpoint",
            "warning",
            f"firewall_endpoints.{name}",
            f"Has no address{left}, so it adds nothing to flow {flows[0]}{and_more(flows)}. Add hosts or networks to "
            f"it{', narrow its except' if endpoint.excepted else ''}, or turn the flow off.",
        )


def _empty_ends(plan: Plan, flow: Flow) -> Iterator[str]:
    """Yield the empty endpoints of a flow, except those for parts of the platform that a site does not have."""
    for names, others, is_target in ((flow.sources, flow.targets, False), (flow.targets, flow.sources, True)):
        alone = _is_empty(plan, flow, names) and not _is_empty(plan, flow, others)
        for name in names:
            endpoint = plan.catalogue.endpoints[name]
            to_fill = not endpoint.groups or (is_target and endpoint.groups != (name,))
            if _is_empty(plan, flow, [name]) and (endpoint.declared_by_site or alone and to_fill):
                yield name


def _flows_without_hosts(plan: Plan, today: date) -> Iterator[Finding]:
    """Find flows that the site turned on, unless the finding is about an empty endpoint of them."""
    for flow in plan.flows_on.values():
        sides = [
            f"{key} ({listed(names)})"
            for key, names in (("from", flow.sources), ("to", flow.targets))
            if _is_empty(plan, flow, names)
        ]
        if flow.enabled and sides and not any(_empty_ends(plan, flow)):
            yield Finding(
                "opens-nothing",
                "warning",
                flow_key(flow),
                f"Opens nothing, because no host or network is in {' and in '.join(sides)}. Add hosts, or turn the "
                "flow off.",
            )


def _is_empty(plan: Plan, flow: Flow, names: Iterable[str]) -> bool:
    if flow.within_cluster and any(plan.catalogue.clusters.values()):
        return False
    return plan.addresses.is_empty(names)


def _unused_endpoints(plan: Plan, today: date) -> Iterator[Finding]:
    used = {name for flow in plan.catalogue.flows.values() for name in (*flow.sources, *flow.targets)}
    for endpoint in plan.catalogue.endpoints.values():
        if endpoint.declared_by_site and endpoint.name not in used:
            yield Finding(
                "unused-endpoint",
                "warning",
                f"firewall_endpoints.{endpoint.name}",
                "No flow names this endpoint, so it has no effect. "
                f"{nearest(endpoint.name, sorted(used)) or 'Use it in a flow, which may be off, or delete it.'}",
            )


def _endpoints_of_flows_that_are_off(plan: Plan, today: date) -> Iterator[Finding]:
    """Find endpoints that the site filled in, but that only optional flows name, which are off.

    Another flow is off only if it has no other side, and a flow with `enabled: false` is off on purpose.
    """
    flows_by_endpoint: dict[str, list[Flow]] = defaultdict(list)
    for flow in plan.catalogue.flows.values():
        for name in {*flow.sources, *flow.targets}:
            flows_by_endpoint[name].append(flow)
    for name, flows in sorted(flows_by_endpoint.items()):
        is_filled = plan.catalogue.endpoints[name].declared_by_site and not plan.addresses.is_empty([name])
        if is_filled and all(flow.need == "optional" and flow.name not in plan.flows_on for flow in flows):
            useful = next((flow for flow in flows if flow.enabled is None and _would_open(plan, flow)), None)
            if useful:
                yield Finding(
                    "unused-endpoint",
                    "warning",
                    f"firewall_endpoints.{name}",
                    f"Only flows that are off name this endpoint ({listed([flow.name for flow in flows])}), so it "
                    f"opens nothing{_left_out(plan, name, flows)}. Turn one on: firewall_flows.{useful.name}.enabled: "
                    "true, or delete it.",
                )


def _would_open(plan: Plan, flow: Flow) -> bool:
    """Return whether a flow would open a port of a managed host, or the way out of one with restricted egress."""
    hosts = plan.inventory.hosts
    return any(_has_peer(plan, flow, host, flow.sources, source=True) for host in _managed(plan, flow.targets)) or any(
        _has_peer(plan, flow, host, flow.targets, source=False)
        for host in _managed(plan, flow.sources)
        if hosts[host].egress == "restricted"
    )


def _managed(plan: Plan, names: Iterable[str]) -> list[str]:
    return sorted({host for name in names for host in plan.addresses.members(name)} & plan.hosts.keys())


def _has_peer(plan: Plan, flow: Flow, host: str, others: tuple[str, ...], source: bool) -> bool:
    clusters = plan.inventory.hosts[host].clusters if flow.within_cluster else None
    # Host names are looked up for flows that are on. They are not in flows within a cluster.
    return any(plan.catalogue.endpoints[name].hostnames for name in others) or bool(
        plan.addresses.peers(others, clusters, source)
    )


def _left_out(plan: Plan, name: str, flows: Iterable[Flow]) -> str:
    """Return on which hosts of an endpoint the ports of its flows are closed to broad services, or nothing."""
    hosts = _managed(plan, [name]) if any(name in flow.targets for flow in flows) else []
    return f", and broad services leave out the ports of these flows on {hosts_text(hosts)}" if hosts else ""


def _missing_groups(plan: Plan, today: date) -> Iterator[Finding]:
    known_groups = {*plan.inventory.groups, *CANONICAL_GROUPS}
    for endpoint in plan.catalogue.endpoints.values():
        by_key = {"groups": endpoint.groups, "fallback_groups": endpoint.fallback_groups}
        for key, group in ((key, group) for key, groups in by_key.items() for group in groups):
            if endpoint.declared_by_site and group not in known_groups:
                yield Finding(
                    "missing-group",
                    "warning",
                    f"firewall_endpoints.{endpoint.name}.{key}",
                    f"Lists {shown_value(group)}, which is {_why_no_group(plan, endpoint, key, group)}",
                )


def _why_no_group(plan: Plan, endpoint: Endpoint, key: str, name: str) -> str:
    if name not in plan.inventory.hosts:
        return "not in the inventory, so the group counts as empty. Add the group to the inventory or correct its name."
    group = group_of(name, plan.inventory.groups)
    instead = [f"one of its groups, such as {group}"] if group else []
    is_within = any(
        flow.within_cluster and endpoint.name in (*flow.sources, *flow.targets)
        for flow in plan.catalogue.flows.values()
    )
    if key == "groups" and not is_within:
        addresses = [
            str(single(parse_address(text))) for text in filter(is_address, plan.inventory.hosts[name].addresses)
        ]
        instead.append(f"its address into cidrs{f': {addresses}' if addresses else ''}")
    to_do = f"Write {', or '.join(instead)}." if instead else "Add a group with it to the inventory."
    return f"a host of the inventory, not a group, so it counts as an empty group. {to_do}"


def _hidden_groups(plan: Plan, today: date) -> Iterator[Finding]:
    for endpoint in plan.catalogue.endpoints.values():
        if plan.inventory.groups.get(endpoint.name) and endpoint.name not in endpoint.groups:
            yield Finding(
                "hidden-group",
                "warning",
                f"firewall_endpoints.{endpoint.name}.groups",
                "Does not list the group of the same name in the inventory, so the hosts of this group are not in "
                "the endpoint. Add the group, or rename the group or the endpoint.",
            )


def _hosts_in_networks(plan: Plan, today: date) -> Iterator[Finding]:
    excluded: dict[tuple[str, IPNetwork], tuple[str, list[str]]] = {}
    ordered = sorted_addresses(plan)
    for flow in plan.flows_on.values():
        for names, is_target in ((flow.targets, True), (flow.sources, False)):
            for name, network in _named_networks(plan, names):
                # A source with open egress has nothing closed; the plan opens ssh on hosts where Ansible may run.
                hosts = [
                    host
                    for host in _hosts_not_named(plan, names, hosts_inside(ordered, network))
                    if is_target
                    or plan.inventory.hosts[host].egress == "restricted"
                    and (flow.name, name) != (MANAGEMENT_FLOW, CONTROLLERS)
                ]
                if hosts:
                    excluded.setdefault((name, network), (flow.name, hosts))
    for (name, network), (flow_name, hosts) in sorted(excluded.items()):
        yield Finding(
            "host-in-network",
            "warning",
            f"firewall_endpoints.{name}.cidrs",
            f"{network} contains the managed {hosts_text(hosts)}, which the endpoint does not name, so the host's "
            f"own side of flow {flow_name} stays closed. Add a group of the host, or its address as a separate "
            "network, or narrow the network.",
        )


def _named_networks(plan: Plan, names: Iterable[str]) -> list[tuple[str, IPNetwork]]:
    """Return the networks of endpoints, without single addresses and without nearly the whole internet."""
    return [
        (name, network)
        for name in names
        for network in plan.catalogue.endpoints[name].cidrs
        if network.size > 1 and network.prefixlen >= PLATFORM_PREFIX[network.version]
    ]


def _hosts_not_named(plan: Plan, names: Iterable[str], hosts: Iterable[str]) -> list[str]:
    members = {host for name in names for host in plan.addresses.members(name)}
    return [
        host
        for host in hosts
        if host not in members and not any(plan.addresses.is_excepted(name, host) for name in names)
    ]


def _unused_excepts(plan: Plan, today: date) -> Iterator[Finding]:
    """Skip endpoints without an address: the cause is another one."""
    named = {name for flow in plan.catalogue.flows.values() for name in (*flow.sources, *flow.targets)}
    endpoints = [plan.catalogue.endpoints[name] for name in sorted(named)]
    with_except = [endpoint for endpoint in endpoints if endpoint.excepted]
    written = _without_excepts(plan.addresses) if with_except else plan.addresses
    for endpoint in with_except:
        addresses = _addresses(written, endpoint)
        is_unknown = endpoint.hostnames and endpoint.name not in written.looked_up
        for network in () if is_unknown or not addresses else endpoint.excepted:
            if not any(network in address or address in network for address in addresses):
                yield Finding(
                    "unused-except",
                    "warning",
                    f"firewall_endpoints.{endpoint.name}.except",
                    f"Lists {network}, which takes nothing out of the endpoint: it overlaps no network of the "
                    "endpoint, and none of its hosts has an address in it. Correct it or delete it.",
                )


def _without_excepts(book: AddressBook) -> AddressBook:
    endpoints = {name: replace(endpoint, excepted=()) for name, endpoint in book.endpoints.items()}
    return replace(book, endpoints=endpoints)


def _addresses(book: AddressBook, endpoint: Endpoint) -> set[IPNetwork]:
    """Return the networks and all addresses of an endpoint, also of hosts that are in it only without other ones."""
    fallback = {host for group in endpoint.fallback_groups for host in book.inventory.groups.get(group, ())}
    hosts = book.members(endpoint.name) | fallback
    return {*book.networks(endpoint.name), *book.host_networks(hosts), *book.host_networks(hosts, source=True)}


def _empty_clusters(plan: Plan, today: date) -> Iterator[Finding]:
    known_clusters = {cluster for name in plan.hosts for cluster in plan.inventory.hosts[name].clusters}
    for cluster, networks in sorted(plan.catalogue.clusters.items()):
        if networks and cluster not in known_clusters:
            yield Finding(
                "empty-cluster",
                "warning",
                f"firewall_clusters.{cluster}",
                "No managed host has this cluster in its firewall_cluster, so its networks have no effect. "
                f"{nearest(cluster, sorted(known_clusters)) or 'Correct the name or delete the cluster.'}",
            )


def _hosts_in_cluster_networks(plan: Plan, today: date) -> Iterator[Finding]:
    ordered = sorted_addresses(plan)
    for cluster, networks in sorted(plan.catalogue.clusters.items()):
        for network in networks:
            hosts = [
                host for host in hosts_inside(ordered, network) if cluster not in plan.inventory.hosts[host].clusters
            ]
            if hosts:
                yield Finding(
                    "host-in-cluster-network",
                    "warning",
                    f"firewall_clusters.{cluster}.cidrs",
                    f"{network} contains the managed {hosts_text(hosts)}, which is not in the cluster but is accepted "
                    "like a node of it. Narrow the network, or add the cluster to firewall_cluster of the host.",
                )


RULES = (
    _empty_endpoints,
    _flows_without_hosts,
    _unused_endpoints,
    _endpoints_of_flows_that_are_off,
    _missing_groups,
    _hidden_groups,
    _hosts_in_networks,
    _unused_excepts,
    _empty_clusters,
    _hosts_in_cluster_networks,
)
