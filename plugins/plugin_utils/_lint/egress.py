# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find what hosts with restricted egress need and may not open: name servers, time, a directory, the platform."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Set
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import (
    PortRange,
    common_ports,
    parse_policy_ports,
    parse_ports,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.findings import (
    Finding,
    and_more,
    flow_key,
    hosts_text,
    ports_text,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.networks import named_ports, widest_breach
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import NEEDS, Flow
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import (
    PLATFORM_PREFIX,
    collapsed,
    parse_network,
)

if TYPE_CHECKING:
    from netaddr import IPNetwork


class Basic(NamedTuple):
    """Servers that most hosts need: the ports of which one must be open, and the shipped flow and endpoint."""

    title: str
    ports: tuple[PortRange, ...]
    flow: str
    endpoint: str


BASICS = (
    Basic("name servers", tuple(map(parse_ports, ("53/udp", "53/tcp"))), "dns", "dns_servers"),
    Basic("time servers", (parse_ports("123/udp"),), "ntp", "ntp_servers"),
    Basic(
        "a directory",
        tuple(map(parse_ports, ("389/tcp", "636/tcp", "88/tcp", "88/udp"))),
        "directory",
        "directory_servers",
    ),
)
# Hosts without a directory have local users. That is common, so it is a note if nothing else is missing.
_DIRECTORY = BASICS[-1]
# The shipped flow that opens the way out from other hosts to the platform.
_PLATFORM_CLIENTS = "platform_clients"


def _restricted_egress(plan: Plan, today: date) -> Iterator[Finding]:
    hosts_by_missing: dict[tuple[Basic, ...], list[str]] = defaultdict(list)
    for digest, hosts in _restricted_hosts(plan).items():
        missing = tuple(basic for basic in BASICS if not _rules_out(plan, digest, basic.ports))
        hosts_by_missing[missing] += hosts
    for missing, hosts in sorted(hosts_by_missing.items()):
        if missing:
            yield Finding(
                "restricted-egress",
                "note" if missing == (_DIRECTORY,) else "warning",
                _subject(plan, missing[0]),
                f"No flow opens the way out from {hosts_text(sorted(hosts))}, whose egress is restricted, to "
                f"{_joined(f'{basic.title} ({ports_text(basic.ports)})' for basic in missing)}. If the hosts use any, "
                f"{_joined(dict.fromkeys(_to_do(plan, basic) for basic in missing))}.",
            )


def _subject(plan: Plan, basic: Basic) -> str:
    return f"firewall_flows.{basic.flow}" if basic.flow in plan.catalogue.flows else "firewall_flows"


def _to_do(plan: Plan, basic: Basic) -> str:
    flow = plan.catalogue.flows.get(basic.flow)
    if flow is None:
        return "write a flow to them"
    if flow.enabled is False:
        return f"turn on firewall_flows.{flow.name}"
    if flow.name in plan.flows_on and not plan.addresses.is_empty(flow.targets):
        return f"add a group of the hosts to firewall_flows.{flow.name}.from"
    return f"write their addresses into firewall_endpoints.{basic.endpoint}"


def _joined(texts: Iterable[str]) -> str:
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last


def _restricted_hosts(plan: Plan) -> dict[str, list[str]]:
    """Return the hosts with restricted egress by policy."""
    hosts: dict[str, list[str]] = defaultdict(list)
    for host, digest in plan.hosts.items():
        if plan.policies[digest]["egress"] == "restricted":
            hosts[digest].append(host)
    return hosts


def _rules_out(plan: Plan, digest: str, ports: Iterable[PortRange]) -> list[str]:
    """Return the keys of the networks to which a policy opens one of the ports."""
    ports = list(ports)
    return [
        rule["peers"]
        for rule in plan.policies[digest]["rules"]
        if rule["direction"] == "out" and common_ports(map(parse_policy_ports, rule["ports"]), ports)
    ]


def _anywhere_egress(plan: Plan, today: date) -> Iterator[Finding]:
    """Find hosts that may not open what a flow from anywhere accepts: `anywhere` has no hosts, so opens no way out."""
    flows_by_targets: dict[frozenset[str], list[Flow]] = defaultdict(list)
    for flow in plan.flows_on.values():
        managed = frozenset(_members(plan, flow.targets).intersection(plan.hosts))
        if managed and _is_from_anywhere(plan, flow):
            flows_by_targets[managed].append(flow)
    restricted = _restricted_hosts(plan) if flows_by_targets else {}
    flows_by_text: dict[str, list[Flow]] = defaultdict(list)
    for targets, flows in flows_by_targets.items():
        hosts = sorted(_cut_off(plan, restricted, targets, flows) - targets)
        if hosts:
            flows_by_text[_cut_off_text(plan, hosts, targets)].append(min(flows, key=_rank))
    for text, flows in flows_by_text.items():
        yield Finding("anywhere-egress", "note", flow_key(flows[0]), f"{_first(flows)} {text}")


def _first(flows: list[Flow]) -> str:
    others = [flow.name for flow in flows[1:]]
    return f"Does not open, nor does flow {others[0]}{and_more(others)}," if others else "Does not open"


def _cut_off_text(plan: Plan, hosts: list[str], targets: Set[str]) -> str:
    return (
        f"the way out from {hosts_text(hosts)}, whose egress is restricted, because only a flow with these hosts in "
        f"from does. If they use it, {_line_to_write(plan, hosts, targets)}."
    )


def _is_from_anywhere(plan: Plan, flow: Flow) -> bool:
    return widest_breach(plan.addresses.outside(flow.sources, None), PLATFORM_PREFIX) is not None


def _rank(flow: Flow) -> int:
    """Return the sort key of flows, the most important first."""
    return NEEDS.index(flow.need)


def _cut_off(plan: Plan, restricted: dict[str, list[str]], targets: Iterable[str], flows: Iterable[Flow]) -> set[str]:
    """Return the hosts that may open none of the flows' ports to any of the targets."""
    ports = [port for flow in flows for port in named_ports(plan, flow)]
    addresses = [parse_network(text) for text in collapsed(plan.addresses.host_networks(targets))]
    return {
        host
        for digest, hosts in restricted.items()
        if not any(_overlaps(plan, digest, peers, addresses) for peers in _rules_out(plan, digest, ports))
        for host in hosts
    }


def _overlaps(plan: Plan, digest: str, peers: str, addresses: list[IPNetwork]) -> bool:
    networks = [parse_network(text) for text in plan.policies[digest]["networks"][peers]]
    return any(address in network or network in address for address in addresses for network in networks)


def _line_to_write(plan: Plan, hosts: list[str], targets: Set[str]) -> str:
    clients = plan.catalogue.flows.get(_PLATFORM_CLIENTS)
    named: set[str] = set()
    if clients and clients.name not in plan.flows_on and targets & _members(plan, clients.targets):
        named = _members(plan, clients.sources)
    others = [host for host in hosts if host not in named]
    line = f"write firewall_flows: {{{_PLATFORM_CLIENTS}: {{enabled: true}}}}"
    flow = "write a flow with a group of these hosts in from"
    if others and len(others) < len(hosts):
        return f"{line}, and for {hosts_text(others)} {flow}"
    return flow if others else line


def _members(plan: Plan, endpoints: Iterable[str]) -> set[str]:
    return {host for name in endpoints for host in plan.addresses.members(name)}


RULES = (_restricted_egress, _anywhere_egress)
