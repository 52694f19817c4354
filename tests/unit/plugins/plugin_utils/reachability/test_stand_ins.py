# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts that stand for their classes, and from where Ansible connects to them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import Connections
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.host_classes import classes_of
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.stand_ins import Controller, stand_ins
from ansible_collections.hpc.ports.tests.support.random_sites import SITES, Site
from ansible_collections.hpc.ports.tests.support.sites import make_plan
from hypothesis import given

NODES = {f"n{number}": {"groups": ["slurm_compute"], "addresses": [f"10.0.1.{number}"]} for number in range(1, 5)}


def plan_of(hosts: dict[str, Any], *controllers: str, groups: tuple[str, ...] = ()) -> Plan:
    endpoint = {"cidrs": list(controllers), "groups": list(groups)}
    # So that login nodes are a class of their own.
    flow = {"from": ["controllers"], "to": ["slurm_login"], "services": ["web"], "need": "required"}
    services = {"web": {"ports": ["443/tcp"]}}
    return make_plan({"services": services, "endpoints": {"controllers": endpoint}, "flows": {"portal": flow}}, hosts)


def test_a_host_of_each_class_and_backend_stands_for_it() -> None:
    hosts = {
        **NODES,
        "n4": {**NODES["n4"], "backend": "firewalld"},
        "laptop": {"groups": [], "addresses": ["10.9.0.1"]},
    }
    chosen, controller = stand_ins(plan_of(hosts, "192.0.2.0/24"), 1)
    assert [(host.host, host.class_name, host.backend) for host in chosen] == [
        ("laptop", "outsider", ""),
        ("n1", "slurm_compute", "auto"),
        ("n4", "slurm_compute", "firewalld"),
    ]
    assert controller == Controller("192.0.2.1", "")
    assert [host.host for host in stand_ins(plan_of(hosts, "192.0.2.0/24"), 2)[0]] == ["laptop", "n1", "n2", "n4"]


@pytest.mark.parametrize(
    "controllers,groups,controller",
    [
        (["10.0.1.0/30"], [], "n1"),  # its first address is no host's
        (["10.0.1.1/32", "192.0.2.7/32"], [], "192.0.2.7"),
        (["0.0.0.0/0"], [], "198.51.100.254"),
        (["2001:db8::/64"], [], "2001:db8::1"),
        (["10.0.1.2/32"], [], "n2"),
        ([], ["slurm_compute"], "n1"),
    ],
)
def test_ansible_connects_from_a_free_address_or_from_a_host(
    controllers: list[str], groups: list[str], controller: str
) -> None:
    chosen, found = stand_ins(plan_of(NODES, *controllers, groups=tuple(groups)), 1)
    assert found.address + found.host == controller
    assert found.host in {"", *(host.host for host in chosen)}


def test_an_outsider_is_added_if_all_hosts_are_managed() -> None:
    chosen, _controller = stand_ins(plan_of(NODES, "192.0.2.1/32"), 1)
    assert [(host.host, host.addresses) for host in chosen] == [("n1", ("10.0.1.1",)), ("outsider", ("198.18.0.1",))]


def test_two_hosts_with_one_address_are_not_both_there() -> None:
    shared = {"groups": ["slurm_login"], "addresses": ["10.0.2.1"], "source_addresses": ["10.0.1.1"]}
    assert [host.host for host in stand_ins(plan_of({**NODES, "zlogin": shared}, "192.0.2.1/32"), 1)[0]] == [
        "n1",
        "outsider",
    ]


@given(SITES)
def test_each_class_has_a_stand_in_unless_another_host_has_its_addresses(site: Site) -> None:
    plan = site.plan()
    chosen, controller = stand_ins(plan, 1)
    taken = [controller.address, *(address for host in chosen for address in host.addresses)]
    assert len(taken) == len(set(taken))
    connections = Connections(plan, sorted(plan.inventory.hosts))
    names = {host.host for host in chosen}
    for host_class in classes_of(connections):
        own = [
            {address.text for address in [*connections.reached[host], *connections.comes_from[host]]}
            for host in host_class.members
        ]
        assert names.intersection(host_class.members) or all(not each or each.intersection(taken) for each in own)


@given(SITES)
def test_ansible_may_connect_to_each_stand_in(site: Site) -> None:
    plan = site.plan()
    chosen, controller = stand_ins(plan, 1)
    for host in chosen:
        if host.host in plan.hosts:
            policy = parse_policy(plan.policies[plan.hosts[host.host]])
            assert evaluate(policy, Packet("in", "tcp", controller.address, 22)).passes
