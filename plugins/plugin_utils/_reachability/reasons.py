# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Explain from the plan alone whether a host may connect to a port of another host, and why or why not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Judgement, Packet
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, parse_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.advice import ports_advice
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import invalid, nearest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import parse_network
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import Address, Connections
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.membership import (
    Exclusion,
    adding,
    addresses_of,
    exclusions_of,
    exclusions_text,
    is_in,
    is_in_network,
    lacking,
    remedies,
)

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
    from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Flow, Service

# Why a flow does not allow the connection, or that it does.
APPLIES, OFF, NOT_A_SOURCE, NOT_A_TARGET, OTHER_CLUSTER, YIELDS, EGRESS, ADDRESS = (
    "applies",
    "off",
    "not_a_source",
    "not_a_target",
    "other_cluster",
    "yields",
    "egress",
    "address",
)


class AddressPair(NamedTuple):
    """The judgements of the plan for two addresses: of the source on sending, and of the target on accepting.

    `passes` is None if the source may send and the target is not managed: the plan does not say what it accepts.
    """

    source_address: str
    target_address: str
    passes: bool | None
    egress: Judgement
    ingress: Judgement


class FlowReason(NamedTuple):
    """Whether a flow with this port allows the connection. `reason` is one of the constants above.

    The target is in the flow, or would be without `except`, or is only in a network of the flow.
    """

    flow: str
    services: tuple[str, ...]
    reason: str
    text: str


class Reasons(NamedTuple):
    """Whether a connection passes, and why.

    `passes` is None if it depends on the addresses, or on a host that is not managed. `flows` are the flows with this
    port and this target, on or off, and those that do not have it because of `except`, or only in a network.
    `sentences` are the explanation. `advice` has changes that would allow it.
    """

    source: str
    target: str
    port: str
    passes: bool | None
    pairs: tuple[AddressPair, ...]
    flows: tuple[FlowReason, ...]
    sentences: tuple[str, ...]
    advice: tuple[str, ...]

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        pairs = [
            {**pair._asdict(), "egress": pair.egress._asdict(), "ingress": pair.ingress._asdict()}
            for pair in self.pairs
        ]
        return {
            **self._asdict(),
            "pairs": pairs,
            "flows": [flow._asdict() for flow in self.flows],
            "sentences": list(self.sentences),
            "advice": list(self.advice),
        }


def explained(plan: Plan, source: str, target: str, port: str) -> Reasons:
    """Return the reasons for names as people type them. Raises PortFileError for an unknown host or an invalid port."""
    for key, host in (("from", source), ("to", target)):
        if host not in plan.inventory.hosts:
            raise invalid(key, host, "an inventory host", nearest(host, plan.inventory.hosts))
    return reasons_of(Connections(plan, sorted({source, target})), source, target, port_of(port))


def port_of(text: str) -> PortRange:
    """Return the port of a connection. Raises PortFileError for anything but one port."""
    ports = _one_port(text)
    if ports is None:
        expected = "one port from 1 to 65535, such as '6817/tcp', or one IP protocol, such as '112/ip'"
        raise invalid("to_port", text, expected, _port_advice(text))
    return ports


def _one_port(text: str) -> PortRange | None:
    try:
        ports = parse_ports(text)
    except ValueError:
        return None
    return ports if ports.first == ports.last else None


def _port_advice(text: str) -> str:
    """Return the advice of the port file, unless it is to write ranges: a connection has one port."""
    advice = ports_advice(text)
    ports = re.findall(r"'([^']*)'", advice)
    if not all(map(_one_port, ports)):
        return ""
    return f"Write {' or '.join(map(repr, ports))}." if len(ports) > 1 else advice


def reasons_of(connections: Connections, source: str, target: str, port: PortRange) -> Reasons:
    """Return whether and why hosts of these connections may connect; `port` is one port."""
    if source == target:
        return Reasons(
            source, target, str(port), True, (), (), (f"{source} reaches itself by loopback, which always passes.",), ()
        )
    question = _Question(connections, source, target, port)
    pairs = tuple(question.pairs())
    outcomes = {pair.passes for pair in pairs} or {False}
    passes = outcomes.pop() if len(outcomes) == 1 else None
    flows = tuple(question.flows())
    by_flows = all(pair.passes and pair.ingress.reason != "no flow" for pair in pairs) and bool(pairs)
    return Reasons(
        source,
        target,
        str(port),
        passes,
        pairs,
        flows,
        tuple(question.sentences(pairs, flows, passes)),
        () if by_flows or passes is None and not question.is_managed else tuple(question.advice(flows)),
    )


@dataclass
class _Question:
    connections: Connections
    source: str
    target: str
    port: PortRange

    def __post_init__(self) -> None:
        self.plan = self.connections.plan
        self.clusters, self.target_clusters = (
            self.plan.inventory.hosts[host].clusters for host in (self.source, self.target)
        )

    # ---- policies

    def pairs(self) -> Iterator[AddressPair]:
        """Yield the pairs of a source and a target address of one family, if the source has a route to the target."""
        for address in self.connections.reached[self.target]:
            for peer in self.connections.source_addresses(self.source, address):
                egress, ingress = self._judgement(self.source, "out", address), self._judgement(self.target, "in", peer)
                passes = None if egress.passes and not self.is_managed else egress.passes and ingress.passes
                yield AddressPair(peer.text, address.text, passes, egress, ingress)

    def _judgement(self, host: str, direction: str, peer: Address) -> Judgement:
        return self.connections.judgement(host, direction, self.port.protocol, self.port.first, peer)

    # ---- flows

    def flows(self) -> Iterator[FlowReason]:
        """Yield each flow that has this port and names this target."""
        for flow in self.plan.catalogue.flows.values():
            services = [name for name in flow.services if self._covers(self.plan.catalogue.services[name])]
            if services and self._names_target(flow):
                reason, text = self._reason(flow, services)
                yield FlowReason(flow.name, tuple(services), reason, text)

    def _covers(self, service: Service) -> bool:
        return any(ports.covers(self.port.protocol, self.port.first) for ports in service.ports)

    def _is_target(self, flow: Flow) -> bool:
        return any(is_in(self.plan.addresses, self.target, name, source=False) for name in flow.targets)

    def _names_target(self, flow: Flow) -> bool:
        """Return whether the target is in a flow, or would be without `except`, or is only in a network of it."""
        return (
            self._is_target(flow)
            or any(is_in_network(self.plan.addresses, self.target, name, source=False) for name in flow.targets)
            or bool(self._excluded(flow, source=False))
        )

    def _excluded(self, flow: Flow, source: bool) -> list[Exclusion]:
        """Return what takes the source or the target out of a flow that has it otherwise."""
        host, names = (self.source, flow.sources) if source else (self.target, flow.targets)
        return exclusions_of(self.plan.addresses, host, names, source)

    def _reason(self, flow: Flow, services: list[str]) -> tuple[str, str]:
        """Return the first reason why a flow does not apply; a flow that is off has no other reason."""
        claimed = self._claimed_by(flow, services)
        if flow.name not in self.plan.flows_on:
            return OFF, f"It is off: {self._why_off(flow)}."
        if not self._is_target(flow):
            return NOT_A_TARGET, self._no_target(flow)
        if not self._is_source(flow):
            return NOT_A_SOURCE, self._not_in(flow, source=True)
        if flow.within_cluster and not self._shares_cluster():
            return OTHER_CLUSTER, (
                f"It applies only within a cluster: {self.source} is in {_joined(self.clusters)}, "
                f"{self.target} in {_joined(self.target_clusters)}."
            )
        if claimed:
            return YIELDS, (
                f"{' and '.join(services)} is broad and yields on {self.target} to {_joined(claimed)}, which "
                f"has {self.port} there."
            )
        return self._by_rules(flow)

    def _no_target(self, flow: Flow) -> str:
        if self._excluded(flow, source=False):
            return self._not_in(flow, source=False)
        return (
            f"{self.target} is in {' or '.join(flow.targets)}, the targets of the flow, only by a network, which opens "
            "no port on a managed host."
        )

    def _not_in(self, flow: Flow, source: bool) -> str:
        host, names, side = (self.source, flow.sources, "sources") if source else (self.target, flow.targets, "targets")
        why = exclusions_text(self._excluded(flow, source))
        return f"{host} is not in {' or '.join(names)}, the {side} of the flow{f': {why}' if why else ''}."

    def _why_off(self, flow: Flow) -> str:
        if flow.enabled is False:
            return "enabled is false"
        if flow.unless in self.plan.catalogue.switches:
            return f"{flow.unless} is true"
        if flow.need == "conditional":
            sides = (flow.sources, flow.targets)
            empty = [name for side in sides if self.plan.addresses.is_empty(side) for name in side]
            return f"it is conditional, and nobody is in {_joined(empty) if empty else 'both its sides in one cluster'}"
        return "it is optional, and enabled is not set"

    def _is_source(self, flow: Flow) -> bool:
        return self._is_named_source(flow) or flow.within_cluster and bool(self._cluster_networks)

    def _is_named_source(self, flow: Flow) -> bool:
        return any(is_in(self.plan.addresses, self.source, name, source=True) for name in flow.sources)

    def _shares_cluster(self) -> bool:
        return bool(self.clusters & self.target_clusters or self._cluster_networks)

    @cached_property
    def _cluster_networks(self) -> dict[str, str]:
        """The addresses of the source in networks of the target's clusters, with the key of the cluster."""
        clusters = self.plan.catalogue.clusters
        return {
            str(address.ip): f"firewall_clusters.{name}"
            for address in addresses_of(self.plan.addresses, self.source, source=True)
            for name in sorted(self.target_clusters, reverse=True)
            if any(address in network for network in clusters.get(name, ()))
        }

    def _counts_by_cluster_network(self, flow: Flow) -> bool:
        """Return whether the source is in the flow only by a network of a cluster."""
        return flow.within_cluster and not (self._is_named_source(flow) and self.clusters & self.target_clusters)

    def _claimed_by(self, flow: Flow, services: list[str]) -> list[str]:
        """Return the services that a flow yields to: services of any flow to the target, on or off."""
        services_by_name = self.plan.catalogue.services
        if not self.plan.catalogue.broad_yields or not all(services_by_name[name].broad for name in services):
            return []
        return sorted(
            {
                name
                for other in self.plan.catalogue.flows.values()
                if self._is_target(other)
                for name in other.services
                if services_by_name[name].has_own_ports and self._covers(services_by_name[name])
            }
        )

    def _by_rules(self, flow: Flow) -> tuple[str, str]:
        """Return whether a flow allows the connection, by its addresses and the egress of the source."""
        accepted = [pair for pair in self._pairs if self._accepts(flow.name, pair.source_address)]
        if not accepted:
            return ADDRESS, (f"It has no source address of {self.source} in an address family that {self.target} has.")
        sent = [pair for pair in accepted if pair.egress.passes]
        if not sent:
            where = _joined({pair.target_address for pair in accepted})
            return EGRESS, (
                f"{self.target} accepts it, but {self.source} has restricted egress and no flow to "
                f"{where}. If a flow names {self.source} only by a network, it does not open the egress of "
                f"{self.source}."
            )
        only = ""
        if len(sent) < len(self._pairs):
            only = f" only from {_joined({f'{pair.source_address} to {pair.target_address}' for pair in sent})}"
        return APPLIES, f"It allows this connection{only}.{self._by_which_cluster(flow, sent)}"

    def _by_which_cluster(self, flow: Flow, sent: list[AddressPair]) -> str:
        """Return by which networks of clusters the source counts, or an empty text."""
        addresses = dict.fromkeys(pair.source_address for pair in sent) if self._counts_by_cluster_network(flow) else ()
        keys = {address: self._cluster_networks[address] for address in addresses if address in self._cluster_networks}
        return "".join(f" {address} is in a network of {key}." for address, key in keys.items())

    @cached_property
    def _pairs(self) -> list[AddressPair]:
        return list(self.pairs())

    @property
    def is_managed(self) -> bool:
        """Return whether the target has a policy."""
        return self.target in self.plan.hosts

    def _accepts(self, flow: str, peer: str) -> bool:
        packet = Packet("in", self.port.protocol, peer, self.port.first, interface="")
        return not self.is_managed or self.connections.has_rule(self.target, flow, packet)

    # ---- in words

    def sentences(
        self, pairs: tuple[AddressPair, ...], flows: tuple[FlowReason, ...], passes: bool | None
    ) -> Iterator[str]:
        """Yield the answer, the judgements for each pair of addresses, and the reason of each flow."""
        can = "may" if passes else "may not" if passes is False else "may, or may not,"
        yield f"According to the plan, {self.source} {can} connect to {self.port} of {self.target}."
        closed = [
            text
            for address in self.connections.reached[self.target]
            for text in [self.connections.no_route(self.source, address)]
            if text
        ]
        yield from closed
        if not pairs and not closed:
            yield f"{self.source} has no source address in an address family of {self.target}."
        for pair in pairs:
            yield (
                f"{pair.source_address} to {pair.target_address}: "
                f"{self.source} {_side_text(pair.egress, ('sends it', 'does not send it', 'sends'))}; "
                f"{self.target} {_side_text(pair.ingress, ('accepts it', 'drops it', 'accepts'))}."
            )
        for flow in flows:
            yield f"Flow {flow.flow} ({', '.join(flow.services)}): {flow.text}"
        if not flows:
            yield self._no_flow()
        interfaces = self.plan.inventory.hosts[self.target].trusted_interfaces
        if interfaces and self.is_managed:
            yield (
                f"{self.target} accepts all packets on {_joined(interfaces)}, regardless of flows, because it trusts "
                "these interfaces."
            )

    def _no_flow(self) -> str:
        services = [name for name, service in self.plan.catalogue.services.items() if self._covers(service)]
        others = {name: flow for name, flow in self.plan.catalogue.flows.items() if set(services) & set(flow.services)}
        if not others:
            return f"No flow has {self.port}."
        targets = _joined({target for flow in others.values() for target in flow.targets})
        return f"No flow with {self.port} goes to {self.target}: {_joined(others)} go to {targets}."

    def advice(self, flows: tuple[FlowReason, ...]) -> Iterator[str]:
        """Yield changes that would each allow the connection. The last one is to add a flow.

        If a flow lacks only an address of the source, no flow is to be added.
        """
        lacking_addresses = [text for reason in flows if reason.reason == APPLIES for text in self._lacking(reason)]
        yield from lacking_addresses
        for flow_reason in flows:
            yield from self._change(flow_reason)
        if not lacking_addresses:
            yield self._missing_flow()

    def _change(self, flow_reason: FlowReason) -> Iterator[str]:
        """Yield changes to a flow that does not apply, or to its endpoints, with which it would."""
        flow, services = self.plan.catalogue.flows[flow_reason.flow], list(flow_reason.services)
        key = f"firewall_flows.{flow.name}"
        if flow_reason.reason == EGRESS:
            yield f"Put a group of {self.source} into an endpoint of {key}.from, not only its network."
        elif not self._would_apply(flow, services):
            return
        elif flow_reason.reason == OFF and self._is_source(flow) and self._is_target(flow):
            yield f"Set {key}.enabled to true."
        elif flow_reason.reason == NOT_A_SOURCE:
            yield from remedies(self._excluded(flow, source=True))
        elif flow_reason.reason == NOT_A_TARGET and self._is_source(flow):
            yield from remedies(self._excluded(flow, source=False))

    def _would_apply(self, flow: Flow, services: list[str]) -> bool:
        """Return whether a flow that is on, and has the source and the target, would apply."""
        return (not flow.within_cluster or self._shares_cluster()) and not self._claimed_by(flow, services)

    def _lacking(self, flow_reason: FlowReason) -> Iterator[str]:
        """Yield how to let a flow that allows some source addresses allow those that no flow allows."""
        flow = self.plan.catalogue.flows[flow_reason.flow]
        allowed = {pair.source_address for pair in self._pairs if self._accepts(flow.name, pair.source_address)}
        denied = {pair.source_address for pair in self._pairs if pair.ingress.reason == "no flow"} - allowed
        for address in sorted(denied):
            for text in self._bringing_in(flow, address):
                yield f"Flow {flow.name} allows it only from {_joined(allowed)}. {text}"

    def _bringing_in(self, flow: Flow, address: str) -> list[str]:
        """Return how to bring another address of the source into an endpoint or a cluster that has one."""
        if self._counts_by_cluster_network(flow):
            keys = dict.fromkeys(self._cluster_networks.values())
            return [adding(key, self.source, parse_network(address)) for key in keys]
        return lacking(self.plan.addresses, flow.sources, self.source, address)

    def _missing_flow(self) -> str:
        services_by_name = self.plan.catalogue.services
        services = [
            name for name, service in services_by_name.items() if service.has_own_ports and self._covers(service)
        ]
        wanted = " or ".join(services) if services else f"a new service with {self.port}"
        return f"Add a flow from {self._endpoint(self.source)} to {self._endpoint(self.target)} on {wanted}."

    def _endpoint(self, host: str) -> str:
        groups = [
            name
            for name, members in self.plan.inventory.groups.items()
            if host in members and name not in ("all", "ungrouped")
        ]
        return f"{host} (in {_joined(groups)})" if groups else host


def _side_text(judgement: Judgement, words: tuple[str, str, str]) -> str:
    """Return what a host does and why, such as `accepts it (flow x)`. The words are for yes, no and unknown."""
    yes, no, verb = words
    if judgement.reason == "not managed":
        return f"is not managed, so the plan does not say what it {verb}"
    if judgement.reason == "no flow":
        return (
            f"{yes} (no flow allows it, but the host is in observe mode)"
            if judgement.passes
            else f"{no} (no flow allows it)"
        )
    return f"{yes} ({judgement.reason})"


def _joined(names: Any) -> str:
    """Return the sorted names, with commas between them."""
    return ", ".join(sorted(names))
