# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of what opens and closes between two plans: each port of each pair of hosts, judged one by one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import parse_address, parse_network
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.connections import Connections
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.difference import (
    Change,
    Difference,
    OutsideChange,
    Setting,
    difference_of,
)
from ansible_collections.hpc.ports.tests.support.random_sites import PORTS, PROTOCOLS, SITES, Site, address
from ansible_collections.hpc.ports.tests.support.sites import make_plan
from hypothesis import event, given
from hypothesis import strategies as st

# Addresses of hosts, of networks and of neither.
ADDRESSES = [address(family, number) for family in (4, 6) for number in (*range(18), 101, 106, 200)]
TRIED = list(product(PROTOCOLS, PORTS))
# A source or an address, a target, a protocol and a port.
Open = tuple[str, str, str, int]


def pairs_open(plan: Plan) -> set[Open]:
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
        for to in connections.reached[target]:
            for peer in connections.source_addresses(source, to):
                for protocol, port in TRIED:
                    packet = Packet("out", protocol, to.text, port, interface="")
                    if source in policies and not evaluate(policies[source], packet).passes:
                        continue
                    judgement = evaluate(policies[target], packet._replace(direction="in", peer=peer.text))
                    if judgement.reason.startswith("flow "):
                        found.add((source, target, protocol, port))
    return found


def outside_open(plan: Plan, direction: str) -> set[Open]:
    """Return what is open to addresses in networks that are not all addresses of hosts, or from restricted egress."""
    everybody = list(plan.inventory.hosts) if direction == "in" else list(plan.hosts)
    inside = {network.ip for source in (False, True) for network in plan.addresses.host_networks(everybody, source)}
    found = set()
    for host, key in plan.hosts.items():
        policy = plan.policies[key]
        for data, rule in zip(policy["rules"], parse_policy(policy).rules):
            networks = [
                network
                for network in map(parse_network, policy["networks"][data["peers"]])
                if network.size > len(inside) or not all(ip in inside for ip in network)
            ]
            peers = [text for text in ADDRESSES if any(parse_address(text) in network for network in networks)]
            if rule.direction == direction:
                found |= {
                    (peer, host, protocol, port)
                    for peer, (protocol, port) in product(peers, TRIED)
                    if any(ports.covers(protocol, port) for ports in rule.ports)
                }
    return found


def of_hosts(plan: Plan, hosts: Iterable[str]) -> set[str]:
    return {
        str(network.ip) for source in (False, True) for network in plan.addresses.host_networks(list(hosts), source)
    }


def told(changes: list[Change]) -> set[Open]:
    """Return all pairs and ports that the changes have."""
    return {
        (source, target, ports.protocol, port)
        for change in changes
        for source, target in product(change.sources, change.targets)
        if source != target
        for ports in change.ports
        for port in range(ports.first, ports.last + 1)
        if (ports.protocol, port) in TRIED
    }


def told_outside(changes: list[OutsideChange], outward: bool) -> set[Open]:
    return {
        (peer, host, ports.protocol, port)
        for change in changes
        if change.outward is outward
        for host in change.hosts
        for peer in ADDRESSES
        if any(parse_address(peer) in parse_network(network) for network in change.networks)
        for ports in change.ports
        for port in range(ports.first, ports.last + 1)
        if (ports.protocol, port) in TRIED
    }


@st.composite
def pairs_of_sites(draw: st.DrawFn) -> tuple[Site, Site]:
    """Return a site and what becomes of it: some hosts, flows and endpoints are those of another site."""
    before, other = draw(SITES), draw(SITES)
    parts: dict[str, Any] = {}
    for name in ("services", "endpoints", "flows", "hosts"):
        old, new = getattr(before, name), getattr(other, name)
        taken = {key for key in {**old, **new} if draw(st.booleans())}
        parts[name] = {
            key: new[key] if key in taken and key in new else old[key]
            for key in {**old, **new}
            if (key in new if key in taken else key in old) or name in ("services", "endpoints") and key in old
        }
    after = Site(**parts, clusters=before.clusters, tunnel=before.tunnel, yields=before.yields)
    return before, after


@given(pairs_of_sites())
def test_the_changes_are_the_difference_of_all_ports_of_all_pairs_of_hosts(sites: tuple[Site, Site]) -> None:
    before, after = (site.plan() for site in sites)
    difference = difference_of(before, after)
    left_out = {host for setting in difference.settings if setting.name == "managed" for host in setting.hosts}
    open_before, open_after = (
        {item for item in pairs_open(plan) if item[1] not in left_out} for plan in (before, after)
    )
    assert told(difference.opened) == open_after - open_before
    assert told(difference.closed) == open_before - open_after
    for change in (*difference.opened, *difference.closed):
        assert all({*change.targets} - {source} for source in change.sources)
    event(f"opened {bool(difference.opened)}, closed {bool(difference.closed)}")


@given(pairs_of_sites())
def test_the_changes_for_networks_outside_are_the_difference_of_all_addresses(sites: tuple[Site, Site]) -> None:
    before, after = (site.plan() for site in sites)
    difference = difference_of(before, after)
    for direction in ("in", "out"):
        names = ("managed", "egress") if direction == "out" else ("managed",)
        left_out = {host for setting in difference.settings if setting.name in names for host in setting.hosts}
        both = [{item for item in outside_open(plan, direction) if item[1] not in left_out} for plan in (before, after)]
        for changes, plan, (was, now) in (
            (difference.opened_outside, after, both),
            (difference.closed_outside, before, both[::-1]),
        ):
            inside = of_hosts(plan, plan.inventory.hosts if direction == "in" else plan.hosts)
            expected = {item for item in now - was if item[0] not in inside}
            assert told_outside(changes, direction == "out") == expected
            event(f"{direction} {bool(expected)}")


@given(pairs_of_sites())
def test_each_host_whose_policy_changes_is_named(sites: tuple[Site, Site]) -> None:
    before, after = (site.plan() for site in sites)
    difference = difference_of(before, after)
    text = repr(difference)
    for host in before.hosts.keys() & after.hosts.keys():
        if before.hosts[host] != after.hosts[host]:
            assert f"'{host}'" in text or any(host in sentence for sentence in difference.others)


# ---- by hand

PORT_FILE: dict[str, Any] = {
    "services": {"grafana": {"ports": ["3000/tcp"]}, "gmond": {"ports": ["8649/udp"]}},
    "endpoints": {"users": {"cidrs": ["10.9.0.0/16"]}},
    "flows": {
        "grafana": {"from": ["monitoring"], "to": ["slurm_compute"], "services": ["grafana"], "need": "required"},
        "gmond": {"from": ["slurm_compute"], "to": ["slurm_compute"], "services": ["gmond"], "need": "required"},
    },
}
HOSTS: dict[str, Any] = {
    "mon": {"groups": ["monitoring"], "addresses": ["10.0.0.9"]},
    **{f"c{number}": {"groups": ["slurm_compute"], "addresses": [f"10.0.1.{number}"]} for number in range(1, 4)},
}


def compared(after: dict[str, Any], before: dict[str, Any] | None = None, **settings: Any) -> Difference:
    """Return the difference of two sites, each with the flows, endpoints and hosts that differ from the usual ones."""

    def plan(site: dict[str, Any]) -> Plan:
        port_file = {name: {**PORT_FILE[name], **site.get(name, {})} for name in PORT_FILE}
        port_file["flows"] = {name: flow for name, flow in port_file["flows"].items() if flow}
        hosts = {name: host for name, host in {**HOSTS, **site.get("hosts", {})}.items() if host}
        return make_plan(port_file, hosts)

    return difference_of(plan(before or {}), plan(after))


def test_equal_changes_of_several_classes_are_one_and_a_class_has_itself() -> None:
    # c3 has a class of its own, and is a target of the same flow.
    alone = {"c3": {**HOSTS["c3"], "egress": "restricted"}}
    found = compared({"flows": {}, "hosts": alone}, before={"flows": {"grafana": None, "gmond": None}, "hosts": alone})
    assert [(change.targets, change.sources, [*map(str, change.ports)], change.flows) for change in found.opened] == [
        (("c1", "c2", "c3"), ("mon",), ["3000/tcp"], ("grafana",)),
        (("c1", "c2", "c3"), ("c1", "c2", "c3"), ["8649/udp"], ("gmond",)),
    ]
    assert (found.closed, found.opened_outside, found.others) == ([], [], [])


def test_hosts_of_a_class_that_reached_each_other_before_are_not_among_what_opens() -> None:
    both = {"from": ["monitoring", "slurm_compute"], "to": ["monitoring", "slurm_compute"], "services": ["gmond"]}
    found = compared({"flows": {"metrics": {**both, "need": "required"}}})
    assert [(change.targets, change.sources) for change in found.opened] == [
        (("c1", "c2", "c3"), ("mon",)),
        (("mon",), ("c1", "c2", "c3")),
    ]


def test_a_port_that_another_flow_opens_neither_opens_nor_closes() -> None:
    other = {**PORT_FILE["flows"]["grafana"], "from": ["mon_and_users"]}
    endpoints = {"mon_and_users": {"groups": ["monitoring"], "cidrs": ["10.9.0.0/16"]}}
    found = compared({"flows": {"grafana": None, "dashboards": other}, "endpoints": endpoints})
    assert (found.opened, found.closed) == ([], [])
    [item] = found.opened_outside
    assert (item.hosts, item.networks, item.endpoints, item.flows, item.outward) == (
        ("c1", "c2", "c3"),
        ("10.9.0.0/16",),
        ("mon_and_users",),
        ("dashboards",),
        False,
    )


def test_settings_hosts_that_come_and_go_and_a_firewall_that_goes() -> None:
    found = compared(
        {
            "hosts": {
                "c1": None,
                "c2": {**HOSTS["c2"], "mode": "observe", "trusted_interfaces": ["ib0"]},
                "c3": {**HOSTS["c3"], "groups": ["desks"]},
                "c4": {"groups": ["slurm_compute"], "addresses": ["10.0.1.4"]},
            }
        }
    )
    assert (found.added, found.removed) == (("c4",), ("c1",))
    assert found.settings == [
        Setting(("c2",), "mode", "enforce", "observe", True),
        Setting(("c2",), "trusted_interfaces", (), ("ib0",), True),
        Setting(("c3",), "managed", True, False, True),
    ]
    # All ports of c3 are open now.
    assert not any("c3" in change.targets for change in (*found.opened, *found.closed))


def test_an_address_of_a_host_that_comes_is_not_outside() -> None:
    """The network of a host and of an address beside it is written as one."""
    endpoints = {"users": {"cidrs": ["10.0.2.1/32"]}}
    flows = {"grafana": {**PORT_FILE["flows"]["grafana"], "from": ["users", "monitoring"]}}
    new = {"mon2": {"groups": ["monitoring"], "addresses": ["10.0.2.0"]}}
    site = {"endpoints": endpoints, "flows": flows}
    found = compared({**site, "hosts": new}, before=site)
    assert {flow for change in found.opened for flow in change.flows} == {"grafana"}
    assert not any("grafana" in item.flows for item in (*found.opened_outside, *found.closed_outside))


def test_restricted_egress_to_networks_is_outward() -> None:
    hosts = {"mon": {**HOSTS["mon"], "egress": "restricted"}}
    mirror = {"from": ["monitoring"], "to": ["mirrors"], "services": ["grafana"], "need": "recommended"}
    endpoints = {"mirrors": {"cidrs": ["203.0.113.0/24"]}}
    found = compared({"hosts": hosts, "flows": {"mirror": mirror}, "endpoints": endpoints}, before={"hosts": hosts})
    assert [(item.hosts, item.networks, item.endpoints, item.outward) for item in found.opened_outside] == [
        (("mon",), ("203.0.113.0/24",), ("mirrors",), True)
    ]
    # If egress opens or closes as a whole, the setting says so.
    opened = compared({}, before={"hosts": hosts, "flows": {"mirror": mirror}, "endpoints": endpoints})
    assert [(setting.name, setting.opens) for setting in opened.settings] == [("egress", True)]
    assert opened.closed_outside == []
