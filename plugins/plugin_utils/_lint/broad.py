# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find what is closed because broad services cover no port of another service, and flows that open nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, common_ports, merged, without
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.findings import Finding, and_more, flow_key, ports_text
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.networks import (
    claimed_ports,
    hosts_inside,
    sorted_addresses,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import HostKind, Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Flow, Service
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import listed

if TYPE_CHECKING:
    from netaddr import IPNetwork


class Source(NamedTuple):
    """A source of a flow: hosts of one kind, or a network with the kinds of the managed hosts inside."""

    kinds: frozenset[HostKind]
    network: IPNetwork | None = None


@dataclass
class Closed:
    """What broad services do not open, because the ports belong to other services on the targets."""

    plan: Plan
    _kinds_inside: dict[IPNetwork, set[HostKind]] = field(default_factory=dict)

    def by_flow(self, service: Service, only_needed: bool) -> dict[str, dict[str, list[PortRange]]]:
        """Return the closed ports by flow that is on and has the service, and by the services that they belong to.

        A service that is not broad is judged as if it were. Ports that another flow opens from the same sources are
        not closed. With `only_needed`, only ports count that a flow is meant to open to hosts among these sources.
        """
        if not self.plan.catalogue.broad_yields:
            return {}
        flows = [flow for flow in self.plan.flows_on.values() if service.name in flow.services]
        closed = {flow.name: self._in_flow(flow, service, only_needed) for flow in flows}
        return {name: ports for name, ports in closed.items() if ports}

    def narrowed_by(self, service: Service) -> list[str]:
        """Return the broad services, of flows that are on, that lose ports on some hosts to a service, sorted."""
        if not (self.plan.catalogue.broad_yields and service.has_own_ports):
            return []
        flows = [flow for flow in self.plan.catalogue.flows.values() if service.name in flow.services]
        kinds = self._kinds({name for flow in flows for name in flow.targets})
        names = {
            name
            for flow in self.plan.flows_on.values()
            if any(not kind.endpoints.isdisjoint(flow.targets) for kind in kinds)
            for name in flow.services
        }
        others = [self.plan.catalogue.services[name] for name in sorted(names)]
        return [other.name for other in others if other.broad and common_ports(other.ports, service.ports)]

    def _in_flow(self, flow: Flow, service: Service, only_needed: bool) -> dict[str, list[PortRange]]:
        closed: dict[str, list[PortRange]] = defaultdict(list)
        for target in self._kinds(flow.targets):
            candidates = self._flows_to(target)
            for source in self._sources(flow, target):
                needed = [other for other in candidates if not only_needed or self._is_for(other, source)]
                opened = self._opened(source, target, service)
                for name in {name for other in needed for name in other.services} - {service.name}:
                    closed[name] += without(self._taken(service, name), opened)
        return {name: merged(closed[name]) for name in sorted(closed) if closed[name]}

    def _kinds(self, endpoints: Iterable[str]) -> set[HostKind]:
        """Return the kinds of managed hosts in these endpoints."""
        return {kind for kind in self._managed_kinds if not kind.endpoints.isdisjoint(endpoints)}

    @cached_property
    def _managed_kinds(self) -> set[HostKind]:
        return {self.plan.kinds[host] for host in self.plan.hosts}

    @cached_property
    def _sizes(self) -> Counter[HostKind]:
        return Counter(self.plan.kinds.values())

    def _flows_to(self, target: HostKind) -> list[Flow]:
        """Return the flows whose services run on the target, as far as we know: not those that are optional and off."""
        return [
            flow
            for flow in self.plan.catalogue.flows.values()
            if not target.endpoints.isdisjoint(flow.targets)
            and (flow.name in self.plan.flows_on or flow.need != "optional")
        ]

    def _taken(self, service: Service, name: str) -> list[PortRange]:
        other = self.plan.catalogue.services[name]
        return common_ports(service.ports, other.ports) if other.has_own_ports else []

    def _sources(self, flow: Flow, target: HostKind) -> set[Source]:
        kinds = {
            self._towards(target, kind)
            for kind, size in self._sizes.items()
            if not kind.endpoints.isdisjoint(flow.sources)
            and (kind.clusters & target.clusters or not flow.within_cluster)
            and (kind != target or size > 1)  # a host needs no flow to itself
        }
        networks = self.plan.addresses.outside(flow.sources, target.clusters if flow.within_cluster else None)
        return {
            *(Source(frozenset((kind,))) for kind in kinds),
            *(
                Source(frozenset(self._towards(target, kind) for kind in self._inside(network)), network)
                for network in networks
            ),
        }

    def _towards(self, target: HostKind, kind: HostKind) -> HostKind:
        """Return a kind without the clusters that make no difference to the target."""
        return kind._replace(clusters=kind.clusters & target.clusters)

    def _inside(self, network: IPNetwork) -> set[HostKind]:
        """Return the kinds of the managed hosts in a network."""
        if network not in self._kinds_inside:
            self._kinds_inside[network] = {self.plan.kinds[host] for host in hosts_inside(self._ordered, network)}
        return self._kinds_inside[network]

    @cached_property
    def _ordered(self) -> list[tuple[int, int, list[str]]]:
        return sorted_addresses(self.plan)

    def _opened(self, source: Source, target: HostKind, service: Service) -> list[PortRange]:
        """Return the ports that other services open from the whole source to the target."""
        names = {
            name
            for flow in self.plan.flows_on.values()
            if not target.endpoints.isdisjoint(flow.targets) and self._covers(flow, source, target)
            for name in flow.services
        }
        services = [self.plan.catalogue.services[name] for name in names - {service.name}]
        return [ports for service in services if not service.broad for ports in service.ports]

    def _covers(self, flow: Flow, source: Source, target: HostKind) -> bool:
        if source.network is not None:
            networks = self.plan.addresses.outside(flow.sources, target.clusters if flow.within_cluster else None)
            return any(source.network in network for network in networks)
        return all(_is_source(flow, kind) for kind in source.kinds)

    def _is_for(self, flow: Flow, source: Source) -> bool:
        """Return whether a flow is meant for hosts of a source.

        The hosts in a network are unknown. They may be nodes of the cluster, so flows within it are for them, unless
        the known hosts in the network are all in other clusters. Known hosts have what a flow that is on opens to them.
        """
        is_open_to_known = source.network is not None and flow.name in self.plan.flows_on and not flow.within_cluster
        if not is_open_to_known and any(_is_source(flow, kind) for kind in source.kinds):
            return True
        if source.network is None:
            return False
        if flow.within_cluster:
            return not source.kinds or any(kind.clusters for kind in source.kinds)
        networks = self.plan.addresses.outside(flow.sources, None)
        return any(source.network in network or network in source.network for network in networks)


def _is_source(flow: Flow, kind: HostKind) -> bool:
    """Return whether a kind, with the clusters that it shares with a target, is a source of a flow to the target."""
    return not kind.endpoints.isdisjoint(flow.sources) and (bool(kind.clusters) or not flow.within_cluster)


def closed_text(by_flow: Mapping[str, Mapping[str, list[PortRange]]]) -> str:
    """Return the services of all flows with their closed ports: `nfs (2049/tcp), slurmctld (6817/tcp)`."""
    closed: dict[str, list[PortRange]] = defaultdict(list)
    for by_service in by_flow.values():
        for name, ports in by_service.items():
            closed[name] += ports
    return listed([f"{name} ({ports_text(merged(closed[name]))})" for name in sorted(closed)])


def _closed_by_broad(plan: Plan, today: date) -> Iterator[Finding]:
    """Judge services of the site. Shipped broad services, such as user_ports, exclude all other services on purpose."""
    closed = Closed(plan)
    for service in plan.catalogue.services.values():
        by_flow = closed.by_flow(service, only_needed=True) if service.broad and service.declared_by_site else {}
        names = [*by_flow]
        if names:
            yield Finding(
                "closed-by-broad",
                "warning",
                f"firewall_services.{service.name}",
                f"Is broad, so it does not open {closed_text(by_flow)} to the sources of flow "
                f"{names[0]}{and_more(names)}, and no other flow opens them to all of these sources. If the sources "
                f"need these services, add them to a flow.{_advice_about_nodes(plan, by_flow)}",
            )


def _advice_about_nodes(plan: Plan, by_flow: Mapping[str, Mapping[str, list[PortRange]]]) -> str:
    """Return what to do with a network of nodes, if the services are those of a cluster, or nothing."""
    in_clusters = {name for flow in plan.catalogue.flows.values() if flow.within_cluster for name in flow.services}
    for name, closed in by_flow.items():
        flow = plan.flows_on[name]
        if (
            not flow.within_cluster
            and not in_clusters.isdisjoint(closed)
            and plan.addresses.outside(flow.sources, None)
        ):
            return " A network of nodes of a cluster belongs in firewall_clusters."
    return ""


def _opens_nothing(plan: Plan, today: date) -> Iterator[Finding]:
    """Skip shipped flows that are on by themselves: only their need decided, nobody expects anything of them."""
    flows = [flow for flow in plan.flows_on.values() if flow.changed_by_site or flow.need != "conditional"]
    for flow in flows:
        targets = {
            plan.kinds[host] for name in flow.targets for host in plan.addresses.members(name) & plan.hosts.keys()
        }
        has_networks = flow.within_cluster and any(plan.catalogue.clusters.values())
        is_empty = plan.addresses.is_empty(flow.sources) and not has_networks
        why = _why_nothing(plan, flow, targets) if targets and not is_empty else ""
        if why:
            yield Finding("opens-nothing", "warning", flow_key(flow), why)


def _why_nothing(plan: Plan, flow: Flow, targets: set[HostKind]) -> str:
    if flow.within_cluster and not any(
        plan.addresses.peers(flow.sources, target.clusters, source=True) for target in targets
    ):
        return (
            "Opens nothing, because it has within_cluster, and none of its sources is in a cluster of its targets. "
            "Correct firewall_cluster of the hosts, or turn the flow off."
        )
    nothing = [name for name in flow.services if _is_taken(plan, plan.catalogue.services[name], targets)]
    if not nothing:
        return ""
    return (
        f"Opens no port of {listed(nothing)}: the service is broad, and all its ports belong to other services on "
        "the targets. Use these services in the flow, or turn it off."
    )


def _is_taken(plan: Plan, service: Service, targets: set[HostKind]) -> bool:
    return service.broad and not any(without(service.ports, claimed_ports(plan, target)) for target in targets)


RULES = (_closed_by_broad, _opens_nothing)
