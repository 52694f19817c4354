# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Classes of hosts: hosts with the same rules share one."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import Connections
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.host_classes import HostClass, classes_of
from ansible_collections.hpc.ports.tests.support.sites import make_plan

ENDPOINTS = {"users": {"cidrs": ["10.0.0.0/28"]}}
FLOWS = {"web": {"from": ["users"], "to": ["control_plane"], "services": ["ssh"], "need": "required"}}


def host(*groups: str, number: int = 100, **values: Any) -> dict[str, Any]:
    return {"groups": [*groups], "addresses": [f"10.0.0.{number}"], **values}


def classes(**hosts: dict[str, Any]) -> list[HostClass]:
    """Return the classes of hosts of which a target knows some by their network."""
    target = {"target": host("control_plane", number=200)}
    plan = make_plan({"endpoints": ENDPOINTS, "flows": FLOWS}, {**hosts, **target})
    return classes_of(Connections(plan, sorted(hosts)))


@pytest.mark.parametrize(
    "values,name",
    [
        ({"groups": ["slurm_compute"]}, "slurm_compute"),
        ({"groups": ["nfs_client", "slurm_compute", "rack7"]}, "slurm_compute+nfs_client"),
        ({"groups": ["slurm_compute"], "cluster": "alpha"}, "slurm_compute alpha"),
        ({"groups": ["slurm_database"], "cluster": ["beta", "alpha"]}, "slurm_database alpha+beta"),
        ({"groups": ["monitoring"], "egress": "restricted", "mode": "observe"}, "monitoring restricted observe"),
        ({"groups": ["offices"]}, "outsider offices"),
        ({"groups": []}, "outsider"),
    ],
)
def test_a_class_is_named_by_what_its_members_have_in_common(values: dict[str, Any], name: str) -> None:
    [found] = classes(a={**host(), **values})
    assert found == (name, ("a",), found.policy, found.role, found.clusters)


def test_names_are_told_apart_by_a_number() -> None:
    found = classes(
        a=host("monitoring", number=100),
        b=host("monitoring", number=1),
        c=host("monitoring", number=101),
        d=host("monitoring", number=102, source_addresses=["10.0.0.2", "10.0.0.103"]),
    )
    assert [(item.name, item.members) for item in found] == [
        ("monitoring", ("a", "c")),
        ("monitoring 2", ("b",)),
        ("monitoring 3", ("d",)),
    ]
    assert len({item.role for item in found}) == 1


def test_hosts_that_a_network_of_a_flow_tells_apart_are_two_classes() -> None:
    assert [item.members for item in classes(a=host(number=1), b=host(number=15), c=host(number=16))] == [
        ("a", "b"),
        ("c",),
    ]


def test_hosts_are_alike_where_the_address_of_one_is_that_of_another_behind_an_endpoint() -> None:
    """And not else: a host that comes from an address of a group is judged as one of that group."""
    site = {"flows": {"in": {"from": ["offices"], "to": ["control_plane"], "services": ["ssh"], "need": "required"}}}
    hosts = {
        "a": host("offices", number=1),
        "ctl": host("control_plane", number=9),
        "x": host("guests", number=2),
        "y": host("guests", number=3, source_addresses=["10.0.0.1"]),
    }
    found = classes_of(Connections(make_plan(site, hosts), sorted(hosts)))
    assert [item.members for item in found] == [("a",), ("ctl",), ("x",), ("y",)]


def test_a_role_is_a_class_regardless_of_cluster_and_network() -> None:
    one, two, three = classes(
        a=host("slurm_compute", number=1, cluster="alpha"),
        b=host("slurm_compute", number=99, cluster="beta"),
        c=host("slurm_compute", number=98, cluster="beta", egress="restricted"),
    )
    assert one.role == two.role != three.role
    assert (one.clusters, two.clusters) == ({"alpha"}, {"beta"})


def test_each_network_has_outsiders_of_its_own() -> None:
    one, two = classes(a=host(number=1), b=host(number=99))
    assert one.role != two.role
    assert (one.policy, two.policy) == ("", "")
