# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written for Kubernetes is valid by the schema of its API."""

from __future__ import annotations

import kubernetes_validate
import pytest
import yaml
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.clouds import export
from ansible_collections.hpc.ports.tests.support.inventories import plan_of
from ansible_collections.hpc.ports.tests.support.random_sites import SITES, Site
from ansible_collections.hpc.ports.tests.support.run import examples
from hypothesis import given, settings

# The first version in which `endPort` is stable, and a later one.
VERSIONS = ("1.25", "1.33")


def check(text: str) -> int:
    """See that all policies are valid, and return their number."""
    policies = list(yaml.safe_load_all(text))
    for policy in policies:
        for version in VERSIONS:
            kubernetes_validate.validate(policy, version, strict=True)
    return len(policies)


@settings(max_examples=examples(20))
@given(SITES)
def test_the_policies_of_random_plans_are_valid(site: Site) -> None:
    plan = site.plan()
    if plan.hosts:
        written = export(plan, "kubernetes", list(plan.hosts), "hpc")
        assert check(written.text) == len(written.groups)


def test_the_policies_of_the_example_are_valid() -> None:
    plan = plan_of("example")
    assert check(export(plan, "kubernetes", list(plan.hosts), "hpc").text) > 5


def test_a_wrong_key_is_found() -> None:
    plan = plan_of("example")
    text = export(plan, "kubernetes", list(plan.hosts), "hpc").text
    with pytest.raises(kubernetes_validate.ValidationError, match="was unexpected"):
        check(text.replace("podSelector:", "podSelektor:"))
