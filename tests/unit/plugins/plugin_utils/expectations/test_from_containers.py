# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the connections that containers try."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import ForwardedPacket, evaluate_forwarded
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import Expectation, expected_of
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.from_containers import tried_from_containers
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.tests.support.probed_site import HOSTS, plan_of
from ansible_collections.hpc.ports.tests.support.random_sites import SITES, Site
from ansible_collections.hpc.ports.tests.support.run import examples
from hypothesis import given, settings


def tried(plan: Plan) -> dict[str, list[Expectation]]:
    return tried_from_containers(plan, expected_of(plan, plan.inventory.hosts).expectations)


def passes(plan: Plan, item: Expectation) -> bool:
    """Return whether the host of a container forwards the connection, by its policy."""
    packet = ForwardedPacket(item.protocol, item.address, item.port, "docker0", "eth0")
    return evaluate_forwarded(parse_policy(plan.policies[plan.hosts[item.source]]), packet).passes


@given(SITES)
@settings(max_examples=examples(300))
def test_some_of_what_the_host_tries_and_its_egress_decides(site: Site) -> None:
    plan = site.plan()
    expectations = expected_of(plan, plan.inventory.hosts).expectations
    restricted = {
        host for host, about in site.hosts.items() if host in plan.hosts and about.get("egress") == "restricted"
    }
    chosen = tried_from_containers(plan, expectations)
    assert chosen.keys() <= restricted
    for host in restricted:
        mine = [item for item in expectations if item.source == host]
        deciding = {item for item in mine if passes(plan, item) == (item.expected == "open")}
        assert set(chosen.get(host, ())) <= deciding
        # As many of each kind as there are, up to the limit.
        kinds = Counter((":" in item.address, item.protocol, item.expected) for item in deciding)
        assert Counter((":" in item.address, item.protocol, item.expected) for item in chosen.get(host, ())) == {
            kind: min(number, 1 if kind[2] == "open" else 2) for kind, number in kinds.items()
        }


def test_what_only_the_source_denies_comes_first() -> None:
    """n1 is in the network of the flow, but in no group of it: ctl accepts it, and its own egress does not."""
    flows = {"near": {"from": ["users"], "to": ["control_plane"], "services": ["agents"], "need": "required"}}
    hosts = {**HOSTS, "n1": {**HOSTS["n1"], "addresses": ["198.51.100.9"], "egress": "restricted"}}
    denied = [item for item in tried(plan_of(hosts, flows))["n1"] if item.expected == "filtered"]
    assert {(item.target, item.denied_by) for item in denied if item.protocol == "tcp"} == {("ctl", "source")}


@pytest.mark.parametrize(
    "variables", [{}, {"egress": "open"}, {"egress": "restricted", "filtered_containers": []}], ids=str
)
def test_a_host_that_does_not_judge_its_containers_tries_nothing_from_them(variables: dict[str, Any]) -> None:
    assert tried(plan_of({**HOSTS, "n1": {**HOSTS["n1"], **variables}})) == {}
