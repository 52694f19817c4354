# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of hosts in the variables of playbooks."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.host_arguments import host_pattern
from hypothesis import given
from hypothesis import strategies as st

GROUPS = {
    "all": ["c1", "n1", "n2", "other"],
    "ungrouped": ["other"],
    "slurm_compute": ["n1", "n2"],
    "slurm_controller": ["c1"],
    "slurm_login": [],
    "racks": ["c1"],
}


def test_all_managed_hosts_are_in_the_canonical_groups_that_have_hosts() -> None:
    assert host_pattern(GROUPS) == ["slurm_controller", "slurm_compute"]


def test_kinds_select_groups_in_canonical_order() -> None:
    assert host_pattern(GROUPS, ["slurm_compute", "slurm_controller"]) == ["slurm_controller", "slurm_compute"]
    assert host_pattern(dict.fromkeys(CANONICAL_GROUPS, ["h"]), ["pbs_*", "workspace"]) == [
        "pbs_server",
        "pbs_comm",
        "pbs_login",
        "pbs_execution",
        "workspace",
    ]


@pytest.mark.parametrize("kinds", [["pbs_*"], ["slurm_login"], ["web_portal"]])
def test_a_kind_without_hosts_selects_no_host(kinds: list[str]) -> None:
    assert host_pattern(GROUPS, kinds) == ["all", "!all"]


def test_an_empty_inventory_selects_no_host() -> None:
    assert host_pattern({"all": [], "ungrouped": []}) == ["all", "!all"]


INIT = ". The playbook hpc.ports.init writes a file that puts the hosts of other groups into these."


def test_an_inventory_without_managed_hosts_is_an_error() -> None:
    with pytest.raises(ValueError) as caught:
        host_pattern({"all": ["other"], "racks": ["other"]})
    assert str(caught.value) == (
        "got an inventory without managed hosts, expected hosts in at least one of the canonical groups: "
        + ", ".join(CANONICAL_GROUPS)
        + INIT
    )


@pytest.mark.parametrize(
    ("groups", "hint"),
    [
        ({"slurm_computes": ["n1"]}, " Did you mean 'slurm_compute' instead of 'slurm_computes'?"),
        ({"slurm-login": ["n1"]}, " Did you mean 'slurm_login' instead of 'slurm-login'?"),
        (
            {"slurm_computes": ["n1"], "racks": ["n1"], "SlurmLogin": ["n2"]},
            " Did you mean 'slurm_login' instead of 'SlurmLogin', 'slurm_compute' instead of 'slurm_computes'?",
        ),
        # Without hosts, or a name of its own.
        ({"slurm_computes": [], "racks": ["n1"]}, INIT[1:]),
        ({"compute": ["n1"], "dns_server": ["n2"]}, INIT[1:]),
    ],
)
def test_an_inventory_without_managed_hosts_may_have_misspelt_groups(groups: dict[str, list[str]], hint: str) -> None:
    with pytest.raises(ValueError) as caught:
        host_pattern({"all": ["n1", "n2"], **groups})
    assert str(caught.value) == (
        "got an inventory without managed hosts, expected hosts in at least one of the canonical groups: "
        f"{', '.join(CANONICAL_GROUPS)}.{hint}"
    )


@given(st.sampled_from(CANONICAL_GROUPS), st.sampled_from(["s", "-", "upper", "plain", ""]))
def test_the_hint_names_the_group(group: str, change: str) -> None:
    spelling = {"s": f"{group}s", "-": group.replace("_", "-"), "upper": group.upper(), "plain": group.replace("_", "")}
    written = spelling.get(change, group)
    if written in CANONICAL_GROUPS:
        assert host_pattern({"all": ["n1"], written: ["n1"]}) == [written]
    elif not (group == "managed" and change == "s"):
        with pytest.raises(ValueError, match=f"Did you mean '{group}' instead of '{written}'"):
            host_pattern({"all": ["n1"], written: ["n1"]})


def test_a_kind_that_matches_no_canonical_group_is_an_error() -> None:
    with pytest.raises(ValueError) as caught:
        host_pattern(GROUPS, ["racks"])
    assert str(caught.value) == f"got 'racks', expected one of the canonical groups: {', '.join(CANONICAL_GROUPS)}"


@pytest.mark.parametrize(
    "kinds,among,found",
    [
        ((), ["n2", "other"], ["n2"]),
        (["slurm_compute"], ["n2", "c1", "n1"], ["n2", "n1"]),
        (["slurm_controller"], ["n2"], ["all", "!all"]),
        (["pbs_*"], ["n2"], ["all", "!all"]),
        (["slurm_*"], [], ["all", "!all"]),
    ],
)
def test_a_kind_selects_among_given_hosts(kinds: list[str], among: list[str], found: list[str]) -> None:
    assert host_pattern(GROUPS, kinds, among) == found
