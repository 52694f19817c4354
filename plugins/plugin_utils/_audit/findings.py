# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what hosts do now with the plan: what it would close, and what it opens for nobody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, Rule, parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, common_ports, merged, without
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.allowed import peers_of
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.answers import Answer, Connection, served_by
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.ends import ADDRESS, HOST, End, Ends, is_impossible
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.seen import Count, Openings, Seen, seen_of

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan


class Unreached(NamedTuple):
    """Ports on which hosts listen for others, or that they publish, and that no flow opens to anybody."""

    hosts: tuple[str, ...]
    ports: str
    listener: str


class Unserved(NamedTuple):
    """A flow that opens ports of hosts on which nothing listens."""

    hosts: tuple[str, ...]
    flow: str
    ports: tuple[str, ...]


class Unused(NamedTuple):
    """A flow that has let no packet in to any of these hosts, whose rules have counted for at most so many seconds."""

    hosts: tuple[str, ...]
    flow: str
    ports: tuple[str, ...]
    seconds: int


class Findings(NamedTuple):
    """All differences; each is listed once for all hosts that have it. `unused` is None if no host counts packets."""

    denied: list[Seen]
    unreached: list[Unreached]
    unserved: list[Unserved]
    unused: list[Unused] | None


def findings_of(plan: Plan, answers: Mapping[str, Answer]) -> Findings:
    """Return the differences between the plan and what its managed hosts do now."""
    by_host = _policies(plan, answers)
    return Findings(
        _denied(plan, answers),
        _unreached(by_host, answers),
        _unserved(plan, by_host, answers),
        _unused(by_host, answers),
    )


def _policies(plan: Plan, answers: Iterable[str]) -> dict[str, Policy]:
    """Return the policy of each managed host, as if it was enforced."""
    policies = {key: parse_policy(policy)._replace(mode="enforce") for key, policy in plan.policies.items()}
    return {host: policies[plan.hosts[host]] for host in sorted(answers) if host in plan.hosts}


# ---- connections that the policy would not let be opened


def _denied_connections(plan: Plan, answers: Mapping[str, Answer]) -> Iterator[tuple[str, Connection]]:
    """Yield each host with its connections that its policy does not allow. No interface is trusted: it is not known."""
    policies = _policies(plan, answers)
    by_key = {plan.hosts[host]: policy for host, policy in policies.items()}
    allowed = cache(lambda key, direction, protocol, port: peers_of(by_key[key], direction, protocol, port))
    for host, policy in policies.items():
        for item in answers[host].connections:
            peer = ip_address(item.peer)
            peers = allowed(plan.hosts[host], item.direction, item.protocol, item.port)
            # It is much faster to look up the peer, but this leaves out what is always accepted.
            if not peers.have(peer.version, int(peer)) and not evaluate(policy, _opening(item)).passes:
                yield host, item


def _opening(item: Connection) -> Packet:
    return Packet(item.direction, item.protocol, item.peer, item.port, interface="")


def _denied(plan: Plan, answers: Mapping[str, Answer]) -> list[Seen]:
    ends, found = Ends(plan), Openings()
    for host, item in _denied_connections(plan, answers):
        own, peer = End(HOST, host), ends[item.peer].end
        if peer.kind == ADDRESS and is_impossible(item.peer):
            continue
        if item.direction == "in":
            found.add((item.protocol, item.port), own, peer, Count(item.number, 0, 0))
        else:
            found.add((item.protocol, item.port), peer, own, Count(0, item.number, 0))
    served = {host: served_by(answer.listeners, answer.published) for host, answer in answers.items()}
    return seen_of(plan, found, served)


# ---- listeners and flows without each other


def _unreached(policies: Mapping[str, Policy], answers: Mapping[str, Answer]) -> list[Unreached]:
    hosts: dict[tuple[PortRange, str], list[str]] = defaultdict(list)
    for host, policy in policies.items():
        opened = [ports for rule in _inward(policy) for ports in rule.ports]
        for served, holder in served_by(answers[host].listeners, answers[host].published):
            for ports in without([served], opened):
                hosts[ports, holder].append(host)
    return [
        Unreached(tuple(dict.fromkeys(names)), str(ports), holder) for (ports, holder), names in sorted(hosts.items())
    ]


def _inward(policy: Policy) -> list[Rule]:
    return [rule for rule in policy.rules if rule.direction == "in"]


def _unserved(plan: Plan, policies: Mapping[str, Policy], answers: Mapping[str, Answer]) -> list[Unserved]:
    hosts: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for host, policy in policies.items():
        served = [ports for ports, _holder in served_by(answers[host].listeners, answers[host].published)]
        for flow, ports in _flows_without_listener(plan, policy, served):
            hosts[flow, ports].append(host)
    return [Unserved(tuple(names), flow, ports) for (flow, ports), names in sorted(hosts.items())]


def _flows_without_listener(
    plan: Plan, policy: Policy, served: Sequence[PortRange]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the flows that open ports of a host, none of which has a listener. Broad services are for any program."""
    for rule in _inward(policy):
        services = [plan.catalogue.services[name] for name in plan.flows_on[rule.flow].services]
        ports = [ports for ports in rule.ports if ports.protocol != "ip"]
        if ports and not any(service.broad for service in services) and not common_ports(ports, served):
            yield rule.flow, tuple(map(str, ports))


# ---- flows that nobody uses


def _unused(policies: Mapping[str, Policy], answers: Mapping[str, Answer]) -> list[Unused] | None:
    """Return the flows without a packet on any host that counts, as far as no connection lives that they allow."""
    counting = {host: counters for host in policies if (counters := answers[host].counters)}
    rules: dict[str, dict[str, Rule]] = defaultdict(dict)
    for host, counters in counting.items():
        for rule in _inward(policies[host]):
            if rule.flow in counters.packets:
                rules[rule.flow][host] = rule
    unused = [
        Unused(
            tuple(by_host),
            flow,
            tuple(map(str, merged(ports for rule in by_host.values() for ports in rule.ports))),
            min(counting[host].seconds for host in by_host),
        )
        for flow, by_host in sorted(rules.items())
        if not any(counting[host].packets[flow] or _lives(rule, answers[host]) for host, rule in by_host.items())
    ]
    return unused if counting else None


def _lives(rule: Rule, answer: Answer) -> bool:
    """Return whether a connection lives that the rule allows: it may be older than the counters."""
    return any(
        connection.direction == "in"
        and any(ports.covers(connection.protocol, connection.port) for ports in rule.ports)
        and any(ip_address(connection.peer) in network for network in rule.peers)
        for connection in answer.connections
    )
