# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expectations: the connections that a plan says pass or must not, to be held against real ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils.evaluate import Judgement, Packet, covers_port, evaluate
from ansible_collections.hpc.ports.plugins.module_utils.policy import Policy, parse_policy, segments
from ansible_collections.hpc.ports.plugins.module_utils.ports import PortRange, without
from ansible_collections.hpc.ports.plugins.plugin_utils.errors import PortFileError, invalid

if TYPE_CHECKING:
    from netaddr import IPNetwork

    from ansible_collections.hpc.ports.plugins.plugin_utils.plan import Plan

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
    """Connections that nothing can be expected of, and why."""

    source: str
    target: str
    connections: int
    reason: str


class Expected(NamedTuple):
    """What a plan expects of some hosts. `unmanaged` are the sources that the plan gives no policy."""

    expectations: list[Expectation]
    skipped: list[Skipped]
    unmanaged: list[str]


def expected_of(plan: Plan, hosts: Collection[str], query: str = "") -> Expected:
    """Return the expectations among these hosts: each managed one as target, one of each kind of the others as source.

    `query` is a JMESPath expression that selects among the expectations. Raises PortFileError for a bad one.
    """
    work = _Work(plan, sorted(hosts))
    for number, target in enumerate(host for host in work.hosts if host in plan.hosts):
        for members in work.kinds:
            others = [name for name in members if name != target]
            if others:
                # Not always the first of a kind, so that the probes are shared among its members.
                work.pair(others[number % len(others)], target)
    found = selected(work.found, query)
    return Expected(found, work.skipped_all(), sorted({item.source for item in found} - plan.hosts.keys()))


def selected(expectations: list[Expectation], query: str) -> list[Expectation]:
    """Return the expectations that a JMESPath expression selects; all of them without one. Raises PortFileError."""
    if not query:
        return expectations
    import jmespath  # the controller has it, a sanity test has not
    from jmespath.exceptions import JMESPathError

    try:
        found = jmespath.search(query, [item._asdict() for item in expectations])
    except JMESPathError as exc:
        raise _invalid_query(query, str(exc)) from exc
    known = set(expectations)
    try:
        chosen = {Expectation(**item) for item in found}
    except TypeError as exc:
        raise _invalid_query(query, "It selects something else.") from exc
    if not chosen <= known:
        raise _invalid_query(query, "It selects something else.")
    return [item for item in expectations if item in chosen]


def _invalid_query(query: str, advice: str) -> PortFileError:
    return invalid("verify_query", query, "a JMESPath expression that selects expectations, such as [?target=='ctl1']",
                   advice)


# ---- who is probed by whom, where

@dataclass
class _Work:
    plan: Plan
    hosts: list[str]
    found: list[Expectation] = field(default_factory=list)
    _skipped: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _policies: dict[str, Policy] = field(default_factory=dict)
    _narrowed: dict[tuple[str, str, str, int], Policy] = field(default_factory=dict)
    _ports: dict[str, list[tuple[str, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._policies = {key: parse_policy(policy) for key, policy in self.plan.policies.items()}
        self._ports = {key: probed_ports(self.plan, policy) for key, policy in self._policies.items()}
        self._reached = {host: self._addresses(host, source=False) for host in self.hosts}
        self._comes_from = {host: self._addresses(host, source=True) for host in self.hosts}
        self.kinds = self._alike()

    def _addresses(self, host: str, source: bool) -> list[IPNetwork]:
        """An unmanaged host may have a name that does not resolve: it cannot be judged, and that is said."""
        try:
            return self.plan.addresses.host_networks([host], source)
        except PortFileError:
            if host in self.plan.hosts:
                raise
            return []

    def _alike(self) -> list[list[str]]:
        """Hosts of one policy, behind the same endpoints, in the same clusters, with addresses in the same networks."""
        plan = self.plan
        networks = {network for flow in plan.flows_on.values() for name in flow.sources
                    for network in plan.addresses.networks(name)}
        networks |= {network for cidrs in plan.catalogue.clusters.values() for network in cidrs}
        alike = defaultdict(list)
        for host in self.hosts:
            comes_from = frozenset((address.version, frozenset(network for network in networks if address in network))
                                   for address in self._comes_from[host])
            alike[plan.kinds.get(host), plan.hosts.get(host), comes_from].append(host)
        return list(alike.values())

    def pair(self, source: str, target: str) -> None:
        """Note what is expected of one source and one target."""
        if not self._comes_from[source]:
            self._skip(source, target, f"{source} has no address that resolves; set firewall_source_addresses.")
        elif set(self._reached[source]) & set(self._reached[target]):
            self._skip(source, target, f"{source} and {target} have an address in common.")
        else:
            for network in self._reached[target]:
                address = str(network.ip)
                froms = [str(item.ip) for item in self._comes_from[source] if item.version == network.version]
                for protocol, port in self._ports[self.plan.hosts[target]] if froms else ():
                    self._note(source, target, address, froms, protocol, port)

    def _note(self, source: str, target: str, address: str, froms: Sequence[str], protocol: str, port: int) -> None:
        outward = self._judged(source, "out", protocol, port, address)
        inward = {self._judged(target, "in", protocol, port, peer) for peer in froms}
        if len({item.passes and outward.passes for item in inward}) > 1:
            self._skip(source, target, f"{target} would judge the addresses {', '.join(froms)} of {source} differently;"
                       " set firewall_source_addresses to the one that it comes from.")
            return
        judgement = min(inward)
        passes = outward.passes and judgement.passes
        self.found.append(Expectation(
            source, target, address, protocol, port, OPEN if passes else FILTERED,
            flow=judgement.reason[len(_FLOW):] if passes and judgement.reason.startswith(_FLOW) else "",
            denied_by="" if passes else "source" if judgement.passes else "target"))

    def _judged(self, host: str, direction: str, protocol: str, port: int, peer: str) -> Judgement:
        """Which interface the packet takes is not known here, so none counts as trusted."""
        key = self.plan.hosts.get(host)
        if key is None:
            return Judgement(True, "not managed")
        packet = Packet(direction, protocol, peer, port, interface="")
        short = (key, direction, protocol, port)
        if short not in self._narrowed:
            # The same judgement from fewer rules: those of this port.
            policy = self._policies[key]
            self._narrowed[short] = policy._replace(rules=tuple(
                rule for rule in policy.rules if rule.direction == direction and covers_port(rule, packet)))
        return evaluate(self._narrowed[short], packet)

    def _skip(self, source: str, target: str, reason: str) -> None:
        self._skipped[source, target, reason] += 1

    def skipped_all(self) -> list[Skipped]:
        """Return what was skipped, the IP protocols that have no ports among it."""
        items = [Skipped(source, target, count, reason) for (source, target, reason), count in self._skipped.items()]
        portless = sorted({f"{service.name} ({ports})" for service in self.plan.catalogue.services.values()
                           for ports in service.ports if ports.protocol == "ip"})
        if portless:
            items.append(Skipped("", "", len(portless), f"No ports to probe: {', '.join(portless)}."))
        return items


# ---- which ports are probed

def probed_ports(plan: Plan, policy: Policy) -> list[tuple[str, int]]:
    """Return the ports to try on hosts of a policy: those of all named services, edges of broad ones, some nameless."""
    named = [ports for service in plan.catalogue.services.values() if not service.broad for ports in service.ports]
    found = {(ports.protocol, port) for ports in named for port in (ports.first, ports.last)} | _edges(plan, policy)
    for protocol in ("tcp", "udp"):
        rest = without([PortRange(protocol, 1, 65535)], named)
        found |= {(protocol, port) for port in (rest[0].first, rest[len(rest) // 2].first, rest[-1].last)}
    return sorted(item for item in found if item[0] != "ip" and 1 <= item[1] <= 65535)


def _edges(plan: Plan, policy: Policy) -> set[tuple[str, int]]:
    """The first and last port of each segment that a flow with a broad service opens, and their neighbours."""
    services = plan.catalogue.services
    broad = {flow.name for flow in plan.flows_on.values() if any(services[name].broad for name in flow.services)}
    found = set()
    for segment in segments(rule for rule in policy.rules if rule.direction == "in"):
        if any(rule.flow in broad for rule in segment.rules):
            first, last = segment.ports.first, segment.ports.last
            found |= {(segment.ports.protocol, port) for port in (first - 1, first, last, last + 1)}
    return found


def port_text(item: Expectation) -> str:
    """Return the port in the form of the port file."""
    return f"{item.port}/{item.protocol}"
