# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of what is written for a cloud: its limits, what it cannot say, and that a second run writes the same."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.clouds import CLOUDS, Written, export
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.tests.support.sites import make_plan

HOSTS: dict[str, Any] = {
    "control": {"groups": ["slurm_controller"], "addresses": ["10.0.0.1", "fd00::1"], "cluster": "ü {{ x }} ${y}"},
    "node": {"groups": ["slurm_compute"], "addresses": ["10.0.0.2"], "egress": "restricted"},
}


def plan_of(ports: list[str], cidrs: list[str] | None = None, **service: Any) -> Plan:
    """Return the plan of a small site; nodes, and these networks, reach the controller at these ports."""
    flow = {"from": ["nodes"], "to": ["slurm_controller"], "services": ["s"], "need": "recommended"}
    site = {
        "services": {"s": {"ports": ports, **service}},
        "endpoints": {"nodes": {"groups": ["slurm_compute"], "cidrs": cidrs or []}},
        "flows": {"f": flow},
    }
    return make_plan(site, HOSTS)


def written(plan: Plan, cloud: str) -> Written:
    return export(plan, cloud, list(plan.hosts), "hpc")


def about(warnings: list[str], word: str) -> list[str]:
    return [text for text in warnings if word in text]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_second_run_writes_the_same(cloud: str) -> None:
    texts = {written(plan_of(["1-9/tcp", "7/udp"], ["10.1.0.0/16", "fd01::/64"]), cloud).text for _run in range(2)}
    assert len(texts) == 1


@pytest.mark.parametrize("cloud", CLOUDS)
def test_no_template_of_a_site_is_written(cloud: str) -> None:
    text = written(plan_of(["7/tcp"]), cloud).text
    assert "{{" not in text and "ü" not in text and "%{" not in text
    expressions = set(re.findall(r"\$\{[^}]*\}", text))
    assert all(re.fullmatch(r"\$\{(var\.vpc_id|[a-z0-9_]+\.hpc-[a-z0-9-]+\.id)\}", text) for text in expressions)


@pytest.mark.parametrize(
    ("cloud", "lacks"),
    [
        ("aws", []),
        ("azure", ["azure has no rules for IP protocol 50, 51 of f", "azure has no rules for icmpv6,"]),
        ("gcp", []),
        ("openstack", ["openstack has no rules for IP protocol 0 of f"]),
        ("terraform_openstack", ["openstack has no rules for IP protocol 0 of f"]),
        ("alibaba", ["alibaba has no rules for IP protocol 0, 50, 51 of f", "alibaba has no rules for icmpv6,"]),
        ("terraform_aws", []),
        (
            "kubernetes",
            [f"kubernetes has no rules for {name}" for name in ("IP protocol 0, 47, 50, 51", "icmp,", "icmpv6,")],
        ),
    ],
)
def test_what_a_cloud_cannot_say_is_named(cloud: str, lacks: list[str]) -> None:
    ports = ["7/tcp", "50-51/ip"] if cloud == "azure" else ["7/tcp", "0/ip", "47/ip", "50-51/ip"]
    gaps = about(written(plan_of(ports), cloud).warnings, "has no rules")
    assert len(gaps) == len(lacks)
    assert all(any(gap.startswith(start) for gap in gaps) for start in lacks), gaps


def every_other(number: int) -> list[str]:
    return [f"{port}/tcp" for port in range(1, 2 * number, 2)]


@pytest.mark.parametrize(
    ("cloud", "ports", "warned"),
    [
        ("aws", 50, False),
        ("aws", 60, True),
        ("terraform_aws", 60, True),
        ("azure", 900, False),
        ("openstack", 20, False),
        ("openstack", 99, True),
        ("terraform_openstack", 99, True),
        ("alibaba", 150, False),
        ("alibaba", 200, True),
    ],
)
def test_more_rules_than_the_usual_quota_are_a_warning(cloud: str, ports: int, warned: bool) -> None:
    warnings = about(written(plan_of(every_other(ports)), cloud).warnings, "usual quota")
    assert bool(warnings) == warned, warnings
    assert not warned or "Have it raised before you apply them" in warnings[0]


@pytest.mark.parametrize(
    ("cloud", "ports", "networks", "counted"),
    [("aws", 1000, 1, "rules in"), ("terraform_aws", 500, 2, "rules in"), ("azure", 5, 4000, "addresses")],
)
def test_more_rules_than_a_cloud_ever_takes_are_an_error(cloud: str, ports: int, networks: int, counted: str) -> None:
    cidrs = [f"10.{number // 128}.{number % 128 * 2}.0/24" for number in range(1, networks + 1)]
    with pytest.raises(
        PortFileError, match=f"The group hpc-slurm-controller-.* has .* {counted}, and the cloud takes at most"
    ):
        written(plan_of(every_other(ports), cidrs), cloud)


def test_google_cloud_has_one_rule_for_up_to_30_tags_and_256_networks() -> None:
    nodes = {
        f"n{number}": {"groups": ["slurm_compute"], "addresses": [f"10.0.1.{number}"], "cluster": f"c{number}"}
        for number in range(1, 32)
    }
    site = {
        "services": {"s": {"ports": ["7/tcp"]}},
        "endpoints": {
            "nodes": {
                "groups": ["slurm_compute"],
                "cidrs": [f"10.{n}.0.0/24" for n in range(1, 256)] + ["11.0.0.0/24", "12.0.0.0/24"],
            }
        },
        "flows": {"f": {"from": ["nodes"], "to": ["slurm_controller"], "services": ["s"], "need": "recommended"}},
    }
    rules = yaml.safe_load(written(make_plan(site, {**HOSTS, **nodes}), "gcp").text)["cloud_rules"]
    own = [rule for rule in rules if rule.get("description") == "f" and rule["direction"] == "INGRESS"]
    assert [len(rule.get("source_tags", rule.get("source_ranges"))) for rule in own] == [30, 2, 256, 1]


def test_tags_of_google_cloud_are_peers_of_packets_in_only_and_of_hosts_with_one_address() -> None:
    hosts = {
        **HOSTS,
        "two": {"groups": ["slurm_login"], "addresses": ["10.0.0.3", "10.0.0.5"]},
        "store": {"groups": ["nfs_server"], "addresses": ["10.0.0.4"]},
    }
    sides = {"from": ["slurm_compute", "slurm_login"], "to": ["nfs_server"]}
    site = {
        "services": {"s": {"ports": ["7/tcp"]}},
        "endpoints": {},
        "flows": {"f": {**sides, "services": ["s"], "need": "recommended"}},
    }
    rules = yaml.safe_load(written(make_plan(site, hosts), "gcp").text)["cloud_rules"]
    found = [
        (rule["direction"], rule.get("source_tags"), rule.get("source_ranges"), rule.get("destination_ranges"))
        for rule in rules
        if rule.get("description") == "f"
    ]
    assert sorted(found, key=str) == [
        ("EGRESS", None, None, ["10.0.0.4/32"]),
        ("INGRESS", None, ["10.0.0.3/32", "10.0.0.5/32"], None),
        ("INGRESS", ["hpc-slurm-compute-restricted"], None, None),
    ]


def test_a_reference_to_hosts_of_two_families_is_two_rules_of_openstack() -> None:
    plan = make_plan(
        {
            "services": {"s": {"ports": ["7/tcp", "1-65535/udp"]}},
            "endpoints": {},
            "flows": {
                "f": {"from": ["slurm_controller"], "to": ["slurm_compute"], "services": ["s"], "need": "recommended"}
            },
        },
        HOSTS,
    )
    groups = yaml.safe_load(written(plan, "openstack").text)["cloud_groups"]
    rules = [rule for group in groups for rule in group["security_group_rules"] if rule["description"] == "f"]
    found = {
        (rule["ether_type"], rule["protocol"], rule.get("port_range_min"), rule.get("port_range_max")) for rule in rules
    }
    assert found == {(f"IPv{version}", *rest) for version in (4, 6) for rest in (("tcp", 7, 7), ("udp", None, None))}


def test_no_rule_of_kubernetes_lacks_peers_or_is_open_to_everyone() -> None:
    text = written(plan_of(["0/ip", "7/tcp"]), "kubernetes").text
    for policy in yaml.safe_load_all(text):
        rules = [*policy["spec"]["ingress"], *policy["spec"].get("egress", [])]
        assert all(rule.get("from") or rule.get("to") for rule in rules)
    everything = written(plan_of(["any/ip"]), "kubernetes").text
    rules = [
        rule for policy in yaml.safe_load_all(everything) for rule in policy["spec"]["ingress"] if "ports" not in rule
    ]
    assert rules == [{"from": [{"podSelector": {"matchLabels": {"hpc-ports/group": "hpc-slurm-compute-restricted"}}}]}]


def test_resources_of_terraform_keep_their_names_when_others_come() -> None:
    def names(ports: list[str]) -> set[str]:
        data = json.loads(written(plan_of(ports), "terraform_aws").text)
        return set(data["resource"]["aws_vpc_security_group_ingress_rule"])

    assert names(["9/tcp"]) < names(["7/tcp", "9/tcp"])
