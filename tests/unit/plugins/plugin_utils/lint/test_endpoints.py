# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints whose except, or whose addresses, have no effect."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.tests.support.linted import HOSTS, found, plan_of
from ansible_collections.hpc.ports.tests.support.random_sites import SITES, Site
from hypothesis import given

# ---- unused-except --------------------------------------------------------------------------------------------------


def excepted(endpoint: dict[str, Any], excepted: list[str], **flow: Any) -> list[str]:
    """Return the networks of the except of an endpoint that take nothing out of it."""
    flows = {"f": {"from": ["e"], "to": ["workbench"], **flow}}
    items = found("unused-except", plan_of(flows, endpoints={"e": {**endpoint, "except": excepted}}))
    networks = []
    for severity, subject, message in items:
        assert (severity, subject) == ("warning", "firewall_endpoints.e.except")
        network, _comma, rest = message.removeprefix("Lists ").partition(", ")
        assert rest == (
            "which takes nothing out of the endpoint: it overlaps no network of the endpoint, and none of its hosts "
            "has an address in it. Correct it or delete it."
        )
        networks.append(network)
    return networks


@pytest.mark.parametrize(
    ("endpoint", "network", "is_found"),
    [
        ({"cidrs": ["10.9.0.0/16"]}, "10.9.7.0/24", False),
        ({"cidrs": ["10.9.7.0/24"]}, "10.9.0.0/16", False),
        ({"cidrs": ["10.9.0.0/16"]}, "10.8.0.0/16", True),
        ({"cidrs": ["10.9.0.0/16"]}, "fd00::/64", True),
        ({"cidrs": ["10.9.0.0/16"], "hostnames": ["a.example.org"]}, "10.9.0.9/32", False),
        ({"hostnames": ["a.example.org"]}, "10.9.0.9/32", False),
        ({"hostnames": ["a.example.org"]}, "10.9.0.8/32", True),
        # A host of the endpoint, and one of none.
        ({"groups": ["slurm_compute"]}, "10.1.0.2/32", False),
        ({"groups": ["slurm_compute"]}, "10.1.0.0/24", False),
        ({"groups": ["slurm_compute"]}, "10.1.0.1/32", True),
        ({"groups": ["absent"], "fallback_groups": ["slurm_compute"]}, "10.1.0.2/32", False),
        ({"groups": ["absent"], "fallback_groups": ["slurm_compute"]}, "10.1.0.1/32", True),
        # An endpoint without any address is another finding.
        ({}, "10.1.0.1/32", False),
        ({"groups": ["absent"]}, "10.1.0.1/32", False),
    ],
)
def test_an_except_that_takes_nothing(endpoint: dict[str, Any], network: str, is_found: bool) -> None:
    assert excepted(endpoint, [network]) == ([network] if is_found else [])


def test_each_network_of_an_except_counts() -> None:
    endpoint = {"cidrs": ["10.9.0.0/16"]}
    assert excepted(endpoint, ["10.7.0.0/16", "10.9.1.0/24", "10.8.0.0/16"]) == ["10.7.0.0/16", "10.8.0.0/16"]
    # Also in a flow that is off; not if host names of the endpoint are unknown, because no flow is on.
    assert excepted(endpoint, ["10.7.0.0/16"], enabled=False) == ["10.7.0.0/16"]
    assert excepted({"hostnames": ["a.example.org"]}, ["10.7.0.0/16"], enabled=False) == []


def test_source_addresses_of_a_host_count() -> None:
    hosts = {**HOSTS, "n1": {"groups": ["web_portal"], "addresses": ["10.1.0.8"], "source_addresses": ["10.9.0.8"]}}
    flow = {"f": {"from": ["e"], "to": ["workbench"]}}
    plan = plan_of(flow, endpoints={"e": {"groups": ["web_portal"], "except": ["10.9.0.8/32"]}}, hosts=hosts)
    assert found("unused-except", plan) == []


def without_excepts(site: Site) -> Site:
    other = deepcopy(site)
    for endpoint in other.endpoints.values():
        endpoint.pop("except", None)
    return other


def content(plan: Plan, name: str) -> tuple[Any, ...]:
    """Return what an endpoint means: its hosts, and all of its addresses."""
    return plan.addresses.members(name), set(plan.addresses.peers([name], None, source=True))


@given(SITES)
def test_an_except_is_unused_only_if_it_changes_nothing(site: Site) -> None:
    """Each except of these sites has one network."""
    plan, plain = site.plan(), without_excepts(site).plan()
    unused = {subject.split(".")[1] for _severity, subject, _message in found("unused-except", plan)}
    named = {name for flow in plan.catalogue.flows.values() for name in (*flow.sources, *flow.targets)}
    for name in [name for name in site.endpoints if site.endpoints[name].get("except")]:
        if name in unused:
            assert content(plan, name) == content(plain, name)
        elif name in named and any(content(plain, name)) and not site.endpoints[name].get("fallback_groups"):
            assert content(plan, name) != content(plain, name)
