# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what hosts do now with the plan: what it would close, and what it opens for nobody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.answers import Answer, Connection, Listener

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan


class Denied(NamedTuple):
    """Connections of hosts that the policy does not allow to be opened, on one port in one direction.

    `peers` are addresses, `number` is how many connections there are. `listeners` are the processes that have the port
    on the hosts, with their units.
    """

    hosts: tuple[str, ...]
    direction: str
    protocol: str
    port: int
    peers: tuple[str, ...]
    number: int
    listeners: tuple[str, ...]


class Unreached(NamedTuple):
    """A port on which hosts listen for others, and that no flow opens to anybody."""

    hosts: tuple[str, ...]
    protocol: str
    port: int
    listener: str


class Unserved(NamedTuple):
    """A flow that opens ports of hosts on which nothing listens."""

    hosts: tuple[str, ...]
    flow: str
    ports: tuple[str, ...]


class Findings(NamedTuple):
    """All differences; each is listed once for all hosts that have it."""

    denied: list[Denied]
    unreached: list[Unreached]
    unserved: list[Unserved]


def findings_of(plan: Plan, answers: Mapping[str, Answer]) -> Findings:
    """Return the differences between the plan and what its managed hosts do now."""
    policies = {key: parse_policy(policy)._replace(mode="enforce") for key, policy in plan.policies.items()}
    by_host = {host: policies[plan.hosts[host]] for host in sorted(answers) if host in plan.hosts}
    return Findings(_denied(by_host, answers), _unreached(by_host, answers), _unserved(plan, by_host, answers))


# ---- connections that the policy would not let be opened


def _denied(policies: Mapping[str, Policy], answers: Mapping[str, Answer]) -> list[Denied]:
    groups: dict[tuple[str, str, int], list[tuple[str, Connection]]] = defaultdict(list)
    for host, policy in policies.items():
        for connection in answers[host].connections:
            if not _is_allowed(policy, connection):
                groups[connection.direction, connection.protocol, connection.port].append((host, connection))
    return [
        _denied_group(direction, protocol, port, found, answers)
        for (direction, protocol, port), found in sorted(groups.items())
    ]


def _is_allowed(policy: Policy, connection: Connection) -> bool:
    """Return whether the policy lets the connection be opened. Its interface is not known, so none is trusted."""
    packet = Packet(connection.direction, connection.protocol, connection.peer, connection.port, interface="")
    return evaluate(policy, packet).passes


def _denied_group(
    direction: str, protocol: str, port: int, found: list[tuple[str, Connection]], answers: Mapping[str, Answer]
) -> Denied:
    hosts = tuple(dict.fromkeys(host for host, _connection in found))
    listeners = {
        _holder(listener)
        for host in hosts
        for listener in answers[host].listeners
        if (direction, listener.protocol, listener.port) == ("in", protocol, port)
    }
    return Denied(
        hosts,
        direction,
        protocol,
        port,
        tuple(sorted({connection.peer for _host, connection in found})),
        sum(connection.number for _host, connection in found),
        tuple(sorted(listeners - {""})),
    )


def _holder(listener: Listener) -> str:
    """Return who listens, such as `gmond (gmond.service)`."""
    unit = f" ({listener.unit})" if listener.unit else ""
    return f"{listener.process}{unit}" if listener.process else listener.unit


# ---- listeners and flows without each other


def _unreached(policies: Mapping[str, Policy], answers: Mapping[str, Answer]) -> list[Unreached]:
    hosts: dict[tuple[str, int, str], list[str]] = defaultdict(list)
    for host, policy in policies.items():
        for listener in answers[host].listeners:
            if not listener.is_local and not _is_opened(policy, listener):
                hosts[listener.protocol, listener.port, _holder(listener)].append(host)
    return [Unreached(tuple(dict.fromkeys(names)), *key) for key, names in sorted(hosts.items())]


def _is_opened(policy: Policy, listener: Listener) -> bool:
    return any(
        ports.covers(listener.protocol, listener.port)
        for rule in policy.rules
        if rule.direction == "in"
        for ports in rule.ports
    )


def _unserved(plan: Plan, policies: Mapping[str, Policy], answers: Mapping[str, Answer]) -> list[Unserved]:
    hosts: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for host, policy in policies.items():
        for flow, ports in _flows_without_listener(plan, policy, answers[host].listeners):
            hosts[flow, ports].append(host)
    return [Unserved(tuple(names), flow, ports) for (flow, ports), names in sorted(hosts.items())]


def _flows_without_listener(
    plan: Plan, policy: Policy, listeners: Iterable[Listener]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the flows that open ports of a host, none of which has a listener. Broad services are for any program."""
    held = [listener for listener in listeners if not listener.is_local]
    for rule in policy.rules:
        services = [plan.catalogue.services[name] for name in plan.flows_on[rule.flow].services]
        ports = [ports for ports in rule.ports if ports.protocol != "ip"]
        if rule.direction != "in" or not ports or any(service.broad for service in services):
            continue
        if not any(ports.covers(item.protocol, item.port) for ports in ports for item in held):
            yield rule.flow, tuple(map(str, ports))
