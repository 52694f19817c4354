# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written for AWS in an emulator of EC2: created, read back, changed, and applied again without a change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import yaml
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.clouds import export
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.tests.support.clouds import Aws, expected, wires
from ansible_collections.hpc.ports.tests.support.ec2 import Groups
from ansible_collections.hpc.ports.tests.support.inventories import plan_of
from ansible_collections.hpc.ports.tests.support.random_sites import SITES, Site
from ansible_collections.hpc.ports.tests.support.run import examples
from ansible_collections.hpc.ports.tests.support.sites import make_plan
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws


@pytest.fixture(name="client", scope="module")
def _client() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("ec2", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")


def written(plan: Plan) -> dict[str, Any]:
    return dict(yaml.safe_load(export(plan, "aws", list(plan.hosts), "hpc").text))


def fits(plan: Plan) -> bool:
    """Return whether the usual quota suffices, as the emulator has no other."""
    return not any("quota" in warning for warning in export(plan, "aws", list(plan.hosts), "hpc").warnings)


def check_verdicts(groups: Groups, plan: Plan, of_hosts: dict[str, str], seed: int, number: int) -> None:
    """See that the groups that EC2 has give the verdicts of the plan."""
    text = yaml.safe_dump({"cloud_groups": groups.variables(), "cloud_group_of": of_hosts})
    simulator = Aws(plan, text, list(plan.hosts))
    for wire in wires(plan, list(plan.hosts), seed, number):
        assert simulator.passes(wire) == expected(plan, wire), wire


@settings(max_examples=examples(15))
@given(sites=st.lists(SITES, min_size=2, max_size=2), seed=st.integers(0, 2**32))
def test_ec2_has_what_the_plan_says_and_a_second_run_changes_nothing(client: Any, sites: list[Site], seed: int) -> None:
    groups = Groups(client)
    for site in sites:  # the second site is a change
        plan = site.plan()
        if plan.hosts and fits(plan):
            data = written(plan)
            groups.apply(data["cloud_groups"])
            check_verdicts(groups, plan, data["cloud_group_of"], seed, 60)
            assert groups.apply(data["cloud_groups"]) == 0


def test_ec2_takes_the_groups_of_the_example(client: Any) -> None:
    plan, groups = plan_of("example"), Groups(client)
    data = written(plan)
    assert groups.apply(data["cloud_groups"]) > len(data["cloud_groups"])
    check_verdicts(groups, plan, data["cloud_group_of"], 0, 300)
    assert groups.apply(data["cloud_groups"]) == 0


@pytest.mark.parametrize(("ports", "is_enough"), [(57, True), (61, False)])
def test_ec2_counts_rules_as_we_do(client: Any, ports: int, is_enough: bool) -> None:
    hosts = {"control": {"groups": ["slurm_controller"], "addresses": ["10.0.0.1"]}}
    site = {
        "services": {"s": {"ports": [f"{port}/tcp" for port in range(1, 2 * ports, 2)]}},
        "endpoints": {"e": {"cidrs": ["10.1.0.0/16"]}},
        "flows": {"f": {"from": ["e"], "to": ["slurm_controller"], "services": ["s"], "need": "recommended"}},
    }
    plan = make_plan(site, hosts)
    data = written(plan)["cloud_groups"]
    assert fits(plan) == is_enough
    if is_enough:
        Groups(client).apply(data)
    else:
        with pytest.raises(ClientError, match="RulesPerSecurityGroupLimitExceeded"):
            Groups(client).apply(data)
