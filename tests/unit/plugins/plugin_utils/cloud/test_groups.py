# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of groups: which peers are references, and which stay networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.clouds import export
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.groups import Group, GroupRule, Scope, groups_of
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.names import (
    LONGEST,
    checked_prefix,
    description,
    group_names,
    safe_title,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.tests.support.sites import make_plan

CONTROL: dict[str, Any] = {"groups": ["slurm_controller"], "addresses": ["10.0.0.1"]}


def rules_of(
    nodes: Mapping[str, Mapping[str, Any]], sources: Mapping[str, Any], hosts: list[str] | None = None, **options: Any
) -> list[GroupRule]:
    """Return the rules of the controller for a flow from these sources to it."""
    site = {
        "services": {"s": {"ports": ["6817/tcp"]}},
        "endpoints": {"sources": sources},
        "flows": {"f": {"from": ["sources"], "to": ["slurm_controller"], "services": ["s"], "need": "recommended"}},
    }
    plan = make_plan(site, {"control": CONTROL, **nodes})
    scope = Scope(hosts or list(plan.hosts), "hpc", **options)
    group = named(groups_of(plan, scope), "hpc-slurm-controller")
    return [rule for rule in group.rules if rule.flows == ("f",)]


def named(groups: list[Group], name: str) -> Group:
    return next(group for group in groups if group.name == name)


def node(*addresses: str, **variables: Any) -> dict[str, Any]:
    return {"groups": ["slurm_compute"], "addresses": list(addresses), **variables}


OF_GROUP = {"groups": ["slurm_compute"]}


def peers(rules: list[GroupRule]) -> tuple[list[str], list[str]]:
    (rule,) = rules
    return list(rule.groups), list(rule.networks)


def test_the_hosts_of_a_class_are_one_reference() -> None:
    rules = rules_of({"n1": node("10.0.0.2"), "n2": node("10.0.0.3", "fd00::3")}, OF_GROUP)
    assert peers(rules) == (["hpc-slurm-compute-n1", "hpc-slurm-compute-n2"], [])


def test_a_written_network_stays_whole() -> None:
    rules = rules_of({"n1": node("10.0.0.2")}, {**OF_GROUP, "cidrs": ["10.0.0.0/24"]})
    assert peers(rules) == ([], ["10.0.0.0/24"])


def test_a_network_of_some_addresses_of_a_host_is_no_reference_to_it() -> None:
    rules = rules_of({"n1": node("10.0.0.2", "10.0.9.2"), "n2": node("10.0.0.3")}, {"cidrs": ["10.0.0.2/31"]})
    assert peers(rules) == (["hpc-slurm-compute-n2"], ["10.0.0.2/32"])


@pytest.mark.parametrize(
    ("nodes", "networks"),
    [
        # Other hosts see the address of a NAT.
        ({"n1": node("10.0.0.2", source_addresses=["10.0.9.9"])}, ["10.0.9.9/32"]),
        # A cloud has public IPv4 addresses in front of the host, not on it.
        ({"n1": node("9.9.9.9")}, ["9.9.9.9/32"]),
        # Nobody knows which of two hosts has a virtual address.
        (
            {
                "n1": node("10.0.0.2", "10.0.0.9", shared_addresses=["10.0.0.9"]),
                "n2": {
                    "groups": ["nfs_server"],
                    "addresses": ["10.0.0.3", "10.0.0.9"],
                    "shared_addresses": ["10.0.0.9"],
                },
            },
            ["10.0.0.2/32", "10.0.0.9/32"],
        ),
        # A host without a firewall of ours has no group.
        ({"n1": {"groups": ["desks"], "addresses": ["10.0.0.2"]}}, ["10.0.0.2/32"]),
    ],
)
def test_hosts_that_a_cloud_does_not_know_by_their_addresses_stay_networks(
    nodes: dict[str, Any], networks: list[str]
) -> None:
    sources = {"groups": ["slurm_compute"]} if "desks" not in nodes["n1"]["groups"] else {"groups": ["desks"]}
    assert peers(rules_of(nodes, sources)) == ([], networks)


def test_what_a_nat_shows_and_what_it_hides_are_both_no_reference() -> None:
    nodes = {"n1": node("10.0.0.2", source_addresses=["10.0.0.3"])}
    assert peers(rules_of(nodes, {"cidrs": ["10.0.0.2/31"]})) == ([], ["10.0.0.2/31"])


def test_hosts_outside_the_cloud_stay_networks_in_what_their_class_opens() -> None:
    nodes = {"n1": node("10.0.0.2"), "n2": node("10.0.0.3")}
    assert peers(rules_of(nodes, OF_GROUP, ["control", "n1"])) == (["hpc-slurm-compute"], ["10.0.0.3/32"])


def test_a_cloud_without_references_has_networks() -> None:
    nodes = {"n1": node("10.0.0.2"), "n2": node("10.0.0.3")}
    assert peers(rules_of(nodes, OF_GROUP, references=("out",))) == ([], ["10.0.0.2/31"])


def test_where_a_reference_has_one_address_of_a_family_hosts_with_two_stay_networks() -> None:
    nodes = {"n1": node("10.0.0.2", "fd00::2"), "n2": node("10.0.0.4", "10.0.0.6")}
    groups, networks = peers(rules_of(nodes, OF_GROUP, one_address=True))
    assert groups == ["hpc-slurm-compute-n1"]
    assert networks == ["10.0.0.4/32", "10.0.0.6/32"]


def test_a_peer_repeats_no_ports_of_a_network_around_it() -> None:
    site = {
        "services": {"wide": {"ports": ["1-20/tcp"]}, "more": {"ports": ["10-30/tcp"]}},
        "endpoints": {"all": {"cidrs": ["10.0.0.0/8"]}, "few": {"cidrs": ["10.9.0.0/16"]}},
        "flows": {
            "w": {"from": ["all"], "to": ["slurm_controller"], "services": ["wide"], "need": "recommended"},
            "m": {
                "from": ["few", "slurm_compute"],
                "to": ["slurm_controller"],
                "services": ["more"],
                "need": "recommended",
            },
        },
    }
    plan = make_plan(site, {"control": CONTROL, "n1": node("10.0.0.2")})
    group = named(groups_of(plan, Scope(list(plan.hosts), "hpc")), "hpc-slurm-controller")
    found = {
        (" ".join(map(str, rule.ports)), rule.groups, rule.networks): rule.flows for rule in group.rules if rule.flows
    }
    assert found == {
        ("1-20/tcp", (), ("10.0.0.0/8",)): ("w",),
        ("21-30/tcp", ("hpc-slurm-compute",), ("10.9.0.0/16",)): ("m",),
        ("22/tcp", (), ("192.0.2.1/32",)): ("management_ssh",),
    }


def test_observed_hosts_and_trusted_interfaces_are_named() -> None:
    nodes = {"n1": node("10.0.0.2", mode="observe"), "n2": node("10.0.0.3", trusted_interfaces=["ib0"])}
    plan = make_plan({"services": {}, "endpoints": {}, "flows": {}}, nodes)
    observed, trusting = export(plan, "aws", list(plan.hosts), "hpc").warnings
    assert "observe mode: the rules of hpc-slurm-compute-observe are enforced" in observed
    assert "Hosts of hpc-slurm-compute accept everything on firewall_trusted_interfaces" in trusting


def test_a_cloud_without_managed_hosts_is_an_error() -> None:
    plan = make_plan({"services": {}, "endpoints": {}, "flows": {}}, {"control": CONTROL})
    with pytest.raises(PortFileError, match="cloud_hosts: got no host with a firewall"):
        export(plan, "aws", ["desk"], "hpc")


# ---- names


def test_names_are_unique_and_do_not_depend_on_the_order() -> None:
    names = group_names("hpc", ["a b", "a+b", "c", "x" * 90, "ü"], ["n1", "n2", "n3", "n4", "n5"])
    assert names[:3] == ["hpc-a-b-n1", "hpc-a-b-n2", "hpc-c"]
    assert len(names[3]) == LONGEST and names[3].startswith("hpc-xxx")
    assert names[4] == "hpc-hosts"
    turned = group_names("hpc", ["c", "a+b", "a b"], ["n3", "n2", "n1"])
    assert turned == [names[2], names[1], names[0]]
    same = group_names("hpc", ["a", "a"], ["N 1", "n-1"])
    assert len(set(same)) == 2


@pytest.mark.parametrize("prefix", ["", "Hpc", "1a", "a-", "sg", "sg-a", "a" * 17, "a_b", "a\n", "a${b}", "ä"])
def test_a_prefix_that_a_cloud_refuses_is_an_error(prefix: str) -> None:
    with pytest.raises(PortFileError, match="Invalid cloud_prefix"):
        checked_prefix(prefix)


def test_titles_have_no_characters_that_clouds_refuse_or_templates_read() -> None:
    assert safe_title("a+b {{ 1 }} ü ${x} c.d_e-f") == "a+b - 1 - - -x- c.d_e-f"


def test_a_description_is_as_long_as_azure_takes() -> None:
    assert description(["a", "b"]) == "a, b"
    assert description(["f" * 64] * 3) == ("f" * 64 + ", " + "f" * 64 + ", " + "f" * 64)[:137] + "..."
