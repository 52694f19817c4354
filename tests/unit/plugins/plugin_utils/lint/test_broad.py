# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What broad services close, and flows that open nothing."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.rules import findings
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan, compile_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import load_catalogue
from ansible_collections.hpc.ports.tests.support.linted import TODAY, found, plan_of
from ansible_collections.hpc.ports.tests.support.sites import SHIPPED, accepts, make_inventory

SERVICES = {
    "all_tcp": {"ports": ["1-65535/tcp"], "broad": True},
    "nfs": {"ports": ["2049/tcp"]},
    "slurmctld": {"ports": ["6817/tcp"]},
    "backup": {"ports": ["6818/tcp"]},
}
HOSTS = {
    "head": {"groups": ["slurm_controller", "nfs_server"], "addresses": ["10.1.0.1"]},
    "node1": {"groups": ["slurm_compute"], "addresses": ["10.1.0.2"]},
    "node2": {"groups": ["slurm_compute"], "addresses": ["10.1.0.3"]},
    "login": {"groups": ["slurm_login"], "addresses": ["10.1.0.4"]},
}
ENDS = {
    "lan": {"cidrs": ["10.1.0.0/16"]},
    "inner": {"cidrs": ["10.1.7.0/24"]},
    "far": {"cidrs": ["10.9.0.0/16"]},
    "nodes": {"groups": ["slurm_compute", "slurm_controller"]},
}
NFS = {"from": ["slurm_compute"], "to": ["nfs_server"], "services": ["nfs"], "within_cluster": True}
SLURM = {"from": ["slurm_compute"], "to": ["slurm_controller"], "services": ["slurmctld"], "within_cluster": True}
ALL = {"from": ["lan"], "to": ["slurm_controller"], "services": ["all_tcp"]}


def plan(flows: dict[str, Any], services: dict[str, Any] | None = None, **settings: Any) -> Plan:
    known = {**SERVICES, **(services or {})}
    return plan_of(flows, hosts=HOSTS, endpoints=ENDS, services=known, **settings)


def closed(flows: dict[str, Any], **settings: Any) -> list[str]:
    start, end = (
        "Is broad, so it does not open ",
        ", and no other flow opens them to all of these sources. If the sources need these services, add them to a "
        "flow.",
    )
    texts = []
    for severity, subject, message in found("closed-by-broad", plan(flows, **settings)):
        assert (severity, subject) == ("warning", "firewall_services.all_tcp")
        text = message.removesuffix(OF_NODES)
        assert text.startswith(start) and text.endswith(end), message
        texts.append(text[len(start) : -len(end)])
    return texts


OF_NODES = " A network of nodes of a cluster belongs in firewall_clusters."
BOTH = "nfs (2049/tcp), slurmctld (6817/tcp) to the sources of flow all"


def test_only_a_network_that_may_be_of_nodes_belongs_in_firewall_clusters() -> None:
    def has_advice(flows: dict[str, Any]) -> bool:
        [(_severity, _subject, message)] = found("closed-by-broad", plan(flows))
        return message.endswith(OF_NODES)

    off = {**NFS, "enabled": False}
    assert has_advice({"all": ALL, "nfs": NFS})
    # Users of a network, for whom another flow opens a part of it.
    backup = {"from": ["inner"], "to": ["slurm_controller"], "services": ["backup"]}
    assert not has_advice({"all": ALL, "b": backup})
    assert has_advice({"all": ALL, "b": backup, "nfs": NFS})
    # Hosts of the inventory.
    assert not has_advice({"all": {**ALL, "from": ["slurm_compute"]}, "nfs": off})
    assert not has_advice({"all": {**ALL, "from": ["slurm_compute"], "within_cluster": True}, "nfs": off})


def test_hosts_in_a_network_that_have_their_own_flow_lose_nothing() -> None:
    own = {"from": ["slurm_login"], "to": ["slurm_controller"], "services": ["backup"]}
    assert closed({"all": ALL, "b": own}) == []
    assert closed({"all": ALL, "b": {**own, "enabled": False}}) == ["backup (6818/tcp) to the sources of flow all"]
    # Within a cluster, others in the network may be nodes, too.
    assert closed({"all": ALL, "b": {**own, "within_cluster": True}}) == [
        "backup (6818/tcp) to the sources of flow all"
    ]


def test_a_network_of_nodes_loses_what_flows_in_the_cluster_open_to_hosts_only() -> None:
    flows = {"all": ALL, "nfs": NFS, "slurm": SLURM}
    assert not accepts(plan(flows), "head", "10.1.9.9", 2049)
    assert accepts(plan(flows), "head", "10.1.9.9", 8080)
    assert closed(flows) == [BOTH]
    # Even a network without any host of the inventory: its hosts may be nodes.
    assert closed({**flows, "all": {**ALL, "from": ["far"]}}) == [BOTH]
    assert closed({**flows, "two": {**ALL, "from": ["inner"]}}) == [f"{BOTH} and 1 more"]


def test_other_flows_open_the_ports_again() -> None:
    flows = {"all": ALL, "nfs": NFS, "slurm": SLURM}
    more = {"more": {"from": ["lan"], "to": ["slurm_controller"], "services": ["nfs", "slurmctld"]}}
    assert closed({**flows, **more}) == []
    assert closed({**flows, "all": {**ALL, "services": ["all_tcp", "nfs", "slurmctld"]}}) == []
    assert closed({**flows, "more": {**more["more"], "from": ["inner"]}}) == [BOTH]
    assert closed({**flows, "more": {**more["more"], "enabled": False}}) == [BOTH]
    # Networks of the cluster are peers of its flows, in flows of all ports within it, too.
    within = {
        **flows,
        "all": {**ALL, "from": ["slurm_compute"], "within_cluster": True},
        "slurm": {**SLURM, "enabled": False},
    }
    assert closed(within, firewall_clusters={"default": {"cidrs": ["10.1.0.0/16"]}}) == [
        "slurmctld (6817/tcp) to the sources of flow all"
    ]
    assert closed({**within, "slurm": SLURM}, firewall_clusters={"default": {"cidrs": ["10.1.0.0/16"]}}) == []
    # They are no sources of other flows.
    others = {**within, "all": {**ALL, "from": ["slurm_login"]}}
    assert closed(others, firewall_clusters={"default": {"cidrs": ["10.1.0.0/16"]}}) == []
    assert closed(flows, firewall_clusters={"default": {"cidrs": ["10.1.0.0/16"]}}) == []


def test_hosts_lose_what_a_flow_that_is_off_would_open() -> None:
    everything = {"from": ["nodes"], "to": ["nodes"], "services": ["all_tcp"], "within_cluster": True}
    flows = {"all": everything, "nfs": NFS, "slurm": SLURM}
    assert closed(flows) == []
    assert closed({**flows, "nfs": {**NFS, "enabled": False}}) == ["nfs (2049/tcp) to the sources of flow all"]
    # An optional flow is for software that the site does not have.
    assert closed({**flows, "nfs": {**NFS, "need": "optional"}}) == []
    # A flow of other hosts is not for these.
    assert closed({**flows, "nfs": {**NFS, "from": ["slurm_login"], "enabled": False}}) == []


def test_a_host_needs_no_flow_to_itself() -> None:
    own = {"from": ["slurm_controller"], "to": ["slurm_controller"], "services": ["slurmctld"], "enabled": False}
    everything = {"from": ["nodes"], "to": ["slurm_controller"], "services": ["all_tcp"]}
    assert closed({"all": everything, "own": own}) == []
    second = {**HOSTS, "head2": {**HOSTS["head"], "addresses": ["10.1.0.9"]}}
    two = plan_of({"all": everything, "own": own}, hosts=second, endpoints=ENDS, services=SERVICES)
    assert len(found("closed-by-broad", two)) == 1


def test_hosts_of_another_cluster_need_no_flow_within_the_cluster() -> None:
    hosts = {
        **{name: {**host, "cluster": "alpha"} for name, host in HOSTS.items()},
        "other": {"groups": ["slurm_compute"], "addresses": ["10.9.0.2"], "cluster": "beta"},
    }
    everything = {"from": ["slurm_compute"], "to": ["slurm_controller"], "services": ["all_tcp"]}

    def found_with(everything: dict[str, Any], **nfs: Any) -> list[str]:
        flows = {"all": everything, "nfs": {**NFS, **nfs}}
        site = plan_of(flows, hosts=hosts, endpoints=ENDS, services=SERVICES)
        return [item[2] for item in found("closed-by-broad", site)]

    assert found_with(everything) == []
    assert found_with({**everything, "from": ["far"]}) == []
    assert len(found_with({**everything, "from": ["lan"]})) == 1
    # A flow between clusters is for both, and opens the port to both.
    assert found_with(everything, within_cluster=False) == []
    assert len(found_with(everything, within_cluster=False, enabled=False)) == 1


def test_flows_that_are_for_others_do_not_count() -> None:
    ssh = {"from": ["far"], "to": ["slurm_controller"], "services": ["backup"]}
    assert closed({"all": ALL, "b": ssh}) == []
    assert closed({"all": {**ALL, "enabled": False}, "nfs": NFS}) == []
    # Overlapping networks are for the same hosts.
    assert closed({"all": ALL, "b": {**ssh, "from": ["inner"]}}) == ["backup (6818/tcp) to the sources of flow all"]
    assert closed({"all": {**ALL, "from": ["inner"]}, "b": {**ssh, "from": ["lan"]}}) == []


def test_services_that_yield_nothing_or_are_shipped_close_nothing() -> None:
    flows = {"all": ALL, "nfs": NFS, "slurm": SLURM}
    assert closed(flows, firewall_broad_yields=False) == []
    assert found("closed-by-broad", plan(flows, {"all_tcp": {"ports": ["1-65535/tcp"]}})) == []
    shipped = {
        **SHIPPED,
        "firewall_services": {**SHIPPED["firewall_services"], **SERVICES},
        "firewall_endpoints": {**SHIPPED["firewall_endpoints"], **ENDS},
    }
    full = {name: {"need": "recommended", **flow} for name, flow in flows.items()}
    inventory = make_inventory(HOSTS)
    site_plan = compile_plan(load_catalogue(shipped, {"firewall_flows": full}, inventory.groups), inventory)
    assert [item.rule for item in findings(site_plan, TODAY) if item.rule == "closed-by-broad"] == []


def test_the_advice_to_make_a_range_broad_says_what_this_closes() -> None:
    flows = {"all": ALL, "nfs": NFS, "slurm": SLURM, "b": {**NFS, "services": ["backup"], "need": "optional"}}
    texts = [item[2] for item in found("least-privilege", plan(flows, {"all_tcp": {"ports": ["1-65535/tcp"]}}))]
    assert [text.partition("stay closed. ")[2].partition(": open")[0] for text in texts] == [
        "broad: true would close nfs (2049/tcp), slurmctld (6817/tcp), ssh (22/tcp)"
    ]


# ---- Flows that open nothing ----------------------------------------------------------------------------------------


def nothing(flows: dict[str, Any], **settings: Any) -> list[tuple[str, str]]:
    items = found("opens-nothing", plan(flows, **settings))
    assert {severity for severity, _subject, _text in items} <= {"warning"}
    return [(subject, text) for _severity, subject, text in items]


TAKEN = {"apps": {"ports": ["2049/tcp"], "broad": True}}
APPS = {"from": ["far"], "to": ["nfs_server"], "services": ["apps"]}
OFF = {**NFS, "enabled": False}


def test_a_broad_service_that_yields_all_its_ports() -> None:
    text = (
        "Opens no port of apps: the service is broad, and all its ports belong to other services on the targets. Use "
        "these services in the flow, or turn it off."
    )
    assert nothing({"f": APPS, "nfs": OFF}, services=TAKEN) == [("firewall_flows.f", text)]
    assert nothing({"f": {**APPS, "services": ["apps", "backup"]}, "nfs": OFF}, services=TAKEN) == [
        ("firewall_flows.f", text)
    ]
    assert nothing({"f": APPS}, services=TAKEN) == []
    assert nothing({"f": {**APPS, "enabled": False}, "nfs": OFF}, services=TAKEN) == []
    assert nothing({"f": APPS, "nfs": OFF}, services=TAKEN, firewall_broad_yields=False) == []
    # One target where it opens something is enough.
    assert nothing({"f": {**APPS, "to": ["nfs_server", "slurm_login"]}, "nfs": OFF}, services=TAKEN) == []


@pytest.mark.parametrize(("need", "is_found"), [("recommended", True), ("conditional", False)])
def test_a_flow_between_clusters_that_share_no_host(need: str, is_found: bool) -> None:
    hosts = {name: {**host, "cluster": "beta" if name == "head" else "alpha"} for name, host in HOSTS.items()}
    flow = {"from": ["slurm_compute"], "to": ["slurm_controller"], "within_cluster": True, "need": need}
    texts = [item[2] for item in found("opens-nothing", plan_of({"f": flow}, hosts=hosts))]
    assert texts == (
        [
            "Opens nothing, because it has within_cluster, and none of its sources is in a cluster of its targets. "
            "Correct firewall_cluster of the hosts, or turn the flow off."
        ]
        if is_found
        else []
    )
    networks = {"beta": {"cidrs": ["10.2.0.0/16"]}}
    assert found("opens-nothing", plan_of({"f": flow}, hosts=hosts, firewall_clusters=networks)) == []


def test_a_flow_without_sources_is_another_finding() -> None:
    flow = {"from": ["none"], "to": ["nfs_server"], "services": ["nfs"]}
    site = plan_of({"f": flow}, hosts=HOSTS, endpoints={"none": {"cidrs": []}}, services=SERVICES)
    assert (len(found("empty-endpoint", site)), found("opens-nothing", site)) == (1, [])
    assert nothing({"f": {**flow, "from": ["nodes"], "to": ["far"]}}) == []
