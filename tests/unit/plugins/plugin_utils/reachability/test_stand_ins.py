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
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
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
    chosen, controller, left_out = stand_ins(plan_of(hosts, "192.0.2.0/24"), 1)
    assert [(host.host, host.class_name, host.backend) for host in chosen] == [
        ("laptop", "outsider", ""),
        ("n1", "slurm_compute", "auto"),
        ("n4", "slurm_compute", "firewalld"),
    ]
    assert controller == Controller(("192.0.2.1",), "", 22)
    assert left_out == {}
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
    chosen, found, _left_out = stand_ins(plan_of(NODES, *controllers, groups=tuple(groups)), 1)
    assert [*found.addresses, *([found.host] if found.host else [])] == [controller]
    assert found.host in {"", *(host.host for host in chosen)}


def test_an_outsider_is_added_if_all_hosts_are_managed() -> None:
    chosen = stand_ins(plan_of(NODES, "192.0.2.1/32"), 1).hosts
    assert [(host.host, host.addresses) for host in chosen] == [("n1", ("10.0.1.1",)), ("outsider", ("198.18.0.1",))]


def test_the_controller_has_an_address_of_each_family_and_hosts_are_entered_by_theirs() -> None:
    both = ["fe80::1", "2001:db8:1::1", "10.0.2.1"]
    hosts = {**NODES, "login": {"groups": ["slurm_login"], "addresses": both}}
    chosen = stand_ins(plan_of(hosts, "2001:db8:c::/64", "192.0.2.1/32"), 1)
    assert chosen.controller.addresses == ("2001:db8:c::1", "192.0.2.1")
    assert {host.host: host.address for host in chosen.hosts} == {
        "login": both[1],
        "n1": "10.0.1.1",
        "outsider": "198.18.0.1",
    }
    assert chosen.hosts[-1].addresses == ("198.18.0.1", "2001:2::1")
    by_ipv4 = stand_ins(plan_of(hosts, "192.0.2.1/32"), 1)
    assert {host.host: host.address for host in by_ipv4.hosts}["login"] == both[2]


def test_a_class_that_no_controller_reaches_is_named() -> None:
    hosts = {**NODES, "login": {"groups": ["slurm_login"], "addresses": ["2001:db8:1::1"]}}
    assert stand_ins(plan_of(hosts, "192.0.2.1/32"), 1).left_out == {
        "slurm_login": "firewall_endpoints.controllers has no address of the family of login (2001:db8:1::1)"
    }


def test_a_host_of_the_controllers_is_there_before_hosts_with_its_address() -> None:
    router = {"groups": ["slurm_compute"], "addresses": ["10.0.2.1"], "source_addresses": ["10.0.2.1", "10.0.3.9"]}
    login = {"groups": ["slurm_login"], "addresses": ["10.0.3.9"]}
    chosen = stand_ins(plan_of({"a": router, "login": login}, "10.0.3.9/32", groups=("slurm_login",)), 1)
    assert chosen.controller.host in [host.host for host in chosen.hosts]


def test_sshd_listens_where_the_port_file_lets_ansible_in() -> None:
    def port(*ports: str) -> int:
        plan = make_plan({"services": {"ssh": {"ports": list(ports)}}}, NODES)
        return stand_ins(plan, 1).controller.port

    assert (port("2222/tcp", "22/tcp"), port("2222/tcp"), port("20-30/tcp")) == (22, 2222, 22)


def test_strangers_have_a_name_and_addresses_of_their_own() -> None:
    hosts = {**NODES, "outsider": {"groups": ["slurm_login"], "addresses": ["198.18.0.1"]}}
    chosen = stand_ins(plan_of(hosts, "192.0.2.1/32"), 1).hosts
    assert [(host.host, host.addresses) for host in chosen if not host.backend] == [("outsider2", ("198.18.0.2",))]


def test_the_machine_of_the_scenario_stands_for_no_host() -> None:
    hosts = {**NODES, "localhost": {"groups": [], "addresses": ["192.0.2.9"]}}
    with pytest.raises(PortFileError, match="^localhost is a host of the inventory"):
        stand_ins(plan_of(hosts, "192.0.2.1/32"), 1)


def test_two_hosts_with_one_address_are_not_both_there() -> None:
    shared = {"groups": ["slurm_login"], "addresses": ["10.0.2.1"], "source_addresses": ["10.0.1.1"]}
    chosen = stand_ins(plan_of({**NODES, "zlogin": shared}, "192.0.2.1/32"), 1)
    assert [host.host for host in chosen.hosts] == ["n1", "outsider"]
    assert chosen.left_out == {"slurm_login": "another container has the address 10.0.1.1 of zlogin"}


@given(SITES)
def test_each_class_has_a_stand_in_unless_another_host_has_its_addresses(site: Site) -> None:
    plan = site.plan()
    chosen, controller, left_out = stand_ins(plan, 1)
    taken = [*controller.addresses, *(address for host in chosen for address in host.addresses)]
    assert len(taken) == len(set(taken))
    connections = Connections(plan, sorted(plan.inventory.hosts))
    names = {host.host for host in chosen}
    for host_class in classes_of(connections):
        own = [
            {address.text for address in [*connections.reached[host], *connections.comes_from[host]]}
            for host in host_class.members
        ]
        there = names.intersection(host_class.members)
        reason = left_out.get(host_class.name, "")
        assert there or (bool(reason) and ("family" in reason or all(not each or each & set(taken) for each in own)))


@given(SITES)
def test_ansible_may_connect_to_each_stand_in(site: Site) -> None:
    plan = site.plan()
    chosen, controller, _left_out = stand_ins(plan, 1)
    for host in chosen:
        if host.host in plan.hosts:
            policy = parse_policy(plan.policies[plan.hosts[host.host]])
            for address in controller.addresses:
                assert evaluate(policy, Packet("in", "tcp", address, 22)).passes
