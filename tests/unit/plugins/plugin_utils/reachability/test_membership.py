# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Explanations name what decides whether a host is in an endpoint: except, one address family, firewall_clusters."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.reasons import Reasons, explained
from ansible_collections.hpc.ports.tests.support.sites import make_plan

SERVICES = {"db": {"ports": ["5432/tcp"]}, "everything": {"ports": ["any/ip"]}}
HOSTS: dict[str, dict[str, Any]] = {
    "head": {"groups": ["slurm_controller"], "addresses": ["10.203.0.1", "fd00::1"]},
    "c2": {"groups": ["slurm_compute"], "addresses": ["10.203.0.13"]},
    "jump": {"groups": ["managed"], "addresses": ["10.203.0.14"]},
    "guest": {"groups": ["people"], "addresses": ["10.203.0.105"]},
    "user": {"groups": ["people"], "addresses": ["10.203.0.97", "fd00::97"]},
    "far": {"groups": ["people"], "addresses": ["198.51.100.7", "2001:db8::7"]},
}


def site(endpoint: dict[str, Any], flow: dict[str, Any], hosts: dict[str, Any] | None = None, **settings: Any) -> Plan:
    """Return the plan of a site with one endpoint, `some`, and one flow, `probe`."""
    return make_plan(
        {
            "services": SERVICES,
            "endpoints": {"some": endpoint},
            "flows": {"probe": {"services": ["db"], "need": "recommended", **flow}},
        },
        {name: {**host, **(hosts or {}).get(name, {})} for name, host in HOSTS.items()},
        **settings,
    )


def probe(found: Reasons) -> tuple[str, str]:
    [flow] = found.flows
    return flow.reason, flow.text


@pytest.mark.parametrize(
    "endpoint,source,text,advice",
    [
        (
            {"cidrs": ["10.203.0.96/28"], "except": ["10.203.0.104/29"]},
            "guest",
            "guest is not in some, the sources of the flow: its address 10.203.0.105 is taken out by except "
            "10.203.0.104/29 of some.",
            "Remove 10.203.0.104/29 from firewall_endpoints.some.except, or narrow it so that it does not contain "
            "10.203.0.105.",
        ),
        (
            {"groups": ["managed", "people"], "except": ["10.203.0.14/32"]},
            "jump",
            "jump is not in some, the sources of the flow: its address 10.203.0.14 is taken out by except "
            "10.203.0.14/32 of some.",
            "Remove 10.203.0.14/32 from firewall_endpoints.some.except.",
        ),
        (
            {"groups": ["people"], "except": ["10.203.0.96/28", "fd00::97/128"]},
            "user",
            "user is not in some, the sources of the flow: its address 10.203.0.97 is taken out by except "
            "10.203.0.96/28 of some, and its address fd00::97 is taken out by except fd00::97/128 of some.",
            "Remove 10.203.0.96/28, fd00::97/128 from firewall_endpoints.some.except, or narrow 10.203.0.96/28 so "
            "that it does not contain 10.203.0.97.",
        ),
    ],
)
def test_an_except_that_takes_the_source_out_is_named(
    endpoint: dict[str, Any], source: str, text: str, advice: str
) -> None:
    found = explained(site(endpoint, {"from": ["some"], "to": ["slurm_controller"]}), source, "head", "5432/tcp")
    assert (found.passes, probe(found)) == (False, ("not_a_source", text))
    assert found.advice[0] == advice
    assert found.advice[1].startswith(f"Add a flow from {source} ")


def test_an_except_that_takes_the_target_out_is_named() -> None:
    plan = site(
        {"groups": ["slurm_compute"], "except": ["10.203.0.13/32"]}, {"from": ["slurm_controller"], "to": ["some"]}
    )
    found = explained(plan, "head", "c2", "5432/tcp")
    assert (found.passes, probe(found)) == (
        False,
        (
            "not_a_target",
            "c2 is not in some, the targets of the flow: its address 10.203.0.13 is taken out by except "
            "10.203.0.13/32 of some.",
        ),
    )
    assert found.advice[0] == "Remove 10.203.0.13/32 from firewall_endpoints.some.except."


def test_an_except_is_no_advice_where_the_flow_would_not_apply_without_it() -> None:
    plan = site(
        {"groups": ["slurm_compute"], "except": ["10.203.0.13/32"]}, {"from": ["slurm_controller"], "to": ["some"]}
    )
    found = explained(plan, "far", "c2", "5432/tcp")
    assert probe(found)[0] == "not_a_target"
    assert [text.partition(" ")[0] for text in found.advice] == ["Add"]


def test_an_except_is_not_named_for_a_host_that_is_not_in_the_endpoint_anyway() -> None:
    plan = site({"groups": ["people"], "except": ["10.203.0.14/32"]}, {"from": ["some"], "to": ["slurm_controller"]})
    found = explained(plan, "jump", "head", "5432/tcp")
    assert probe(found) == ("not_a_source", "jump is not in some, the sources of the flow.")
    assert len(found.advice) == 1


def test_another_flow_lets_a_host_in_that_an_except_takes_out() -> None:
    plan = site(
        {"groups": ["people"], "except": ["10.203.0.105/32"]}, {"from": ["some", "people"], "to": ["slurm_controller"]}
    )
    assert explained(plan, "guest", "head", "5432/tcp").passes is True


@pytest.mark.parametrize("service", ["db", "everything"])
def test_a_flow_that_lacks_a_network_of_one_family_is_the_advice(service: str) -> None:
    plan = site({"cidrs": ["198.51.100.0/24"]}, {"from": ["some"], "to": ["slurm_controller"], "services": [service]})
    found = explained(plan, "far", "head", "5432/tcp")
    assert [pair.passes for pair in found.pairs] == [True, False]
    assert found.advice == (
        "Flow probe allows it only from 198.51.100.7. Add 2001:db8::7 of far, or its IPv6 network, to "
        "firewall_endpoints.some.cidrs.",
    )


def test_an_except_of_one_family_is_the_advice() -> None:
    plan = site(
        {"cidrs": ["198.51.100.0/24", "2001:db8::/32"], "except": ["2001:db8::/64"]},
        {"from": ["some"], "to": ["slurm_controller"]},
    )
    assert explained(plan, "far", "head", "5432/tcp").advice == (
        "Flow probe allows it only from 198.51.100.7. Remove 2001:db8::/64 from firewall_endpoints.some.except, or "
        "narrow it so that it does not contain 2001:db8::7.",
    )


CLUSTER = {"from": ["slurm_compute"], "to": ["slurm_controller"], "within_cluster": True}


def test_an_address_that_counts_by_a_network_of_the_cluster_is_said_to() -> None:
    plan = site({"cidrs": []}, CLUSTER, firewall_clusters={"default": {"cidrs": ["10.203.0.96/28"]}})
    assert probe(explained(plan, "user", "head", "5432/tcp")) == (
        "applies",
        "It allows this connection only from 10.203.0.97 to 10.203.0.1. 10.203.0.97 is in a network of "
        "firewall_clusters.default.",
    )
    assert explained(plan, "user", "head", "5432/tcp").advice == (
        "Flow probe allows it only from 10.203.0.97. Add fd00::97 of user, or its IPv6 network, to "
        "firewall_clusters.default.cidrs.",
    )
    assert probe(explained(plan, "c2", "head", "5432/tcp")) == ("applies", "It allows this connection.")


def test_a_host_of_another_cluster_counts_by_a_network_of_this_one() -> None:
    plan = site(
        {"cidrs": []},
        CLUSTER,
        {"c2": {"cluster": "beta"}},
        firewall_clusters={"default": {"cidrs": ["10.203.0.13/32"]}},
    )
    assert probe(explained(plan, "c2", "head", "5432/tcp")) == (
        "applies",
        "It allows this connection. 10.203.0.13 is in a network of firewall_clusters.default.",
    )


def test_a_managed_target_that_only_a_network_names_is_said_to_be_closed() -> None:
    plan = site({"cidrs": ["10.203.0.0/24"]}, {"from": ["slurm_controller"], "to": ["some"]})
    found = explained(plan, "head", "c2", "5432/tcp")
    assert (found.passes, probe(found)) == (
        False,
        (
            "not_a_target",
            "c2 is in some, the targets of the flow, only by a network, which opens no port on a managed host.",
        ),
    )
    assert [text.partition(" from ")[0] for text in found.advice] == ["Add a flow"]


def test_an_except_of_a_network_is_no_advice_for_a_managed_target() -> None:
    plan = site(
        {"cidrs": ["10.203.0.0/24"], "except": ["10.203.0.13/32"]}, {"from": ["slurm_controller"], "to": ["some"]}
    )
    found = explained(plan, "head", "c2", "5432/tcp")
    assert found.flows == ()
    assert not any("except" in text for text in found.advice)
