# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints whose except, or whose addresses, have no effect."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan, compile_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import load_catalogue
from ansible_collections.hpc.ports.tests.support.linted import HOSTS, found, plan_of
from ansible_collections.hpc.ports.tests.support.random_sites import SITES, Site
from ansible_collections.hpc.ports.tests.support.sites import SHIPPED, make_inventory
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


# ---- unused-endpoint: only flows that are off name it ---------------------------------------------------------------

OFF = {
    "firewall_endpoints": {
        **SHIPPED["firewall_endpoints"],
        "log_servers": {"cidrs": []},
        "storage": {"cidrs": []},
        "nodes": {"groups": ["slurm_compute", "slurm_login"]},
    },
    "firewall_services": {**SHIPPED["firewall_services"], "log": {"ports": ["514/tcp"]}},
    "firewall_flows": {
        **SHIPPED["firewall_flows"],
        "logs": {"from": ["nodes"], "to": ["log_servers"], "services": ["log"], "need": "optional"},
        "storage": {"from": ["nodes"], "to": ["storage"], "services": ["log"], "need": "optional"},
        "storage_back": {"from": ["storage"], "to": ["nodes"], "services": ["log"], "need": "optional"},
    },
}
OUTSIDE, LOGIN = {"cidrs": ["10.9.0.1/32"]}, {"cidrs": ["10.1.0.1/32"]}
RESTRICTED = {**HOSTS, "node": {**HOSTS["node"], "egress": "restricted"}}


def only_off(
    endpoints: dict[str, Any], flows: dict[str, Any] | None = None, hosts: dict[str, Any] | None = None
) -> list[tuple[str, str]]:
    inventory = make_inventory(hosts or HOSTS)
    site = {"firewall_endpoints": endpoints, "firewall_flows": flows or {}}
    plan = compile_plan(load_catalogue(OFF, site, inventory.groups), inventory)
    items = found("unused-endpoint", plan)
    assert all(severity == "warning" for severity, _subject, _message in items)
    return [(subject, message) for _severity, subject, message in items]


def logs_off(where: str = "") -> list[tuple[str, str]]:
    return [
        (
            "firewall_endpoints.log_servers",
            f"Only flows that are off name this endpoint (logs), so it opens nothing{where}. Turn one on: "
            "firewall_flows.logs.enabled: true, or delete it.",
        )
    ]


def test_an_endpoint_that_only_flows_name_that_are_off() -> None:
    on_host = ", and broad services leave out the ports of these flows on host login"
    assert only_off({"log_servers": LOGIN}) == logs_off(on_host)
    assert only_off({"log_servers": OUTSIDE}, hosts=RESTRICTED) == logs_off()
    assert only_off({"log_servers": LOGIN}, {"logs": {"enabled": True}}) == []
    assert only_off({"log_servers": LOGIN}, {"logs": {"need": "recommended"}}) == []


def test_the_flow_to_turn_on_opens_something() -> None:
    assert only_off({"storage": OUTSIDE}) == [
        (
            "firewall_endpoints.storage",
            "Only flows that are off name this endpoint (storage, storage_back), so it opens nothing. Turn one on: "
            "firewall_flows.storage_back.enabled: true, or delete it.",
        )
    ]


@pytest.mark.parametrize(
    ("endpoints", "flows"),
    [
        # It opens nothing on, either: a server outside, to which hosts may connect anyway.
        ({"log_servers": OUTSIDE}, {}),
        # Nothing is filled in.
        ({"log_servers": {"title": "T"}}, {}),
        ({}, {}),
        # Somebody turned the flow off, or it is off for want of another address.
        ({"log_servers": LOGIN}, {"logs": {"enabled": False}}),
        ({"log_servers": LOGIN}, {"logs": {"need": "conditional", "from": ["managed"]}}),
        ({"log_servers": LOGIN}, {"logs": {"from": ["managed"]}}),
        # A flow that is not optional names it too, but has no other side.
        ({"storage": OUTSIDE}, {"storage": {"need": "conditional", "from": ["managed"]}}),
        # Another flow is on.
        ({"storage": OUTSIDE}, {"storage": {"enabled": True}}),
    ],
)
def test_an_endpoint_of_flows_that_may_be_off(endpoints: dict[str, Any], flows: dict[str, Any]) -> None:
    assert only_off(endpoints, flows) == []


def test_a_host_name_is_an_address_for_a_flow_that_is_off() -> None:
    named = {"storage": {"hostnames": ["a.example.org"]}}
    assert [subject for subject, _message in only_off(named)] == ["firewall_endpoints.storage"]


def turned_on(site: Site, name: str) -> Plan:
    return replace(site, flows={**site.flows, name: {**site.flows[name], "enabled": True}}).plan()


@given(SITES)
def test_the_advice_to_turn_a_flow_on_changes_something(site: Site) -> None:
    """And only then lint gives it. Broad services may open nothing, which is another finding."""
    flows = {name: {**flow, "services": ["s0"]} for name, flow in site.flows.items()}
    # Host names of endpoints are looked up only for flows that are on.
    endpoints = {name: {**endpoint, "hostnames": []} for name, endpoint in site.endpoints.items()}
    site = replace(site, flows=flows, endpoints=endpoints)
    plan = site.plan()
    advised = {
        subject.split(".")[1]: message.partition("Turn one on: firewall_flows.")[2].partition(".")[0]
        for _severity, subject, message in found("unused-endpoint", plan)
        if "Turn one on" in message
    }
    for endpoint in site.endpoints:
        naming = {name for name, flow in site.flows.items() if endpoint in (*flow["from"], *flow["to"])}
        optional = [
            name for name in naming if site.flows[name]["need"] == "optional" and "enabled" not in site.flows[name]
        ]
        are_optional = all(site.flows[name]["need"] == "optional" for name in naming)
        if not (naming and are_optional) or naming & plan.flows_on.keys() or plan.addresses.is_empty([endpoint]):
            assert endpoint not in advised
        else:
            changing = {name for name in optional if turned_on(site, name).policies != plan.policies}
            assert advised.get(endpoint, "") in (changing or {""}), (endpoint, changing)
