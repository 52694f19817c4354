# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compile flows and hosts into policies: the connections that each managed host may accept and open.

See docs/ARCHITECTURE.md, sections 2 and 3.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ansible_collections.hpc.ports.plugins.module_utils._model.names import digest
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import (
    FORMAT,
    MANAGEMENT_FLOW,
    PolicyData,
    RuleData,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, merged, without
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.address_book import AddressBook, Resolver
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.jump_hosts import Leg, legs_of
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.shared_addresses import check_shared
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import CONTROLLERS, Catalogue, Flow
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, shown_value
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.inventory import Host, Inventory
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import collapsed, parse_network

if TYPE_CHECKING:
    from netaddr import IPNetwork


Value = TypeVar("Value")
# Permitted connections: ports, and the networks of the peers.
Opening = tuple[tuple[PortRange, ...], tuple[str, ...]]


class HostKind(NamedTuple):
    """Hosts with the same endpoints and the same clusters. They have the same flows."""

    endpoints: frozenset[str]
    clusters: frozenset[str]


@dataclass(frozen=True)
class Plan:
    """The policies of an inventory: `policies` by digest, and `hosts` with the digest of each managed host.

    `claims` are the ports of named services of each kind of host. Broad services do not cover them. `legs` are the
    connections of Ansible's ssh, through jump hosts. `report_only`: the endpoint `controllers` may be empty, so that
    hosts with these policies would lock Ansible out (see `Store`).
    """

    catalogue: Catalogue
    inventory: Inventory
    addresses: AddressBook
    flows_on: dict[str, Flow]
    policies: dict[str, PolicyData]
    hosts: dict[str, str]
    kinds: dict[str, HostKind]
    claims: dict[HostKind, tuple[PortRange, ...]]
    legs: tuple[Leg, ...]
    report_only: bool = False


def compile_plan(
    catalogue: Catalogue, inventory: Inventory, resolver: Resolver | None = None, report_only: bool = False
) -> Plan:
    """Return the plan.

    Raises PortFileError for a name that does not resolve, a host without an address, a required flow without sources.
    With `report_only`, the management flow may be without sources.
    """
    book = AddressBook(catalogue.endpoints, inventory, catalogue.clusters, resolver or Resolver())
    flows_on = {name: flow for name, flow in catalogue.flows.items() if is_on(flow, catalogue, book)}
    _check_required([flow for flow in flows_on.values() if not (report_only and flow.name == MANAGEMENT_FLOW)], book)
    needed = frozenset(name for flow in flows_on.values() for name in (*flow.sources, *flow.targets))
    book = replace(book, looked_up=needed)
    book.look_up()
    _check_managed(catalogue.flows[MANAGEMENT_FLOW], book)
    check_shared(book)
    return replace(_Compiler(catalogue, flows_on, book, legs_of(book)).plan(), report_only=report_only)


def recompiled(plan: Plan, catalogue: Catalogue) -> Plan:
    """Return the plan of the same inventory with another port file. Raises PortFileError."""
    return compile_plan(catalogue, plan.inventory, plan.addresses.resolver, plan.report_only)


def is_on(flow: Flow, catalogue: Catalogue, book: AddressBook) -> bool:
    """Return whether a flow is enabled: `enabled` decides, or else its switch, or else its need."""
    if flow.enabled is not None:
        return flow.enabled
    if flow.unless in catalogue.switches:
        return False
    if flow.need == "conditional":
        return _has_both_sides(flow, book)
    return flow.need in ("required", "recommended")


def _has_both_sides(flow: Flow, book: AddressBook) -> bool:
    if flow.within_cluster:
        return bool(book.clusters_of(flow.sources) & book.clusters_of(flow.targets))
    return not book.is_empty(flow.sources) and not book.is_empty(flow.targets)


def _check_required(flows: Iterable[Flow], book: AddressBook) -> None:
    for flow in flows:
        managed = any(book.members(name) & book.inventory.managed for name in flow.targets)
        empty = not book.clusters_of(flow.sources) if flow.within_cluster else book.is_empty(flow.sources)
        if flow.need == "required" and managed and empty:
            where = (
                "groups with hosts, or networks in firewall_clusters"
                if flow.within_cluster
                else ("cidrs, hostnames or groups with hosts")
            )
            off = "" if flow.name == MANAGEMENT_FLOW else f", or set firewall_flows.{flow.name}.enabled to false"
            raise PortFileError(
                f"Invalid firewall_endpoints.{flow.sources[0]}: got no address, expected at least one, because it is "
                f"a source of the required flow {flow.name}. Add {where}{off}."
            )


def _check_managed(flow: Flow, book: AddressBook) -> None:
    reached = {host for name in flow.targets for host in book.members(name)}
    for host in sorted(book.inventory.managed):
        if host not in reached:
            raise PortFileError(
                f"Invalid firewall_flows.{flow.name}.to: got {shown_value(list(flow.targets))}, expected endpoints "
                f"that contain every managed host, but {host} is in none of them. Ansible would be locked out of that "
                "host."
            )
        book.host_networks([host])  # raises for a host without an address, even if no flow uses the host


@dataclass
class _Compiler:
    catalogue: Catalogue
    flows: dict[str, Flow]
    book: AddressBook
    legs: tuple[Leg, ...]
    members: dict[HostKind, list[str]] = field(default_factory=lambda: defaultdict(list))
    claims: dict[HostKind, tuple[PortRange, ...]] = field(default_factory=dict)
    _rules: dict[tuple[HostKind, str, tuple[Opening, ...]], list[RuleData]] = field(default_factory=dict)
    _outward: dict[tuple[str, frozenset[str] | None], list[Opening]] = field(default_factory=dict)
    _networks: dict[tuple[str, ...], str] = field(default_factory=dict)
    _by_key: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def plan(self) -> Plan:
        kinds = self._kinds()
        for name, kind in kinds.items():
            self.members[kind].append(name)
        self.claims = {kind: self._claims(kind.endpoints) for kind in self.members}
        ssh_openings = self._ssh_openings()
        hosts, policies = {}, {}
        shared: dict[tuple[Any, ...], str] = {}
        for name in sorted(self.book.inventory.managed):
            host = self.book.inventory.hosts[name]
            key = (
                kinds[name],
                host.egress,
                host.mode,
                host.trusted_interfaces,
                host.container_interfaces,
                host.filtered_containers,
                ssh_openings.get(name, ()),
            )
            if key not in shared:
                policy = self._policy(host, kinds[name], ssh_openings.get(name, ()))
                shared[key] = digest(policy)
                policies[shared[key]] = policy
            hosts[name] = shared[key]
        return Plan(
            self.catalogue, self.book.inventory, self.book, self.flows, policies, hosts, kinds, self.claims, self.legs
        )

    def _ssh_openings(self) -> dict[str, tuple[Opening, ...]]:
        """Return what hosts with restricted egress open for Ansible's ssh, if Ansible runs or passes through there."""
        to_all, behind = self._egress_openings(self.flows[MANAGEMENT_FLOW], None), self._behind_jump_hosts()
        return {
            host: (*(to_all if self._is_controller(host) else ()), *behind.get(host, ()))
            for host in self.book.inventory.managed
            if self.book.inventory.hosts[host].egress == "restricted"
        }

    def _behind_jump_hosts(self) -> dict[str, list[Opening]]:
        """Return where ssh connects from each jump host, on its way to managed hosts."""
        usual = self._ports(self.flows[MANAGEMENT_FLOW], ())
        by_host: dict[str, dict[tuple[PortRange, ...], list[IPNetwork]]] = defaultdict(lambda: defaultdict(list))
        for leg in self.legs:
            if leg.source and leg.host in self.book.inventory.managed:
                port = (PortRange("tcp", leg.port, leg.port),)
                by_host[leg.source][port if without(port, usual) else usual] += leg.networks
        return {
            host: [(ports, collapsed(networks)) for ports, networks in sorted(by_ports.items())]
            for host, by_ports in by_host.items()
        }

    def _is_controller(self, host: str) -> bool:
        """Return whether a host is in a network of the controllers: Ansible may run on it or pass through it."""
        if CONTROLLERS not in self.flows[MANAGEMENT_FLOW].sources:
            return False
        networks = [network for network in self.book.networks(CONTROLLERS) if network.prefixlen]
        return any(
            address in network for address in self.book.host_networks([host], source=True) for network in networks
        )

    def _kinds(self) -> dict[str, HostKind]:
        behind: dict[str, set[str]] = {name: set() for name in self.book.inventory.managed}
        for endpoint in {name for flow in self.catalogue.flows.values() for name in (*flow.sources, *flow.targets)}:
            for host in self.book.members(endpoint):
                behind.setdefault(host, set()).add(endpoint)
        return {
            host: HostKind(frozenset(endpoints), self.book.inventory.hosts[host].clusters)
            for host, endpoints in sorted(behind.items())
        }

    def _claims(self, endpoints: frozenset[str]) -> tuple[PortRange, ...]:
        return self._named_ports({name for endpoint in endpoints for name in self._services_at.get(endpoint, ())})

    @cached_property
    def _services_at(self) -> dict[str, set[str]]:
        """Return the services by the targets of all flows, also of flows that are off."""
        services: dict[str, set[str]] = defaultdict(set)
        for flow in self.catalogue.flows.values():
            for endpoint in flow.targets:
                services[endpoint].update(flow.services)
        return services

    def _named_ports(self, services: Iterable[str]) -> tuple[PortRange, ...]:
        named_services = [self.catalogue.services[name] for name in services]
        return tuple(
            merged(port_range for service in named_services if service.has_own_ports for port_range in service.ports)
        )

    def _policy(self, host: Host, kind: HostKind, ssh: tuple[Opening, ...]) -> PolicyData:
        directions = ("in", "out") if host.egress == "restricted" else ("in",)
        rules = [rule for direction in directions for rule in self._rules_of(kind, direction, ssh)]
        used = {rule["peers"] for rule in rules}
        return {
            "format": FORMAT,
            "mode": host.mode,
            "egress": host.egress,
            "trusted_interfaces": list(host.trusted_interfaces),
            "container_interfaces": list(host.container_interfaces),
            "filtered_containers": list(host.filtered_containers),
            "networks": {key: list(networks) for networks, key in sorted((self._by_key[key], key) for key in used)},
            "rules": rules,
        }

    def _rules_of(self, kind: HostKind, direction: str, ssh: tuple[Opening, ...]) -> list[RuleData]:
        key = (kind, direction, ssh if direction == "out" else ())
        if key not in self._rules:
            self._rules[key] = [
                {
                    "direction": direction,
                    "flow": flow.name,
                    "ports": [str(port_range) for port_range in ports],
                    "peers": self._networks_key(peers),
                }
                for flow in self._flows_of(kind, direction, ssh)
                for ports, peers in (self._ingress(flow, kind) if direction == "in" else self._egress(flow, kind, ssh))
                if ports and peers
            ]
        return self._rules[key]

    def _flows_of(self, kind: HostKind, direction: str, ssh: tuple[Opening, ...]) -> list[Flow]:
        """Return the flows that open something on a kind of host, in their order."""
        by_endpoint = self._by_target if direction == "in" else self._by_source
        names = {name for endpoint in kind.endpoints for name in by_endpoint.get(endpoint, ())}
        if ssh and direction == "out":
            names.add(MANAGEMENT_FLOW)
        return [self.flows[name] for name in sorted(names, key=self._numbers.__getitem__)]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.flows)}

    @cached_property
    def _by_target(self) -> dict[str, list[str]]:
        return _by_endpoint((flow.targets, flow.name) for flow in self.flows.values())

    @cached_property
    def _by_source(self) -> dict[str, list[str]]:
        return _by_endpoint((flow.sources, flow.name) for flow in self.flows.values())

    @cached_property
    def _kinds_at(self) -> dict[str, list[HostKind]]:
        return _by_endpoint((kind.endpoints, kind) for kind in self.members)

    def _ingress(self, flow: Flow, kind: HostKind) -> list[Opening]:
        clusters = kind.clusters if flow.within_cluster else None
        return [(self._ports(flow, self.claims[kind]), self.book.peers(flow.sources, clusters, source=True))]

    def _egress(self, flow: Flow, kind: HostKind, ssh: tuple[Opening, ...]) -> list[Opening]:
        openings: list[Opening] = []
        if kind.endpoints & set(flow.sources):
            clusters = kind.clusters if flow.within_cluster else None
            if (flow.name, clusters) not in self._outward:
                self._outward[flow.name, clusters] = self._egress_openings(flow, clusters)
            openings = self._outward[flow.name, clusters]
        return _combined([*openings, *ssh]) if flow.name == MANAGEMENT_FLOW and ssh else openings

    def _egress_openings(self, flow: Flow, clusters: frozenset[str] | None) -> list[Opening]:
        if not any(self.catalogue.services[name].broad for name in flow.services):
            return [(self._ports(flow, ()), self.book.peers(flow.targets, clusters, source=False))]
        by_ports: dict[tuple[PortRange, ...], list[IPNetwork]] = defaultdict(list)
        for other in {kind for endpoint in flow.targets for kind in self._kinds_at.get(endpoint, ())}:
            if clusters is None or clusters & other.clusters:
                by_ports[self._ports(flow, self.claims[other])] += self.book.host_networks(self.members[other])
        # The hosts in a network are unknown, so any named service may be on them.
        by_ports[self._ports(flow, self._named_ports(self.catalogue.services))] += self.book.outside(
            flow.targets, clusters
        )
        return [(ports, collapsed(networks)) for ports, networks in sorted(by_ports.items())]

    def _ports(self, flow: Flow, claims: tuple[PortRange, ...]) -> tuple[PortRange, ...]:
        services = [self.catalogue.services[name] for name in flow.services]
        broad = [port_range for service in services if service.broad for port_range in service.ports]
        if self.catalogue.broad_yields:
            broad = without(broad, claims)
        return tuple(
            merged([*broad, *(port_range for service in services if not service.broad for port_range in service.ports)])
        )

    def _networks_key(self, networks: tuple[str, ...]) -> str:
        if networks not in self._networks:
            key = digest(networks)
            self._networks[networks], self._by_key[key] = key, networks
        return self._networks[networks]


def _by_endpoint(pairs: Iterable[tuple[Iterable[str], Value]]) -> dict[str, list[Value]]:
    result: dict[str, list[Value]] = defaultdict(list)
    for endpoints, value in pairs:
        for endpoint in endpoints:
            result[endpoint].append(value)
    return result


def _combined(openings: Iterable[Opening]) -> list[Opening]:
    """Return the openings with all networks of the same ports combined."""
    by_ports: dict[tuple[PortRange, ...], list[IPNetwork]] = defaultdict(list)
    for ports, networks in openings:
        by_ports[ports] += map(parse_network, networks)
    return [(ports, collapsed(networks)) for ports, networks in sorted(by_ports.items())]
