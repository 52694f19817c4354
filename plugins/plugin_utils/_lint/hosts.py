# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find hosts without a firewall in flows, and misspelt names of groups and variables in the inventory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date

from ansible_collections.hpc.ports.plugins.plugin_utils._lint.findings import Finding, and_more, flow_key, hosts_text
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import (
    CANONICAL_GROUPS,
    similar_group,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Flow
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import closest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import is_address, parse_address, single
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.variables import PREFIX, SETTINGS

# From this similarity on (0 to 1), a variable is taken for a misspelt name of ours.
_SAME_WORD = 0.75


def _unmanaged_targets(plan: Plan, today: date) -> Iterator[Finding]:
    flows_by_hosts: dict[tuple[str, ...], list[Flow]] = defaultdict(list)
    by_address = _unmanaged_by_address(plan)
    for flow in plan.flows_on.values():
        hosts = _unmanaged_members(plan, flow)
        if flow.changed_by_site:
            hosts |= {host for name in flow.targets for host in _unmanaged_at(plan, name, by_address)}
        if hosts:
            flows_by_hosts[tuple(sorted(hosts))].append(flow)
    for targets, flows in sorted(flows_by_hosts.items()):
        yield Finding(
            "unmanaged-target",
            "note" if any(_opens_the_way_out(plan, flow) for flow in flows) else "warning",
            flow_key(flows[0]),
            f"Ends at {hosts_text(list(targets))}, which is in no group of the collection and gets no firewall: it "
            f"accepts everything from everyone anyway{_other_flows(flows)}. To restrict it, add it to a group, such "
            "as managed.",
        )


def _other_flows(flows: list[Flow]) -> str:
    others = [flow.name for flow in flows[1:]]
    return f" (also in flow {others[0]}{and_more(others)})" if others else ""


def _unmanaged_members(plan: Plan, flow: Flow) -> set[str]:
    return {host for name in flow.targets for host in plan.addresses.members(name)} - plan.inventory.managed


def _unmanaged_by_address(plan: Plan) -> dict[str, str]:
    """Return the hosts without a firewall by their written addresses, as prefixes. Their names are not looked up."""
    return {
        str(single(parse_address(text))): host.name
        for host in plan.inventory.hosts.values()
        if host.name not in plan.inventory.managed
        for text in host.addresses
        if is_address(text)
    }


def _unmanaged_at(plan: Plan, endpoint: str, by_address: dict[str, str]) -> set[str]:
    networks = plan.addresses.networks(endpoint) if by_address else []
    return {by_address[str(network)] for network in networks if str(network) in by_address}


def _opens_the_way_out(plan: Plan, flow: Flow) -> bool:
    """Return whether a source has restricted egress, so that the flow has an effect on the source at least."""
    hosts = {host for name in flow.sources for host in plan.addresses.members(name)} & plan.inventory.managed
    return any(plan.inventory.hosts[host].egress == "restricted" for host in hosts)


def _similar_groups(plan: Plan, today: date) -> Iterator[Finding]:
    groups = plan.inventory.groups
    for name in sorted(groups.keys() - _groups_in_use(plan)):
        meant = similar_group(name)
        hosts = sorted(set(groups[name]) - set(groups.get(meant, ()))) if meant else []
        if hosts:
            yield Finding(
                "similar-group",
                "warning",
                f"group {name}",
                f"Has {hosts_text(hosts)}, which is not in {meant}. No flow or endpoint uses the group. If it is "
                f"misspelt, rename it to {meant}.",
            )


def _groups_in_use(plan: Plan) -> set[str]:
    """Return the groups with a meaning: the canonical ones, and those that flows and endpoints name."""
    sides = {name for flow in plan.catalogue.flows.values() for name in (*flow.sources, *flow.targets)}
    named = [
        endpoint
        for endpoint in plan.catalogue.endpoints.values()
        if endpoint.name in sides or endpoint.declared_by_site
    ]
    return {
        *CANONICAL_GROUPS,
        *(group for endpoint in named for group in (*endpoint.groups, *endpoint.fallback_groups)),
    }


def _unknown_variables(plan: Plan, today: date) -> Iterator[Finding]:
    hosts_by_name: dict[str, list[str]] = defaultdict(list)
    for host in sorted(plan.inventory.hosts):
        for name in plan.inventory.hosts[host].unknown_variables:
            hosts_by_name[name].append(host)
    for name, hosts in sorted(hosts_by_name.items()):
        meant = closest(name.removeprefix(PREFIX), [known.removeprefix(PREFIX) for known in SETTINGS], _SAME_WORD)
        advice = f"Did you mean {PREFIX}{meant}?" if meant else "If it belongs to another role, ignore this note."
        yield Finding(
            "unknown-variable",
            "warning" if meant else "note",
            f"variable {name}",
            f"Is set for {hosts_text(hosts)}, but the collection has no such variable, so it has no effect. {advice}",
        )


RULES = (_unmanaged_targets, _similar_groups, _unknown_variables)
