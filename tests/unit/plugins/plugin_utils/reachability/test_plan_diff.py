# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The differences between two plans, as data and as sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.plan_diff import (
    Comparison,
    comparison_of,
    sample_of,
    sentences,
    shortened,
)
from ansible_collections.hpc.ports.tests.support.sites import accepts, make_plan, opens
from hypothesis import given
from hypothesis import strategies as st

SITE: dict[str, Any] = {
    "services": {"slurmctld": {"ports": ["6817/tcp"]}, "slurmd": {"ports": ["6818/tcp"]}},
    "flows": {
        "control": {
            "from": ["slurm_compute"],
            "to": ["slurm_controller"],
            "services": ["slurmctld"],
            "within_cluster": True,
            "need": "conditional",
        },
        "launch": {
            "from": ["slurm_controller", "slurm_compute"],
            "to": ["slurm_compute"],
            "services": ["slurmd"],
            "within_cluster": True,
            "need": "conditional",
        },
    },
}
HOSTS: dict[str, Any] = {
    "head": {"groups": ["slurm_controller"], "addresses": ["10.20.0.1"]},
    "n1": {"groups": ["slurm_compute"], "addresses": ["10.20.0.11"]},
    "n2": {"groups": ["slurm_compute"], "addresses": ["10.20.0.12"]},
    "n3": {"groups": ["slurm_compute"], "addresses": ["10.20.0.13"]},
    "tape": {"groups": ["monitoring"], "addresses": ["10.20.0.99"]},
    "desk": {"groups": ["offices"], "addresses": ["10.30.0.1"]},
}


def without(*names: str) -> dict[str, Any]:
    return {name: values for name, values in HOSTS.items() if name not in names}


def compared(before: Mapping[str, Any], after: Mapping[str, Any], **settings: Any) -> Comparison:
    return comparison_of(make_plan(SITE, before, **settings), make_plan(SITE, after, **settings))


def test_a_new_node_changes_those_that_let_it_in() -> None:
    found = compared(without("n3"), HOSTS)
    assert (found.added, found.removed, found.changed) == (("n3",), (), ["head", "n1", "n2"])
    assert sentences(found) == ["head: 10.20.0.13 is added to in_control.", "n1, n2: 10.20.0.13 is added to in_launch."]
    assert found.differences[1].changes == {
        "flows_added": [],
        "flows_removed": [],
        "ports_changed": {},
        "settings": [],
        "addresses_changed": {"in_launch": {"added": ["10.20.0.13"], "removed": []}},
    }


def test_by_the_network_of_its_cluster_nobody_changes() -> None:
    found = compared(without("n3"), HOSTS, firewall_clusters={"default": {"cidrs": ["10.20.0.0/24"]}})
    assert (found.added, found.changed) == (("n3",), [])
    assert sentences(found) == []


def test_the_first_of_its_kind_brings_flows_and_the_last_takes_them() -> None:
    few = without("n1", "n2", "n3")
    assert sentences(compared(few, {**few, "n1": HOSTS["n1"]})) == ["head: flow in_control is added."]
    found = compared({**few, "n1": HOSTS["n1"]}, few)
    assert (found.removed, found.changed, sentences(found)) == (
        ("n1",),
        ["head"],
        ["head: flow in_control is removed."],
    )


def test_a_host_in_no_group_of_ours_changes_others_too() -> None:
    site = {
        "endpoints": {"offices": {"groups": ["offices"]}},
        "flows": {"look": {"from": ["offices"], "to": ["monitoring"], "services": ["ssh"], "need": "recommended"}},
    }
    found = comparison_of(make_plan(site, without("desk")), make_plan(site, HOSTS))
    assert (found.added, found.changed) == ((), ["tape"])
    assert sentences(found) == ["tape: flow in_look is added."]


def test_ports_and_settings_are_told() -> None:
    other = {**SITE, "services": {**SITE["services"], "slurmctld": {"ports": ["6817/tcp", "7000-7001/tcp"]}}}
    hosts = {**HOSTS, "head": {**HOSTS["head"], "mode": "observe"}}
    found = comparison_of(make_plan(SITE, HOSTS), make_plan(other, hosts))
    assert sentences(found) == ["head: 7000-7001/tcp is added to in_control; mode changes."]


def test_a_long_sentence_is_cut() -> None:
    assert shortened([]) == ""
    assert shortened(list("abcde")) == "a, b, c, d, e"
    assert shortened(list("abcdefg")) == "a, b, c, d, e and 2 more"


def test_the_sample_has_one_of_each_class_beside_the_new_ones() -> None:
    plan = make_plan(SITE, HOSTS)
    assert sample_of(plan, ["n1"]) == ["desk", "head", "n2", "tape"]
    assert sample_of(plan, ["n1", "tape"]) == ["desk", "head", "n2"]


# ---- any two inventories

NAMES = [f"h{number}" for number in range(6)]
GROUPS = ["slurm_controller", "slurm_compute", "monitoring", "offices"]
VALUES = st.fixed_dictionaries(
    {
        "groups": st.lists(st.sampled_from(GROUPS), min_size=1, max_size=2, unique=True),
        "cluster": st.sampled_from(["alpha", "beta"]),
        "egress": st.sampled_from(["open", "restricted"]),
        "number": st.integers(1, 254),
    }
)
INVENTORIES = st.dictionaries(st.sampled_from(NAMES), VALUES, min_size=1)


def inventory(drawn: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "groups": values["groups"],
            "cluster": values["cluster"],
            "egress": values["egress"],
            "addresses": [f"10.{NAMES.index(name)}.0.{values['number']}"],
        }
        for name, values in drawn.items()
    }


def verdicts(plan: Plan, host: str) -> set[tuple[str, str, int]]:
    peers = [f"10.{place}.0.{number}" for place in range(len(NAMES)) for number in (1, 2, 17, 254)]
    return {
        (way, peer, port)
        for way, passes in (("in", accepts), ("out", opens))
        for peer in peers
        for port in (22, 6817, 6818)
        if passes(plan, host, peer, port)
    }


@given(before=INVENTORIES, after=INVENTORIES)
def test_who_does_not_change_judges_as_before_and_the_way_back_is_the_opposite(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    old, new = make_plan(SITE, inventory(before)), make_plan(SITE, inventory(after))
    there, back = comparison_of(old, new), comparison_of(new, old)
    assert (there.added, there.removed, there.changed) == (back.removed, back.added, back.changed)
    both = set(old.hosts) & set(new.hosts)
    assert set(there.changed) <= both
    for host in both - set(there.changed):
        assert verdicts(old, host) == verdicts(new, host)
    # No policy of this site differs by target alone, so that every change has something to say.
    assert all(any(item.changes.values()) for item in there.differences)
    assert comparison_of(old, old) == Comparison((), (), ())


@pytest.mark.parametrize("name", ["n1", "tape"])
def test_adding_and_removing_are_opposite(name: str) -> None:
    assert compared(without(name), HOSTS).changed == compared(HOSTS, without(name)).changed
