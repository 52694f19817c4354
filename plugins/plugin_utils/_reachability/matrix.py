# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reaches whom: the ports that the flows of a plan open between classes of hosts, and to networks outside.

A host in observe mode and a trusted interface accept more than the flows; the matrix has only what the flows open.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Rule
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, common_ports, merged
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import parse_network
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import Address, Connections
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.host_classes import HostClass, classes_of

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan


class Opening(NamedTuple):
    """Ports of one class of hosts that one flow opens to another class; `services` are those of the flow with them."""

    source: HostClass
    target: HostClass
    flow: str
    services: tuple[str, ...]
    ports: tuple[PortRange, ...]


class OutsideOpening(NamedTuple):
    """Ports of a class of hosts that one flow opens to networks that are no addresses of hosts in the inventory.

    `endpoints` are the sources of the flow with these networks. For what a class may open, the roles are swapped: the
    ports are those of the networks, and `endpoints` are targets of the flow.
    """

    target: HostClass
    flow: str
    services: tuple[str, ...]
    ports: tuple[PortRange, ...]
    endpoints: tuple[str, ...]
    networks: tuple[str, ...]


class Matrix(NamedTuple):
    """The classes of all hosts, and what is open to whom. Only managed hosts are targets.

    `outward` is what classes with restricted egress may open to networks with addresses of no managed host.
    """

    classes: list[HostClass]
    openings: list[Opening]
    outside: list[OutsideOpening]
    outward: Sequence[OutsideOpening] = ()


def matrix_of(plan: Plan) -> Matrix:
    """Return who reaches whom. The time grows with the number of pairs of classes, not of hosts."""
    connections = Connections(plan, sorted(plan.inventory.hosts))
    classes = classes_of(connections)
    search = _Search(connections)
    targets = [host_class for host_class in classes if host_class.policy]
    return Matrix(
        classes,
        [opening for target in targets for source in classes for opening in search.between(source, target)],
        [opening for target in targets for opening in search.outside(target)],
        [opening for source in targets for opening in search.outward(source)],
    )


def outside_of(plan: Plan, classes: Mapping[str, Sequence[str]]) -> list[OutsideOpening]:
    """Return what is open to networks outside the inventory on classes of hosts, which are given by name."""
    search = _Search(Connections(plan, sorted(plan.inventory.hosts)))
    targets = [
        HostClass(name, tuple(hosts), plan.hosts[hosts[0]], (), frozenset())
        for name, hosts in classes.items()
        if hosts[0] in plan.hosts
    ]
    return [opening for target in targets for opening in search.outside(target)]


def by_host(matrix: Matrix) -> Matrix:
    """Return the matrix with a class for each host."""
    single = {
        host: host_class._replace(name=host, members=(host,))
        for host_class in matrix.classes
        for host in host_class.members
    }
    return Matrix(
        list(single.values()),
        [
            opening._replace(source=single[source], target=single[target])
            for opening in matrix.openings
            for target in opening.target.members
            for source in opening.source.members
            if source != target
        ],
        [opening._replace(target=single[host]) for opening in matrix.outside for host in opening.target.members],
    )


def narrowed(matrix: Matrix, source: str = "", target: str = "", port: PortRange | None = None) -> Matrix:
    """Return what one host opens or is open to, or what is open of one port; an empty name is any host.

    The named host stands for itself, not for its class. Networks outside are no named source.
    """

    def cut(ports: tuple[PortRange, ...]) -> tuple[PortRange, ...]:
        return tuple(common_ports(ports, [port])) if port else ports

    openings = [
        opening._replace(
            source=_named(opening.source, source), target=_named(opening.target, target), ports=cut(opening.ports)
        )
        for opening in matrix.openings
        if _has(opening.source, source) and _has(opening.target, target) and cut(opening.ports)
    ]
    outside = [
        opening._replace(target=_named(opening.target, target), ports=cut(opening.ports))
        for opening in matrix.outside
        if not source and _has(opening.target, target) and cut(opening.ports)
    ]
    targets = [*(opening.target for opening in openings), *(opening.target for opening in outside)]
    return Matrix(list(dict.fromkeys(targets)), openings, outside)


def _has(host_class: HostClass, host: str) -> bool:
    return host in ("", *host_class.members)


def _named(host_class: HostClass, host: str) -> HostClass:
    return host_class._replace(name=host, members=(host,)) if host else host_class


@dataclass
class _Search:
    connections: Connections
    _rules: dict[tuple[str, str], list[tuple[str, Rule]]] = field(default_factory=dict)
    _allowed: dict[tuple[str, frozenset[str]], list[PortRange]] = field(default_factory=dict)
    _addresses: list[tuple[int, int]] = field(init=False)
    _managed: list[tuple[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        self._addresses = self._numbers(self.connections.hosts)
        self._managed = self._numbers(self.connections.managed)

    def _numbers(self, hosts: Iterable[str]) -> list[tuple[int, int]]:
        """Return the addresses of hosts as numbers, sorted."""
        both = (self.connections.reached, self.connections.comes_from)
        texts = {address.text for host in hosts for by_host in both for address in by_host[host]}
        return sorted((network.version, network.first) for network in map(parse_network, texts))

    def between(self, source: HostClass, target: HostClass) -> Iterator[Opening]:
        """Yield what the flows open between two classes. The members of one class reach each other."""
        pair = (source.members[0], target.members[-1])
        if pair[0] == pair[1] or self.connections.why_not(*pair):
            return
        ports: dict[str, list[PortRange]] = defaultdict(list)
        for address in _one_of_each_kind(self.connections.reached[pair[1]]):
            for peer in _one_of_each_kind(self.connections.source_addresses(pair[0], address)):
                for rule in self._accepting(target.policy, "in", peer):
                    ports[rule.flow] += self._leaving(source.policy, rule.ports, address)
        for flow in sorted(flow for flow, ranges in ports.items() if ranges):
            ranges = merged(ports[flow])
            yield Opening(source, target, flow, self._services(flow, ranges), tuple(ranges))

    def outside(self, target: HostClass) -> Iterator[OutsideOpening]:
        """Yield what the flows open on a class for networks outside."""
        return self._outside(target, "in", self._addresses)

    def outward(self, source: HostClass) -> Iterator[OutsideOpening]:
        """Yield what a class with restricted egress may open to networks with addresses of no managed host."""
        return self._outside(source, "out", self._managed)

    def _outside(self, of: HostClass, direction: str, inside: list[tuple[int, int]]) -> Iterator[OutsideOpening]:
        networks_of = self.connections.plan.policies[of.policy]["networks"]
        for key, rule in sorted(self._rules_of(of.policy, direction), key=lambda pair: pair[1].flow):
            networks = tuple(network for network in networks_of[key] if not _is_of_hosts(network, inside))
            if networks:
                services = self._services(rule.flow, rule.ports)
                endpoints = self._endpoints(rule.flow, direction, networks)
                yield OutsideOpening(of, rule.flow, services, rule.ports, endpoints, networks)

    def _accepting(self, policy: str, direction: str, peer: Address) -> Iterator[Rule]:
        networks = self.connections.kinds[peer.kind].networks
        return (rule for key, rule in self._rules_of(policy, direction) if key in networks)

    def _leaving(self, policy: str, ports: Iterable[PortRange], target: Address) -> list[PortRange]:
        """Return those of the ports that the source may connect to; an unmanaged host may connect to all."""
        if not policy or self.connections.policy(policy).egress == "open":
            return list(ports)
        key = (policy, self.connections.kinds[target.kind].networks)
        if key not in self._allowed:
            rules = self._accepting(policy, "out", target)
            self._allowed[key] = merged(port_range for rule in rules for port_range in rule.ports)
        return common_ports(ports, self._allowed[key])

    def _rules_of(self, policy: str, direction: str) -> list[tuple[str, Rule]]:
        """Return the rules of a policy, each with the key of its networks."""
        if (policy, direction) not in self._rules:
            raw = self.connections.plan.policies[policy]["rules"]
            rules = zip(raw, self.connections.policy(policy).rules)
            self._rules[policy, direction] = [
                (data["peers"], rule) for data, rule in rules if rule.direction == direction
            ]
        return self._rules[policy, direction]

    def _services(self, flow: str, ports: Iterable[PortRange]) -> tuple[str, ...]:
        plan, ranges = self.connections.plan, list(ports)
        services = {name: plan.catalogue.services[name].ports for name in plan.flows_on[flow].services}
        return tuple(name for name, own in services.items() if common_ports(own, ranges))

    def _endpoints(self, flow: str, direction: str, networks: Iterable[str]) -> tuple[str, ...]:
        """Return the sources of a flow, or its targets for the direction `out`, that have some of these networks."""
        book, parsed = self.connections.plan.addresses, list(map(parse_network, networks))
        sides = self.connections.plan.flows_on[flow]
        return tuple(
            name
            for name in (sides.sources if direction == "in" else sides.targets)
            if any(own in network or network in own for own in book.networks(name) for network in parsed)
        )


def _is_of_hosts(network: str, addresses: list[tuple[int, int]]) -> bool:
    """Return whether all addresses of a network are among these, which are sorted."""
    parsed = parse_network(network)
    first = bisect_left(addresses, (parsed.version, parsed.first))
    after = bisect_right(addresses, (parsed.version, parsed.last))
    return bool(after - first == parsed.size)


def _one_of_each_kind(addresses: Iterable[Address]) -> list[Address]:
    return list({address.kind: address for address in addresses}.values())
