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
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.address_classes import Kind, address_kinds

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
    from netaddr import IPNetwork

OPEN, FILTERED = "open", "filtered"
_FLOW = "flow "


class Expectation(NamedTuple):
    """One connection: it is `open` by a flow (in observe mode by none), or `filtered`, then denied by source or target.

    `address` is the target's. `denied_by` is empty for an open one, else `source` or `target`.
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
    """Connections that nothing is expected of, and why; an empty `source` or `target` stands for many."""

    source: str
    target: str
    connections: int
    reason: str


class Address(NamedTuple):
    """An address of a host; addresses of one `kind` are of one family, and no policy tells them apart.

    `isolated` is the isolated network that it is in, or empty: the same for all of a kind.
    """

    text: str
    version: int
    kind: int
    isolated: str = ""


@dataclass
class Connections:
    """The connections among some hosts. Answers are kept: what is asked once for hosts alike is known for all.

    By host, `reached` has the addresses where it is reached, and `comes_from` those it comes from.
    """

    plan: Plan
    hosts: list[str]
    _skipped: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _policies: dict[str, Policy] = field(default_factory=dict)
    _narrowed: dict[tuple[str, str, str, int], Policy] = field(default_factory=dict)
    _judged: dict[tuple[str, str, str, int, Kind], Judgement] = field(default_factory=dict)
    _seen: dict[tuple[str, int], Kind] = field(default_factory=dict)
    _froms: dict[tuple[str, int, str], list[Address]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.managed = [host for host in self.hosts if host in self.plan.hosts]
        reached = {host: self._found(host, source=False) for host in self.hosts}
        comes_from = {host: self._found(host, source=True) for host in self.hosts}
        found = address_kinds(
            self.plan.policies.values(),
            (network for by_host in (reached, comes_from) for networks in by_host.values() for network in networks),
            self.plan.catalogue.isolated,
        )
        self.kinds = found.kinds
        self.reached, self.comes_from = (
            {
                host: [
                    Address(str(item.ip), item.version, found.numbers[item], found.kinds[found.numbers[item]].isolated)
                    for item in networks
                ]
                for host, networks in by_host.items()
            }
            for by_host in (reached, comes_from)
        )
        self._texts = {host: frozenset(item.text for item in items) for host, items in self.reached.items()}

    def _found(self, host: str, source: bool) -> list[IPNetwork]:
        """Return the addresses of a host, none for an unmanaged host whose name does not resolve (see `why_not`)."""
        try:
            return self.plan.addresses.host_networks([host], source)
        except PortFileError:
            if host in self.plan.hosts:
                raise
            return []

    def policy(self, key: str) -> Policy:
        """Return the policy of a digest."""
        if key not in self._policies:
            self._policies[key] = parse_policy(self.plan.policies[key])
        return self._policies[key]

    def why_not(self, source: str, target: str) -> str:
        """Return why nothing can be expected of any connection of two hosts; empty where something can."""
        if not self.comes_from[source]:
            return f"{source} has no address that resolves; set firewall_source_addresses."
        if self._texts[source] & self._texts[target]:
            return f"{source} and {target} have an address in common."
        return ""

    def froms(self, host: str, target: Address) -> list[Address]:
        """Return the addresses that a host comes from to a target: of its family, and with a way to it."""
        key = (host, target.version, target.isolated)
        if key not in self._froms:
            self._froms[key] = [
                item
                for item in self.comes_from[host]
                if (item.version, item.isolated) == (target.version, target.isolated)
            ]
        return self._froms[key]

    def no_way(self, host: str, target: Address) -> str:
        """Return why a host has no address with a way to a target though it has some of its family; else nothing."""
        family = [item for item in self.comes_from[host] if item.version == target.version]
        if not family or self.froms(host, target):
            return ""
        if target.isolated:
            return f"{target.text} is in the isolated network {target.isolated}, where {host} has no address."
        networks = ", ".join(sorted({item.isolated for item in family}))
        return f"{host} has addresses in the isolated network {networks} only, and {target.text} is in another."

    def expectation(self, source: str, target: str, address: Address, protocol: str, port: int) -> Expectation | None:
        """Return what is expected; None where it is the target that depends on the address the source takes."""
        outward = self.judgement(source, "out", protocol, port, address)
        inward = {self.judgement(target, "in", protocol, port, peer) for peer in self.froms(source, address)}
        if len({item.passes and outward.passes for item in inward}) != 1:
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
        """Return what the policy of a host says. The interface of a packet is not known, so none counts as trusted."""
        policy = self.plan.hosts.get(host)
        if policy is None:
            return Judgement(True, "not managed")
        key = (policy, direction, protocol, port, self._seen_by(policy, peer.kind))
        if key not in self._judged:
            packet = Packet(direction, protocol, peer.text, port, interface="")
            self._judged[key] = evaluate(self._rules_for(policy, packet), packet)
        return self._judged[key]

    def has_rule(self, host: str, flow: str, packet: Packet) -> bool:
        """Return whether this flow alone accepts a packet at a managed host."""
        rules = self._rules_for(self.plan.hosts[host], packet)
        ours = tuple(rule for rule in rules.rules if rule.flow == flow)
        return evaluate(rules._replace(rules=ours), packet).reason == _FLOW + flow

    def _seen_by(self, policy: str, kind: int) -> Kind:
        """Return a kind reduced to the networks of one policy, to which many kinds are equal."""
        if (policy, kind) not in self._seen:
            known = self.plan.policies[policy]["networks"].keys()
            self._seen[policy, kind] = self.kinds[kind]._replace(networks=self.kinds[kind].networks.intersection(known))
        return self._seen[policy, kind]

    def _rules_for(self, key: str, packet: Packet) -> Policy:
        """Return the policy with only the rules for this port: the judgement is the same, and faster."""
        short = (key, packet.direction, packet.protocol, packet.port)
        if short not in self._narrowed:
            policy = self.policy(key)
            self._narrowed[short] = policy._replace(
                rules=tuple(
                    rule for rule in policy.rules if rule.direction == packet.direction and covers_port(rule, packet)
                )
            )
        return self._narrowed[short]

    def skip(self, source: str, target: str, reason: str, connections: int = 1) -> None:
        """Note that nothing is expected of connections, and why."""
        self._skipped[source, target, reason] += connections

    def skip_dependent(self, source: str, target: str, address: Address) -> None:
        """Note a connection of which `expectation` says nothing."""
        froms = ", ".join(item.text for item in self.froms(source, address))
        self.skip(
            source,
            target,
            f"{target} would judge the addresses {froms} of {source} differently; set "
            "firewall_source_addresses to the one that it comes from.",
        )

    def skipped(self) -> list[Skipped]:
        """Return what was skipped, in the order of the first of each."""
        return [Skipped(source, target, count, reason) for (source, target, reason), count in self._skipped.items()]


def port_text(item: Expectation) -> str:
    """Return the port in the form of the port file."""
    return f"{item.port}/{item.protocol}"


def by_kind(addresses: Iterable[Address]) -> dict[int, list[Address]]:
    """Return addresses by their kind, in order."""
    result = defaultdict(list)
    for item in addresses:
        result[item.kind].append(item)
    return dict(result)
