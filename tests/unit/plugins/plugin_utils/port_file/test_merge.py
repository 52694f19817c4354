# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of merging a site over the shipped port file."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Service, load_catalogue
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.merge import merge, shipped_port_file
from ansible_collections.hpc.ports.plugins.plugin_utils._services.listen_ports import (
    enabled_flows,
    service_port,
    site_services,
)
from hypothesis import given
from hypothesis import strategies as st

LEAVES = st.one_of(st.integers(0, 3), st.lists(st.integers(0, 3), max_size=2))
NAMES = st.sampled_from("abc")
SHIPPED_TREES = st.dictionaries(NAMES, st.dictionaries(NAMES, LEAVES, max_size=3), max_size=3)
SITE_TREES = st.dictionaries(
    NAMES, st.one_of(st.none(), st.dictionaries(NAMES, st.one_of(st.none(), LEAVES), max_size=3)), max_size=3
)


def leaves(tree: dict[str, dict[str, Any]]) -> dict[tuple[str, str], Any]:
    return {(name, key): value for name, entry in tree.items() for key, value in entry.items()}


@given(SHIPPED_TREES, SITE_TREES)
def test_each_leaf_is_merged(base: dict[str, Any], over: dict[str, Any]) -> None:
    """Values of the site override, null deletes, and all other values are the shipped ones."""
    expected = leaves(base)
    for name, entry in over.items():
        for key in "abc":
            if entry is None or entry.get(key, ...) is None:
                expected.pop((name, key), None)
            elif key in entry:
                expected[name, key] = entry[key]
    result = merge("key", base, over)
    assert leaves(result) == expected
    assert set(result) == (set(base) | set(over)) - {name for name, entry in over.items() if entry is None}


@given(SHIPPED_TREES)
def test_merging_nothing_changes_nothing(base: dict[str, Any]) -> None:
    assert merge("key", base, {}) == base
    assert merge("key", {}, base) == base
    assert merge("key", base, base) == base


@given(SHIPPED_TREES, SITE_TREES)
def test_merging_twice_is_merging_once(base: dict[str, Any], over: dict[str, Any]) -> None:
    once = merge("key", base, over)
    assert merge("key", once, over) == once


# What a site may write of a service, so that every difference between two ways of merging shows.
PORTS = st.lists(st.sampled_from(["1/tcp", "2-3/tcp", "4/udp", "0/tcp"]), max_size=2)
OF_SITES = st.dictionaries(
    st.sampled_from(["slurmctld", "slurmd", "srun", "own", "Bad"]),
    st.one_of(
        st.none(),
        st.just([]),
        st.fixed_dictionaries(
            {},
            optional={
                "ports": st.one_of(st.none(), PORTS),
                "title": st.one_of(st.none(), st.just("Own")),
                "unit": st.none(),
            },
        ),
    ),
    max_size=3,
)
RANGES = st.fixed_dictionaries({}, optional={"firewall_srun_ports": st.sampled_from(["8192-60999", "60001-63000"])})


@given(OF_SITES, RANGES, st.sampled_from([True, False, "no"]))
def test_filters_and_the_plan_merge_identically(site: dict[str, Any], ranges: dict[str, str], is_shipped: Any) -> None:
    """The plan accepts the services that the filters return, with the same content. Both reject the same input."""
    try:
        found = site_services(site, ranges, is_shipped)
    except PortFileError as refused:
        with pytest.raises(PortFileError) as error:
            planned(site, ranges, is_shipped)
        assert str(error.value) == str(refused)
        return
    try:
        expected = planned(site, ranges, is_shipped)
    except PortFileError:  # of what the filters do not judge
        return
    assert {name: service["ports"] for name, service in found.items()} == {
        name: [str(item) for item in service.ports] for name, service in expected.items()
    }


def planned(site: dict[str, Any], ranges: dict[str, str], is_shipped: Any = True) -> dict[str, Service]:
    """Return the services of a plan, without flows whose services are missing, because these are another error."""
    shipped = {
        **shipped_port_file(),
        "firewall_flows": {"management_ssh": shipped_port_file()["firewall_flows"]["management_ssh"]},
    }
    return load_catalogue(shipped, {"firewall_services": site, **ranges, "firewall_shipped": is_shipped}, []).services


OF_FLOWS = st.dictionaries(
    st.sampled_from(["nfs_v3", "kubernetes_nodes", "slurm_accounting", "own"]),
    st.one_of(
        st.none(),
        st.fixed_dictionaries(
            {"from": st.just(["all"]), "to": st.just(["all"]), "services": st.just(["ssh"])},
            optional={
                "enabled": st.sampled_from([True, False, None]),
                "need": st.sampled_from(["required", "recommended", "conditional", "optional"]),
            },
        ),
    ),
    max_size=3,
)


@given(OF_FLOWS, st.booleans())
def test_flows_enabled_for_roles_are_enabled_in_the_plan(site: dict[str, Any], is_shipped: bool) -> None:
    """Except flows that only the plan can decide: conditional flows and flows with a switch."""
    try:
        flows = load_catalogue(
            shipped_port_file(), {"firewall_flows": site, "firewall_shipped": is_shipped}, ["all"]
        ).flows
    except PortFileError:
        return
    on = {
        name
        for name, flow in flows.items()
        if (flow.enabled if flow.enabled is not None else flow.need in ("required", "recommended", "conditional"))
    }
    assert set(enabled_flows(site, is_shipped)) == on


@pytest.mark.parametrize("name", ["slurmctld", "srun", "pbs_mom"])
def test_services_that_a_site_does_not_mention_are_unchanged(name: str) -> None:
    assert service_port(site_services({name: {}}), name) == service_port(site_services({}), name) != ""


def test_null_deletes_in_filters_and_the_plan() -> None:
    assert "slurmctld" not in site_services({"slurmctld": None})
    assert "ports" not in site_services({"slurmctld": {"ports": None}})["slurmctld"]
