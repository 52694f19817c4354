# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which flows cover others, next to a comparison of each flow with each other flow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import MANAGEMENT_FLOW
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import without
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.coverage import first_covering, sides_and_services
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.networks import (
    groups_of,
    named_ports,
    networks_of,
    outside_networks,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Flow
from ansible_collections.hpc.ports.tests.support.random_sites import OF_GROUPS, SITES, Site, flows
from hypothesis import given
from hypothesis import strategies as st


def compared(plan: Plan, flows: list[Flow]) -> Iterator[tuple[str, str]]:
    """Yield each flow that another one covers, with the first of these: the definition, flow by flow."""
    for flow in flows:
        covering = [
            other.name
            for other in flows
            if other is not flow
            and (flow.changed_by_site or other.changed_by_site)
            and covers(plan, other, flow)
            and not (rank(other) > rank(flow) and covers(plan, flow, other))
        ]
        if covering:
            yield flow.name, covering[0]


def rank(flow: Flow) -> tuple[bool, str]:
    return flow.name != MANAGEMENT_FLOW, flow.name


def covers(plan: Plan, wide: Flow, narrow: Flow) -> bool:
    if wide.within_cluster and not narrow.within_cluster or sides_and_services(wide) == sides_and_services(narrow):
        return False
    if without(named_ports(plan, narrow), named_ports(plan, wide)):
        return False
    sides = ((narrow.sources, wide.sources), (narrow.targets, wide.targets))
    return all(side_covers(plan, (wide, many), (narrow, few)) for few, many in sides)


def side_covers(plan: Plan, wide: tuple[Flow, tuple[str, ...]], narrow: tuple[Flow, tuple[str, ...]]) -> bool:
    groups, networks = groups_of(plan, narrow[1]), outside_networks(plan, *narrow)
    return (
        bool(groups or networks)
        and groups <= groups_of(plan, wide[1])
        and all(is_inside(plan, network, wide) for network in networks)
    )


def is_inside(plan: Plan, network: Any, side: tuple[Flow, tuple[str, ...]]) -> bool:
    if network in plan.addresses.hosts_by_address:
        return network in outside_networks(plan, *side)
    return any(network in other for other in networks_of(plan, *side))


NAMES = "hgfedcba"
SIDES = ("e0", "e1", *OF_GROUPS)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Return plans with many similar flows, some of them shipped, whose names are in another order than the flows."""
    site: Site = draw(SITES)
    services = st.lists(st.sampled_from(["s0", "s1", "s2"]), min_size=1, max_size=3, unique=True)
    several = draw(st.lists(st.one_of(flows(SIDES, False), flows(OF_GROUPS, True)), min_size=1, max_size=4))
    written = [{**flow, "services": draw(services), "enabled": True} for flow in several]
    written += [_similar(draw(st.sampled_from(written)), draw(CHANGES), draw(services)) for _number in range(4)]
    named = dict(zip(draw(st.permutations(NAMES)), draw(st.permutations(written))))
    twins = {f"twin_{name}": value for name, value in site.endpoints.items()}
    plan = replace(site, flows=named, endpoints={**site.endpoints, **twins}).plan()
    on = {
        name: replace(flow, changed_by_site=draw(st.sampled_from([True, True, False])))
        for name, flow in plan.flows_on.items()
    }
    return replace(plan, flows_on=on)


CHANGES = st.sampled_from(["twin", "services", "from", "nothing"])


def _similar(flow: dict[str, Any], change: str, services: list[str]) -> dict[str, Any]:
    if change == "services":
        return {**flow, "services": services}
    if change == "from":
        return {**flow, "from": flow["from"][:1]}
    if change == "twin":  # equal endpoints with other names
        return {**flow, "from": [f"twin_{name}" if name in ("e0", "e1", "e2") else name for name in flow["from"]]}
    return flow


@given(plans())
def test_the_same_flows_cover_others_as_in_a_comparison_of_all(plan: Plan) -> None:
    on = list(plan.flows_on.values())
    assert list(first_covering(plan, on).items()) == list(compared(plan, on))
