# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts without a firewall in flows, and misspelt names of groups and variables."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS
from ansible_collections.hpc.ports.tests.support.linted import HOSTS, found, plan_of

JHUB = {"groups": ["jupyterhub"], "addresses": ["10.5.0.1"]}
FLOW = {"from": ["control_plane"], "to": ["jupyterhub"]}


def test_a_flow_that_ends_at_a_host_without_a_firewall() -> None:
    more = {**HOSTS, "jhub": JHUB, "hub2": {**JHUB, "addresses": ["10.5.0.2"]}}
    plan = plan_of(
        {"f": FLOW, "g": {**FLOW, "services": ["ssh"]}, "h": {**FLOW, "to": ["jupyterhub", "monitoring"]}}, hosts=more
    )
    assert found("unmanaged-target", plan) == [
        (
            "warning",
            "firewall_flows.f",
            "Ends at host hub2 and 1 more, which is in no group of the collection and gets no firewall: it accepts "
            "everything from everyone anyway (also in flow g and 1 more). To restrict it, add it to a group, such as "
            "managed.",
        )
    ]
    one = plan_of({"f": FLOW}, hosts={**HOSTS, "jhub": JHUB})
    assert [item[2].partition(": ")[2] for item in found("unmanaged-target", one)] == [
        "it accepts everything from everyone anyway. To restrict it, add it to a group, such as managed."
    ]


def test_a_managed_host_of_any_group_is_no_unmanaged_target() -> None:
    managed = {**HOSTS, "jhub": {**JHUB, "groups": ["jupyterhub", "managed"]}}
    assert found("unmanaged-target", plan_of({"f": FLOW}, hosts=managed)) == []
    off = plan_of({"f": {**FLOW, "enabled": False}}, hosts={**HOSTS, "jhub": JHUB})
    assert found("unmanaged-target", off) == []
    assert (
        found(
            "unmanaged-target",
            plan_of({"f": {**FLOW, "from": ["jupyterhub"], "to": ["workbench"]}}, hosts={**HOSTS, "jhub": JHUB}),
        )
        == []
    )


def test_a_flow_that_opens_the_way_out_is_a_note() -> None:
    hosts = {**HOSTS, "jhub": JHUB, "ctl": {**HOSTS["ctl"], "egress": "restricted"}}
    assert [item[0] for item in found("unmanaged-target", plan_of({"f": FLOW}, hosts=hosts))] == ["note"]
    assert [
        item[0] for item in found("unmanaged-target", plan_of({"f": {**FLOW, "from": ["workbench"]}}, hosts=hosts))
    ] == ["warning"]


@pytest.mark.parametrize(
    ("addresses", "network", "is_found"),
    [
        (["10.5.0.1"], "10.5.0.1/32", True),
        (["fd00::1", "10.5.0.1"], "fd00::1/128", True),
        (["10.5.0.1"], "10.5.0.0/31", False),
        (["jhub.example.org"], "10.5.0.1/32", False),
    ],
)
def test_a_host_without_a_firewall_is_known_by_its_address(addresses: list[str], network: str, is_found: bool) -> None:
    hosts = {**HOSTS, "jhub": {"groups": ["others"], "addresses": addresses}}
    plan = plan_of({"f": {**FLOW, "to": ["hub"]}}, endpoints={"hub": {"cidrs": [network]}}, hosts=hosts)
    assert bool(found("unmanaged-target", plan)) is is_found


@pytest.mark.parametrize("group", ["slurm_computes", "slurm-compute", "SlurmCompute", "slurm_comptue", "Slurm_Compute"])
def test_a_group_that_looks_like_one_of_ours(group: str) -> None:
    hosts = {**HOSTS, "n1": {"groups": [group], "addresses": ["10.1.0.8"]}}
    assert found("similar-group", plan_of({}, hosts=hosts)) == [
        (
            "warning",
            f"group {group}",
            "Has host n1, which is not in slurm_compute. No flow or endpoint uses the group. If it is misspelt, "
            "rename it to slurm_compute.",
        )
    ]
    both = {**HOSTS, "n1": {"groups": [group, "slurm_compute"], "addresses": ["10.1.0.8"]}}
    assert found("similar-group", plan_of({}, hosts=both)) == []
    used = plan_of({"f": {"from": [group], "to": ["monitoring"]}}, hosts=hosts)
    assert found("similar-group", used) == []
    listed = plan_of({}, endpoints={"nodes": {"groups": [group]}}, hosts=hosts)
    assert found("similar-group", listed) == []
    spare = plan_of({}, endpoints={"nodes": {"groups": ["slurm_compute"], "fallback_groups": [group]}}, hosts=hosts)
    assert found("similar-group", spare) == []


@pytest.mark.parametrize(
    "group",
    [
        *CANONICAL_GROUPS,
        *("unmanaged", "manager", "managers", "dns_server", "nis_server", "storage", "nodes", "compute", "login"),
        *("slurm", "pbs", "slurm_gpu", "slurm_compute_gpu", "ungrouped", "workstations", "monitored", "web_server"),
    ],
)
def test_a_group_with_a_name_of_its_own(group: str) -> None:
    hosts = {**HOSTS, "n1": {"groups": [group], "addresses": ["10.1.0.8"]}}
    assert found("similar-group", plan_of({}, hosts=hosts)) == []


def unknown(**variables: Any) -> list[tuple[str, str, str]]:
    hosts = {**HOSTS, "node": {**HOSTS["node"], **variables}}
    return found("unknown-variable", plan_of({}, hosts=hosts))


@pytest.mark.parametrize(
    ("name", "meant"), [("flow", "flows"), ("endpoint", "endpoints"), ("egres", "egress"), ("serials", "serial")]
)
def test_a_misspelt_variable(name: str, meant: str) -> None:
    assert unknown(**{name: {}}) == [
        (
            "warning",
            f"variable firewall_{name}",
            "Is set for host node, but the collection has no such variable, so it has no effect. Did you mean "
            f"firewall_{meant}?",
        )
    ]


@pytest.mark.parametrize("name", ["allowed_tcp_ports", "log_dropped_packets", "enabled_at_boot", ""])
def test_a_variable_of_another_role_is_a_note(name: str) -> None:
    assert [(item[0], item[2].rpartition(". ")[2]) for item in unknown(**{name: 1})] == [
        ("note", "If it belongs to another role, ignore this note.")
    ]


def test_known_variables() -> None:
    assert unknown(serial=1, state="present", result={}, plan={}) == []


def test_a_variable_of_all_hosts_is_one_finding() -> None:
    hosts = {name: {**host, "flow": {}} for name, host in HOSTS.items()}
    texts = [item[2] for item in found("unknown-variable", plan_of({}, hosts=hosts))]
    assert [text.partition(",")[0] for text in texts] == ["Is set for host ctl and 5 more"]
