# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of who reaches whom: each port of each pair of hosts, judged one by one."""

from __future__ import annotations

from collections import defaultdict
from itertools import product

from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, Rule, parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import Connections
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.matrix import Matrix, matrix_of
from ansible_collections.hpc.ports.tests.support.random_sites import PORTS, PROTOCOLS, SITES, Site
from ansible_collections.hpc.ports.tests.support.sites import make_plan
from hypothesis import event, given

# Source, target, flow, protocol and port.
Open = tuple[str, str, str, str, int]


def by_matrix(matrix: Matrix) -> set[Open]:
    """Return all open ports of all pairs of hosts, as the matrix says."""
    return {
        (source, target, opening.flow, ports.protocol, port)
        for opening in matrix.openings
        for source, target in product(opening.source.members, opening.target.members)
        if source != target
        for ports in opening.ports
        for port in range(ports.first, ports.last + 1)
    }


def one_by_one(plan: Plan) -> set[Open]:
    """Return all open ports of all pairs of hosts, by the rules of both."""
    connections = Connections(plan, sorted(plan.inventory.hosts))
    policies = {
        host: parse_policy(plan.policies[key])._replace(mode="enforce", trusted_interfaces=())
        for host, key in plan.hosts.items()
    }
    found = set()
    for source, target in product(connections.hosts, policies):
        if source == target or connections.why_not(source, target):
            continue
        for address in connections.reached[target]:
            for peer in connections.source_addresses(source, address):
                for protocol, port in product(PROTOCOLS, PORTS):
                    packet = Packet("out", protocol, address.text, port, interface="")
                    if source in policies and not evaluate(policies[source], packet).passes:
                        continue
                    entering = packet._replace(direction="in", peer=peer.text)
                    found |= {
                        (source, target, rule.flow, protocol, port)
                        for rule in policies[target].rules
                        if evaluate(only(policies[target], rule), entering).reason == f"flow {rule.flow}"
                    }
    return found


def only(policy: Policy, rule: Rule) -> Policy:
    return policy._replace(rules=(rule,))


@given(SITES)
def test_the_matrix_has_exactly_what_the_rules_of_both_hosts_let_pass(site: Site) -> None:
    plan = site.plan()
    expected = one_by_one(plan)
    matrix = matrix_of(plan)
    got = {item for item in by_matrix(matrix) if item[4] in PORTS and item[3] in PROTOCOLS}
    assert got == expected
    event(f"{len(matrix.classes)} classes")
    for opening in (*matrix.openings, *matrix.outside):
        services = plan.flows_on[opening.flow].services
        assert opening.services and set(opening.services) <= set(services)


def small_plan() -> Plan:
    port_file = {
        "services": {"web": {"ports": ["443/tcp"]}, "db": {"ports": ["5432/tcp"]}, "ssh": {"ports": ["22/tcp"]}},
        "endpoints": {
            "users": {"cidrs": ["10.9.0.0/16"]},
            "controllers": {"cidrs": ["10.0.0.1", "10.0.0.2", "10.0.0.250"]},
        },
        "flows": {
            "management_ssh": {
                "from": ["controllers"],
                "to": ["control_plane", "slurm_compute"],
                "services": ["ssh"],
                "need": "required",
            },
            "portal": {
                "from": ["users", "slurm_compute"],
                "to": ["control_plane"],
                "services": ["web", "db"],
                "need": "required",
            },
        },
    }
    hosts = {
        "ctl": {"groups": ["control_plane"], "addresses": ["10.0.0.1"]},
        "n1": {"groups": ["slurm_compute"], "addresses": ["10.0.1.1"]},
        "n2": {"groups": ["slurm_compute"], "addresses": ["10.0.1.2"]},
        "mon": {"groups": ["desks"], "addresses": ["10.0.0.2"]},
    }
    return make_plan(port_file, hosts)


def test_a_flow_between_classes_and_from_networks_outside() -> None:
    matrix = matrix_of(small_plan())
    by_flow = defaultdict(set)
    for opening in matrix.openings:
        by_flow[opening.flow].add((opening.source.members, opening.target.members, tuple(map(str, opening.ports))))
    assert by_flow == {
        "portal": {(("n1", "n2"), ("ctl",), ("443/tcp", "5432/tcp"))},
        "management_ssh": {
            (("ctl",), ("n1", "n2"), ("22/tcp",)),
            (("mon",), ("n1", "n2"), ("22/tcp",)),
            (("mon",), ("ctl",), ("22/tcp",)),
        },
    }


def test_outside_are_networks_with_addresses_of_no_host() -> None:
    outside = matrix_of(small_plan()).outside
    assert {(item.target.members, item.flow, item.endpoints, item.networks) for item in outside} == {
        (("ctl",), "portal", ("users",), ("10.9.0.0/16",)),
        (("ctl",), "management_ssh", ("controllers",), ("10.0.0.250/32",)),
        (("n1", "n2"), "management_ssh", ("controllers",), ("10.0.0.250/32",)),
    }
    portal = next(item for item in outside if item.flow == "portal")
    assert portal.ports == (PortRange("tcp", 443, 443), PortRange("tcp", 5432, 5432))
    assert portal.services == ("web", "db")


def plan_of(hosts: dict[str, dict[str, object]], sources: list[str]) -> Plan:
    """Return a plan with a flow of 443/tcp from these networks to the control plane."""
    port_file = {
        "services": {"web": {"ports": ["443/tcp"]}},
        "endpoints": {"users": {"cidrs": sources}},
        "flows": {"portal": {"from": ["users"], "to": ["control_plane"], "services": ["web"], "need": "required"}},
    }
    return make_plan(port_file, {"ctl": {"groups": ["control_plane"], "addresses": ["10.0.0.1"]}, **hosts})


def portal_sources(plan: Plan) -> set[str]:
    """Return the hosts that reach the portal."""
    openings = matrix_of(plan).openings
    return {host for opening in openings if opening.flow == "portal" for host in opening.source.members}


def test_restricted_egress_closes_what_the_target_would_accept() -> None:
    """A network that a managed host is in makes it no member of the flow, so it has no egress of it."""
    node = {"groups": ["slurm_compute"], "addresses": ["10.0.1.1"]}
    assert portal_sources(plan_of({"n1": node}, ["10.0.1.0/24"])) == {"n1"}
    assert portal_sources(plan_of({"n1": {**node, "egress": "restricted"}}, ["10.0.1.0/24"])) == set()


def test_two_names_of_one_machine_are_no_pair() -> None:
    same = {"addresses": ["10.0.0.1"], "shared_addresses": ["10.0.0.1"]}
    hosts = {"ctl": {"groups": ["control_plane"], **same}, "alias": {"groups": ["desks"], **same}}
    assert portal_sources(plan_of(hosts, ["10.0.0.0/24"])) == set()


def test_a_network_is_outside_unless_each_of_its_addresses_is_of_a_host() -> None:
    hosts = {name: {"groups": ["desks"], "addresses": [f"10.0.1.{number}"]} for number, name in enumerate("abcd", 4)}
    for sources, expected in ((["10.0.1.4/30"], []), (["10.0.1.4/30", "10.0.2.0/24"], ["10.0.2.0/24"])):
        outside = [item for item in matrix_of(plan_of(hosts, sources)).outside if item.flow == "portal"]
        assert [network for item in outside for network in item.networks] == expected
    [item] = [item for item in matrix_of(plan_of({"a": hosts["a"]}, ["10.0.1.4/30"])).outside if item.flow == "portal"]
    assert (item.networks, item.endpoints) == (("10.0.1.4/30",), ("users",))
