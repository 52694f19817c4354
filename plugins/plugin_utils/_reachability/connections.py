# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections: what a plan says of one, from a host that may not be managed to an address and port of one that is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Judgement, Packet, covers_port, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.address_classes import AddressKind, address_kinds

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
    from netaddr import IPNetwork

OPEN, FILTERED = "open", "filtered"
_FLOW = "flow "


class Expectation(NamedTuple):
    """One connection, and whether it is `open` or `filtered` according to the plan.

    `address` is the address of the target. `flow` is the flow that opens it; in observe mode, there may be none.
    `denied_by` is `source` or `target` for a filtered connection, and empty for an open one.
    """

    source: str
    target: str
    address: str
    protocol: str
    port: int
    expected: str
    flow: str = ""
    denied_by: str = ""


class Skipped(NamedTuple):
    """Connections without an expectation, and why. An empty `source` or `target` stands for several hosts."""

    source: str
    target: str
    connections: int
    reason: str


class Address(NamedTuple):
    """An address of a host. `kind` is the number of its kind: no policy distinguishes addresses of one kind.

    `isolated` is the isolated network that contains it, or empty.
    """

    text: str
    version: int
    kind: int
    isolated: str = ""


@dataclass
class Connections:
    """The connections among some hosts. Judgements are cached, because equal hosts share them.

    `reached` has the addresses by which each host is reached, and `comes_from` its source addresses.
    """

    plan: Plan
    hosts: list[str]
    _skipped: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _policies: dict[str, Policy] = field(default_factory=dict)
    _policies_by_port: dict[tuple[str, str, str, int], Policy] = field(default_factory=dict)
    _judgements: dict[tuple[str, str, str, int, AddressKind], Judgement] = field(default_factory=dict)
    _kinds_by_policy: dict[tuple[str, int], AddressKind] = field(default_factory=dict)
    _source_addresses: dict[tuple[str, int, str], list[Address]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.managed = [host for host in self.hosts if host in self.plan.hosts]
        reached = {host: self._networks_of(host, source=False) for host in self.hosts}
        comes_from = {host: self._networks_of(host, source=True) for host in self.hosts}
        numbered = address_kinds(
            self.plan.policies.values(),
            (network for by_host in (reached, comes_from) for networks in by_host.values() for network in networks),
            self.plan.catalogue.isolated,
        )
        self.kinds = numbered.kinds
        self.reached, self.comes_from = (
            {
                host: [
                    Address(
                        str(network.ip),
                        network.version,
                        numbered.numbers[network],
                        numbered.kinds[numbered.numbers[network]].isolated,
                    )
                    for network in networks
                ]
                for host, networks in by_host.items()
            }
            for by_host in (reached, comes_from)
        )
        self._texts = {
            host: frozenset(address.text for address in addresses) for host, addresses in self.reached.items()
        }

    def _networks_of(self, host: str, source: bool) -> list[IPNetwork]:
        """Return the addresses of a host. An unmanaged host whose name does not resolve has none (see `why_not`)."""
        try:
            return self.plan.addresses.host_networks([host], source)
        except PortFileError:
            if host in self.plan.hosts:
                raise
            return []

    def policy(self, key: str) -> Policy:
        """Return the policy with this digest."""
        if key not in self._policies:
            self._policies[key] = parse_policy(self.plan.policies[key])
        return self._policies[key]

    def why_not(self, source: str, target: str) -> str:
        """Return why no connection between two hosts has an expectation; empty if connections have one."""
        if not self.comes_from[source]:
            return f"{source} has no address that resolves; set firewall_source_addresses."
        if self._texts[source] & self._texts[target]:
            return f"{source} and {target} have an address in common."
        return ""

    def source_addresses(self, host: str, target: Address) -> list[Address]:
        """Return the source addresses of a host for a target: those of its address family with a route to it."""
        key = (host, target.version, target.isolated)
        if key not in self._source_addresses:
            self._source_addresses[key] = [
                address
                for address in self.comes_from[host]
                if (address.version, address.isolated) == (target.version, target.isolated)
            ]
        return self._source_addresses[key]

    def no_route(self, host: str, target: Address) -> str:
        """Return why no address of a host has a route to a target; empty if one has, or if none is of its family."""
        family = [address for address in self.comes_from[host] if address.version == target.version]
        if not family or self.source_addresses(host, target):
            return ""
        if target.isolated:
            return f"{target.text} is in the isolated network {target.isolated}, where {host} has no address."
        networks = ", ".join(sorted({address.isolated for address in family}))
        return f"{host} has addresses in the isolated network {networks} only, and {target.text} is in another."

    def expectation(self, source: str, target: str, address: Address, protocol: str, port: int) -> Expectation | None:
        """Return the expectation, or None if the target treats the addresses of the source differently."""
        outward = self.judgement(source, "out", protocol, port, address)
        inward = {self.judgement(target, "in", protocol, port, peer) for peer in self.source_addresses(source, address)}
        if len({ingress.passes and outward.passes for ingress in inward}) != 1:
            return None
        judgement = min(inward)
        passes = outward.passes and judgement.passes
        return Expectation(
            source,
            target,
            address.text,
            protocol,
            port,
            OPEN if passes else FILTERED,
            flow=judgement.reason[len(_FLOW) :] if passes and judgement.reason.startswith(_FLOW) else "",
            denied_by="" if passes else "source" if judgement.passes else "target",
        )

    def judgement(self, host: str, direction: str, protocol: str, port: int, peer: Address) -> Judgement:
        """Return the judgement of a host's policy. The interface is not known, so it never counts as trusted."""
        policy = self.plan.hosts.get(host)
        if policy is None:
            return Judgement(True, "not managed")
        key = (policy, direction, protocol, port, self._kind_in_policy(policy, peer.kind))
        if key not in self._judgements:
            packet = Packet(direction, protocol, peer.text, port, interface="")
            self._judgements[key] = evaluate(self._policy_for_port(policy, packet), packet)
        return self._judgements[key]

    def has_rule(self, host: str, flow: str, packet: Packet) -> bool:
        """Return whether this flow alone accepts a packet at a managed host."""
        rules = self._policy_for_port(self.plan.hosts[host], packet)
        ours = tuple(rule for rule in rules.rules if rule.flow == flow)
        return evaluate(rules._replace(rules=ours), packet).reason == _FLOW + flow

    def _kind_in_policy(self, policy: str, kind: int) -> AddressKind:
        """Return a kind with only the networks of one policy. Many kinds are equal for one policy."""
        if (policy, kind) not in self._kinds_by_policy:
            networks = self.plan.policies[policy]["networks"].keys()
            self._kinds_by_policy[policy, kind] = self.kinds[kind]._replace(
                networks=self.kinds[kind].networks.intersection(networks)
            )
        return self._kinds_by_policy[policy, kind]

    def _policy_for_port(self, key: str, packet: Packet) -> Policy:
        """Return the policy with only the rules for this port: the judgement is the same, and faster."""
        packet_key = (key, packet.direction, packet.protocol, packet.port)
        if packet_key not in self._policies_by_port:
            policy = self.policy(key)
            self._policies_by_port[packet_key] = policy._replace(
                rules=tuple(
                    rule for rule in policy.rules if rule.direction == packet.direction and covers_port(rule, packet)
                )
            )
        return self._policies_by_port[packet_key]

    def skip(self, source: str, target: str, reason: str, connections: int = 1) -> None:
        """Note connections without an expectation, and why."""
        self._skipped[source, target, reason] += connections

    def skip_dependent(self, source: str, target: str, address: Address) -> None:
        """Note a connection for which `expectation` returns None."""
        peers = ", ".join(peer.text for peer in self.source_addresses(source, address))
        self.skip(
            source,
            target,
            f"{target} would judge the addresses {peers} of {source} differently; set "
            "firewall_source_addresses to the one that it comes from.",
        )

    def skipped(self) -> list[Skipped]:
        """Return the skipped connections, one for each pair of hosts and reason, in the order of the first note."""
        return [Skipped(source, target, count, reason) for (source, target, reason), count in self._skipped.items()]


def port_text(expectation: Expectation) -> str:
    """Return the port in the form of the port file."""
    return f"{expectation.port}/{expectation.protocol}"


def by_kind(addresses: Iterable[Address]) -> dict[int, list[Address]]:
    """Return addresses by their kind, in order."""
    addresses_by_kind = defaultdict(list)
    for address in addresses:
        addresses_by_kind[address.kind].append(address)
    return dict(addresses_by_kind)
