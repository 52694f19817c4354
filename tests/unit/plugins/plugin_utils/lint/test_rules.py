# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The findings of lint: each rule, its severity and its message."""

from __future__ import annotations

import ast
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.vars.manager import VariableManager
from ansible_collections.hpc.ports.plugins.plugin_utils._lint import rules
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.findings import Finding
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.rules import findings
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan, compile_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import load_catalogue
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.inventory import load_inventory
from ansible_collections.hpc.ports.tests.support.linted import HOSTS, TODAY, found, plan_of
from ansible_collections.hpc.ports.tests.support.sites import CONTROLLER, SHIPPED, accepts, make_inventory

ROOT = Path(__file__).parents[5]
KNOWN = "expected networks no wider than /16 (IPv4) or /48 (IPv6)."
INTERNAL = "expected private networks, or networks no wider than /16 (IPv4) or /48 (IPv6)."
IN_CLUSTER = "expected within_cluster: true, because only nodes of the cluster use it."
MONITORING = "expected only the endpoint monitoring."


def test_a_plan_with_nothing_wrong() -> None:
    assert findings(plan_of({"f": {"from": ["anywhere"], "to": ["control_plane"]}}), TODAY) == []


def test_a_finding_is_plain_data() -> None:
    plan = plan_of({"f": {"from": ["anywhere"], "to": ["control_plane"], "services": ["ssh"]}})
    assert findings(plan, TODAY)[0]._asdict() == {
        "rule": "ssh-known-sources",
        "severity": "error",
        "subject": "firewall_flows.f",
        "message": f"Opens 22/tcp to 0.0.0.0/0, {KNOWN}",
    }


@pytest.mark.parametrize(
    ("rule", "port", "target", "expected"),
    [
        ("ssh-known-sources", "22/tcp", "node", KNOWN),
        ("scheduler-in-cluster", "6817/tcp", "node", IN_CLUSTER),
        ("scheduler-in-cluster", "6818/tcp", "node", IN_CLUSTER),
        ("scheduler-in-cluster", "6819/tcp", "node", IN_CLUSTER),
        ("scheduler-in-cluster", "15001/tcp", "node", IN_CLUSTER),
        ("scheduler-in-cluster", "15003/tcp", "node", IN_CLUSTER),
        ("scheduler-in-cluster", "17001/tcp", "node", IN_CLUSTER),
        ("monitoring-from-servers", "9090/tcp", "node", MONITORING),
        ("monitoring-from-servers", "24224/tcp", "node", MONITORING),
        ("monitoring-internal", "9090/tcp", "watch", INTERNAL),
        ("docker-internal", "2375/tcp", "node", INTERNAL),
        ("docker-internal", "2376/tcp", "desk", INTERNAL),
        ("control-plane-internal", "5432/tcp", "ctl", INTERNAL),
        ("control-plane-internal", "27017/tcp", "ctl", INTERNAL),
        ("control-plane-internal", "5672/tcp", "ctl", INTERNAL),
        ("control-plane-internal", "15672/tcp", "ctl", INTERNAL),
        ("control-plane-internal", "8200/tcp", "ctl", INTERNAL),
        ("control-plane-internal", "3000/tcp", "ctl", INTERNAL),
        ("control-plane-internal", "4006/tcp", "ctl", INTERNAL),
        ("control-plane-internal", "8888/tcp", "ctl", INTERNAL),
        ("nfs-internal", "111/udp", "files", INTERNAL),
        ("nfs-internal", "2049/tcp", "files", INTERNAL),
        ("nfs-internal", "20048/tcp", "files", INTERNAL),
        ("workbench-known-sources", "3389/tcp", "desk", KNOWN),
        ("workbench-known-sources", "3389/udp", "desk", KNOWN),
        ("workbench-known-sources", "8888/tcp", "desk", KNOWN),
        ("workbench-known-sources", "3000/tcp", "desk", KNOWN),
    ],
)
def test_advice_holds_against_flows_from_anywhere(rule: str, port: str, target: str, expected: str) -> None:
    group = HOSTS[target]["groups"][0]
    source = {MONITORING: "anywhere", IN_CLUSTER: "hosts outside the cluster"}.get(expected, "0.0.0.0/0")
    message = f"Opens {port} to {source}, {expected}"
    # Within a service of more ports, too; not where the flow is off, nor on the neighbouring ports.
    number, slash, protocol = port.partition("/")
    for ports in (port, f"1/tcp {port}"):
        plan = plan_of({"f": {"from": ["anywhere"], "to": [group]}}, ports)
        assert found(rule, plan) == [("error", "firewall_flows.f", message)]
    assert found(rule, plan_of({"f": {"from": ["anywhere"], "to": [group], "enabled": False}}, port)) == []
    assert found(rule, plan_of({"f": {"from": ["anywhere"], "to": [group]}}, f"{int(number) + 10}/{protocol}")) == []


@pytest.mark.parametrize(
    ("rule", "ports", "group"),
    [
        ("control-plane-internal", "5432/tcp 3000/tcp 8888/tcp", "workspace"),
        ("monitoring-internal", "9090/tcp", "workbench"),
        ("workbench-known-sources", "3000/tcp 8888/tcp", "workspace"),
        ("scheduler-in-cluster", "3306/tcp", "web_portal"),
    ],
)
def test_a_number_means_something_on_one_kind_of_host_only(rule: str, ports: str, group: str) -> None:
    hosts = {**HOSTS, "other": {"groups": [group], "addresses": ["10.5.0.1"]}}
    assert found(rule, plan_of({"f": {"from": ["anywhere"], "to": [group]}}, ports, hosts=hosts)) == []


@pytest.mark.parametrize(
    ("ports", "opened"),
    [
        ("20000-25000/tcp", None),  # GridFTP, whose range contains the port of mountd
        ("2000-2100/tcp", None),
        ("2049-2051/tcp", None),
        ("2048-2049/tcp", "2049/tcp"),
        ("2049/tcp 20000-25000/tcp", "2049/tcp"),
        ("20048/tcp 2049/tcp 20048/udp", "2049/tcp, 20048/tcp, 20048/udp"),
    ],
)
def test_a_service_of_a_site_is_known_by_its_ports(ports: str, opened: str | None) -> None:
    plan = plan_of({"f": {"from": ["anywhere"], "to": ["nfs_server"]}}, ports)
    assert [item[2].partition(" to ")[0] for item in found("nfs-internal", plan)] == (
        [f"Opens {opened}"] if opened else []
    )


def test_a_range_around_the_ports_of_slurm_is_slurm() -> None:
    plan = plan_of({"f": {"from": ["monitoring"], "to": ["slurm_compute"]}}, "6817-6820/tcp")
    assert [item[2].partition(" to ")[0] for item in found("scheduler-in-cluster", plan)] == ["Opens 6817-6819/tcp"]


def test_a_shipped_service_is_known_by_its_name() -> None:
    def rules_of(service: str, ports: str, site: dict[str, Any]) -> set[str]:
        shipped = deepcopy(SHIPPED)
        shipped["firewall_services"][service] = {"ports": [ports]}
        shipped["firewall_endpoints"]["anywhere"] = {"cidrs": ["0.0.0.0/0"]}
        shipped["firewall_flows"]["f"] = {
            "from": ["anywhere"],
            "to": ["control_plane", "nfs_server"],
            "services": [service],
            "need": "required",
        }
        inventory = make_inventory(HOSTS)
        catalogue = load_catalogue(shipped, {"firewall_services": site}, inventory.groups)
        return {item.rule for item in findings(compile_plan(catalogue, inventory), TODAY)} - {"exposure"}

    assert rules_of("nfs", "2049/tcp", {}) == {"nfs-internal"}
    assert rules_of("nfs", "12049/tcp", {}) == {"nfs-internal"}
    assert rules_of("nfs", "2049/tcp", {"nfs": {"ports": ["12049/tcp"]}}) == {"nfs-internal"}
    # The port of the cloud cacher, and of Grafana.
    assert rules_of("cloud_cacher", "3000/tcp", {}) == {"control-plane-internal"}
    assert rules_of("grafana", "3000/tcp", {}) == set()


def test_a_service_of_all_ports_is_one_finding_however_many_flows_use_it() -> None:
    targets = ["slurm_compute", "workbench", "nfs_server", "control_plane", "monitoring"]
    flows: dict[str, Any] = {f"f{number}": {"from": [f"lan{number}"], "to": targets} for number in range(1, 5)}
    flows["ssh"] = {"from": ["anywhere"], "to": ["workbench"], "services": ["ssh"], "enabled": False}
    networks = {f"lan{number}": {"cidrs": [f"{2 * number}.0.0.0/7"]} for number in range(1, 5)}
    plan = plan_of(flows, "1-65535/tcp", networks)
    assert [(item.rule, item.severity, item.subject) for item in findings(plan, TODAY)] == [
        ("least-privilege", "error", "firewall_services.web")
    ]


def test_a_range_is_one_finding_whatever_it_covers_and_closes() -> None:
    whole = {"from": ["slurm_compute"], "to": ["slurm_login"], "services": ["all"]}
    inside = {**whole, "services": ["web"]}
    services = {"all": {"ports": ["1-65535/tcp"]}, **SRUN["services"]}
    unused = {"ssh": {"from": ["anywhere"], "to": ["workbench"], "services": ["ssh"], "enabled": False}}
    plan = plan_of({"f": whole, "g": inside, "srun": SRUN_FLOW, **unused}, services=services)
    assert {item.rule for item in findings(plan, TODAY)} == {"least-privilege"}
    assert found("least-privilege", plan)[0][2].startswith(
        "Has 1-65535/tcp, more than 4096 ports, and takes these ports from srun on the same hosts, expected only "
    )
    elsewhere = plan_of({"f": {**whole, "to": ["workbench"]}, "srun": SRUN_FLOW}, services=services)
    assert "takes" not in found("least-privilege", elsewhere)[0][2]
    # If no finding is about the range, because its flow is off, others are.
    off = plan_of({"f": {**whole, "enabled": False}, "g": inside, "srun": SRUN_FLOW, **unused}, services=services)
    assert {item.rule for item in findings(off, TODAY)} == {"srun-unpinned", "closed-by-broad", "opens-nothing"}


def test_advice_needs_a_host_of_ours() -> None:
    far = {"far": {"cidrs": ["203.0.113.0/24"]}}
    assert (
        found("scheduler-in-cluster", plan_of({"f": {"from": ["slurm_login"], "to": ["far"]}}, "6817/tcp", far)) == []
    )
    laptops = {**HOSTS, "laptop": {"groups": ["laptops"], "addresses": ["10.9.0.7"]}}
    plan = plan_of({"f": {"from": ["anywhere"], "to": ["laptops"]}}, "22/tcp", hosts=laptops)
    assert found("ssh-known-sources", plan) == []


def test_the_sql_server_of_slurm_is_inside_its_cluster() -> None:
    hosts = {**HOSTS, "db": {"groups": ["slurm_database"], "addresses": ["10.1.0.9"], "cluster": "alpha"}}
    outside = plan_of({"f": {"from": ["control_plane"], "to": ["slurm_database"]}}, "3306/tcp", hosts=hosts)
    assert found("scheduler-in-cluster", outside) == [
        ("error", "firewall_flows.f", f"Opens 3306/tcp to hosts outside the cluster, {IN_CLUSTER}")
    ]


@pytest.mark.parametrize(
    ("rule", "ports", "group"),
    [
        ("ssh-known-sources", "22/tcp", "slurm_compute"),
        ("docker-internal", "2376/tcp", "workbench"),
        ("nfs-internal", "2049/tcp", "nfs_server"),
        ("workbench-known-sources", "8888/tcp", "workbench"),
        ("control-plane-internal", "5432/tcp", "control_plane"),
        ("monitoring-internal", "24224/tcp", "monitoring"),
    ],
)
@pytest.mark.parametrize(
    ("networks", "source", "severity"),
    [
        (["198.51.0.0/16"], None, None),
        (["2001:db8:1::/48"], None, None),
        (["198.50.0.0/15"], "198.50.0.0/15", "warning"),
        (["2001:db8:2::/47"], "2001:db8:2::/47", "warning"),
        (["198.0.0.0/7"], "198.0.0.0/7", "error"),
        (["2000::/15"], "2000::/15", "error"),
        # What adds up to everything is everything.
        (["0.0.0.0/1", "128.0.0.0/1"], "0.0.0.0/0", "error"),
        (["198.51.100.1/32", "198.50.0.0/15"], "198.50.0.0/15", "warning"),
    ],
)
def test_how_wide_known_networks_may_be(
    rule: str, ports: str, group: str, networks: list[str], source: str | None, severity: str | None
) -> None:
    plan = plan_of({"f": {"from": ["users"], "to": [group]}}, ports, {"users": {"cidrs": networks}})
    assert [(item[0], item[2].partition(",")[0]) for item in found(rule, plan)] == (
        [(severity, f"Opens {ports} to {source}")] if source else []
    )


@pytest.mark.parametrize(
    "networks", [["10.0.0.0/8"], ["172.16.0.0/12"], ["100.64.0.0/10"], ["192.168.0.0/16", "fd00::/16"]]
)
def test_internal_networks_are_internal_however_wide(networks: list[str]) -> None:
    users = {"users": {"cidrs": networks}}
    assert found("docker-internal", plan_of({"f": {"from": ["users"], "to": ["workbench"]}}, "2376/tcp", users)) == []


def test_internal_networks_are_no_known_sources_of_ssh_when_wide() -> None:
    plan = plan_of({"f": {"from": ["users"], "to": ["workbench"]}}, "22/tcp", {"users": {"cidrs": ["10.0.0.0/8"]}})
    assert found("ssh-known-sources", plan) == [("warning", "firewall_flows.f", f"Opens 22/tcp to 10.0.0.0/8, {KNOWN}")]


def test_management_ssh_comes_from_known_sources_too() -> None:
    plan = plan_of({}, endpoints={"controllers": {"cidrs": ["0.0.0.0/0"]}})
    assert found("ssh-known-sources", plan) == [
        ("error", "firewall_flows.management_ssh", f"Opens 22/tcp to 0.0.0.0/0, {KNOWN}")
    ]


def test_scheduler_ports_inside_the_cluster_are_as_advised() -> None:
    flow = {"from": ["slurm_compute"], "to": ["slurm_login"], "within_cluster": True}
    assert found("scheduler-in-cluster", plan_of({"f": flow}, "6817/tcp 15001/tcp 17001/tcp")) == []


def test_monitoring_ports_of_nodes_are_for_monitoring_servers() -> None:
    def sources(flow: dict[str, Any], endpoints: dict[str, Any] | None = None) -> list[str]:
        plan = plan_of({"f": {"to": ["slurm_compute"], **flow}}, "9090/tcp", endpoints)
        return [item[2].partition(",")[0] for item in found("monitoring-from-servers", plan)]

    one = {"cidrs": ["10.3.0.1/32"]}
    assert sources({"from": ["monitoring"]}) == []
    assert sources({"from": ["its_address"]}, {"its_address": one}) == []
    assert sources({"from": ["monitoring", "control_plane"]}) == ["Opens 9090/tcp to control_plane"]
    assert sources({"from": ["its_network"]}, {"its_network": {"cidrs": ["10.3.0.0/31"]}}) == [
        "Opens 9090/tcp to its_network"
    ]
    # Servers outside the inventory are declared as the endpoint of that name.
    assert (
        sources(
            {"from": ["outside"]}, {"outside": {"cidrs": ["10.8.0.1/32"]}, "monitoring": {"cidrs": ["10.8.0.0/30"]}}
        )
        == []
    )
    # Nodes may send to the servers.
    assert sources({"from": ["slurm_compute"], "to": ["monitoring"]}) == []


def test_docker_without_encryption_is_warned_of_even_inside() -> None:
    message = (
        "Opens 2375/tcp: every client of this port is root on the host, without a password and without "
        "encryption. Use Docker with TLS on 2376/tcp."
    )
    assert found(
        "docker-without-encryption", plan_of({"f": {"from": ["control_plane"], "to": ["workbench"]}}, "2375-2376/tcp")
    ) == [("warning", "firewall_flows.f", message)]
    assert (
        found("docker-without-encryption", plan_of({"f": {"from": ["control_plane"], "to": ["workbench"]}}, "2376/tcp"))
        == []
    )


@pytest.mark.parametrize(
    ("ports", "target", "review_by", "message"),
    [
        (
            "3389/tcp",
            "workbench",
            None,
            "Opens 3389/tcp, expected review_by, the date of the next review of who needs the flow.",
        ),
        (
            "3389/udp",
            "slurm_login",
            None,
            "Opens 3389/udp, expected review_by, the date of the next review of who needs the flow.",
        ),
        (
            "3000/tcp",
            "workbench",
            None,
            "Opens 3000/tcp, expected review_by, the date of the next review of who needs the flow.",
        ),
        ("3000/tcp", "slurm_login", None, None),
        ("8888/tcp", "workbench", None, None),
        ("3389/tcp", "workbench", "2026-11-21", None),
        (
            "3389/tcp",
            "workbench",
            "2026-11-20",
            "Was due for review on 2026-11-20. Check who still needs the flow, then set a new review_by.",
        ),
        (
            "443/tcp",
            "control_plane",
            "2026-11-20",
            "Was due for review on 2026-11-20. Check who still needs the flow, then set a new review_by.",
        ),
    ],
)
def test_access_is_reviewed(ports: str, target: str, review_by: str | None, message: str | None) -> None:
    flow = {"from": ["users"], "to": [target], **({"review_by": review_by} if review_by else {})}
    plan = plan_of({"f": flow}, ports, {"users": {"cidrs": ["10.9.0.0/16"]}})
    assert found("access-review", plan) == ([("warning", "firewall_flows.f", message)] if message else [])


def test_smart_card_login_says_where_tls_ends() -> None:
    flow = {"from": ["anywhere"], "to": ["control_plane"]}
    assert found("mutual-tls-note", plan_of({"f": flow}, "8443/tcp")) == [
        (
            "warning",
            "firewall_flows.f",
            "Opens 8443/tcp, expected a note that says where TLS ends: on the platform itself, never on a load "
            "balancer, because the platform checks the client's certificate.",
        )
    ]
    assert found("mutual-tls-note", plan_of({"f": {**flow, "note": "On the platform."}}, "8443/tcp")) == []
    assert found("mutual-tls-note", plan_of({"f": {**flow, "to": ["workbench"]}}, "8443/tcp")) == []


# ---- Least privilege ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target", "network", "severity"),
    [
        ({"cidrs": ["198.50.0.0/15"]}, {"groups": ["workbench"]}, "198.50.0.0/15", "warning"),
        ({"cidrs": ["0.0.0.0/0"]}, {"groups": ["workbench"]}, "0.0.0.0/0", "error"),
        ({"groups": ["workbench"]}, {"cidrs": ["0.0.0.0/0"]}, "0.0.0.0/0", "error"),
        ({"groups": ["workbench"]}, {"cidrs": ["198.50.0.0/15"]}, None, None),
        ({"groups": ["slurm_login"]}, {"groups": ["workbench"]}, None, None),
        ({"cidrs": ["198.51.0.0/16"]}, {"groups": ["workbench"]}, None, None),
        ({"hostnames": ["a.example.org"]}, {"groups": ["workbench"]}, None, None),
    ],
)
def test_whole_ranges_are_for_named_networks(
    source: dict[str, Any], target: dict[str, Any], network: str | None, severity: str | None
) -> None:
    ends, flow = {"a": source, "b": target}, {"from": ["a"], "to": ["b"]}
    broad = plan_of({"f": flow}, endpoints=ends, service={"broad": True, "ports": ["8000-8001/tcp"]})
    assert found("least-privilege", broad) == (
        [
            (
                severity,
                "firewall_flows.f",
                f"Opens the whole range of web between hosts and {network}, expected only the needed ports, or "
                "narrower networks.",
            )
        ]
        if network
        else []
    )
    # A range that is not broad is one finding, of the service, however many flows open it.
    ranges = plan_of({"f": flow, "g": {**flow, "from": ["a", "workbench"]}}, "1-9000/udp", ends)
    also = f", also to {network} (flow f, g)" if network else ""
    assert found("least-privilege", ranges) == [
        (
            severity or "warning",
            "firewall_services.web",
            f"Has 1-9000/udp, more than 4096 ports{also}, expected only the needed ports, or broad: true, so that the "
            "ports of other services stay closed.",
        )
    ]


def test_all_ports_and_protocols_cannot_become_broad_as_they_are() -> None:
    flow = {"from": ["control_plane"], "to": ["workbench"]}
    [(_severity, _subject, message)] = found("least-privilege", plan_of({"f": flow}, "any/ip"))
    assert message.startswith(
        "Has any/ip, more than 4096 ports, expected only the needed ports, or 1-65535/tcp and 1-65535/udp with broad: "
        "true, so that the ports of other services stay closed."
    )


def test_ports_by_the_thousand_yield_or_are_named() -> None:
    flow = {"from": ["control_plane"], "to": ["workbench"]}
    assert found("least-privilege", plan_of({"f": flow}, "1-4000/tcp 5000-5096/udp")) == [
        (
            "warning",
            "firewall_services.web",
            "Has 1-4000/tcp, 5000-5096/udp, more than 4096 ports, expected only the needed ports, or broad: "
            "true, so that the ports of other services stay closed. broad: true would close ssh (22/tcp): open what is "
            "needed in other flows.",
        )
    ]
    assert found("least-privilege", plan_of({"f": flow}, "1-4000/tcp 5000-5095/udp")) == []
    assert found("least-privilege", plan_of({"f": flow}, "1-3000/tcp 2000-4000/tcp")) == []
    more = {name: {"ports": ["1-9000/tcp"]} for name in "cabed"}
    assert [
        item[1] for item in found("least-privilege", plan_of({"f": {**flow, "services": [*more]}}, services=more))
    ] == [f"firewall_services.{name}" for name in "abcde"]
    assert found("least-privilege", plan_of({"f": flow}, "1-9000/tcp", service={"broad": True})) == []
    assert found("least-privilege", plan_of({"f": {**flow, "enabled": False}}, "1-9000/tcp")) == []


def test_a_whole_range_within_a_cluster_may_have_wide_networks() -> None:
    flow = {"from": ["slurm_login"], "to": ["slurm_compute"], "within_cluster": True}
    plan = plan_of({"f": flow}, service={"broad": True}, firewall_clusters={"alpha": {"cidrs": ["10.0.0.0/12"]}})
    assert found("least-privilege", plan) == []


def test_broad_services_that_do_not_yield() -> None:
    flow = {"from": ["control_plane"], "to": ["workbench"]}
    broad = {"broad": True}
    assert found("least-privilege", plan_of({"f": flow}, service=broad, firewall_broad_yields=False)) == [
        (
            "warning",
            "firewall_broad_yields",
            "Is false, so broad services also open the ports of databases, monitoring and Docker on the same "
            "host. Set it to true.",
        )
    ]
    assert found("least-privilege", plan_of({"f": flow}, firewall_broad_yields=False)) == []
    assert found("least-privilege", plan_of({"f": flow}, service=broad)) == []


# ---- UDP by address -------------------------------------------------------------------------------------------------


def by_udp(source: str, ports: str = "53/udp", **flow: Any) -> list[tuple[str, str, str]]:
    endpoints = {
        "range": {"cidrs": ["10.8.0.0/16"]},
        "six": {"cidrs": ["fd08::/64"]},
        "one": {"cidrs": ["10.8.0.1/32"]},
        "far": {"cidrs": ["10.7.0.0/24"]},
    }
    flows = {name: {"from": [source], "to": ["control_plane"], **flow} for name in ("f", "g")}
    return found(
        "udp-by-address", plan_of({**flows, "h": {"from": ["one"], "to": ["control_plane"]}}, ports, endpoints)
    )


def test_udp_from_neighbouring_hosts_is_no_note() -> None:
    endpoints = {"filers": {"cidrs": ["10.9.0.10/32", "10.9.0.11/32"]}}
    flow = {"from": ["filers"], "to": ["workbench"]}
    assert found("udp-by-address", plan_of({"f": flow}, "111/udp", endpoints)) == []


def test_udp_from_a_network_is_one_note_that_names_the_flows() -> None:
    assert by_udp("range") == [
        (
            "note",
            "firewall_flows",
            "Flows that accept UDP from whole networks: f, g. UDP has no handshake, so a packet with a forged "
            "address of such a network passes. Check sources on hosts and routers (rp_filter, see "
            "docs/security.md), and let the services authenticate their clients.",
        )
    ]
    assert len(by_udp("six")) == len(by_udp("range", "53/tcp 53/udp")) == 1


@pytest.mark.parametrize(
    "source, ports, flow",
    [
        ("range", "53/tcp", {}),
        ("anywhere", "53/udp", {}),
        ("one", "53/udp", {}),
        ("slurm_login", "53/udp", {}),
        ("range", "53/udp", {"enabled": False}),
        ("range", "53/udp", {"to": ["far"]}),
    ],
)
def test_udp_that_is_no_note(source: str, ports: str, flow: dict[str, Any]) -> None:
    assert by_udp(source, ports, **flow) == []


def test_udp_within_a_cluster_comes_from_its_networks() -> None:
    flow = {"from": ["slurm_login"], "to": ["slurm_compute"], "within_cluster": True}
    assert found("udp-by-address", plan_of({"f": flow}, "53/udp")) == []
    clusters = {"alpha": {"cidrs": ["10.1.0.0/16"]}}
    assert len(found("udp-by-address", plan_of({"f": flow}, "53/udp", firewall_clusters=clusters))) == 1


# ---- Duplicate and shadowed flows -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("enabled", "state"), [(True, "on"), (False, "off")])
def test_duplicate_flows(enabled: bool, state: str) -> None:
    flow = {"from": ["control_plane", "monitoring"], "to": ["workbench"]}
    plan = plan_of({"a": {**flow, "enabled": enabled}, "b": {**flow, "from": flow["from"][::-1]}})
    assert found("duplicate-flow", plan) == [
        ("warning", "firewall_flows.b", f"Is equal to flow a (which is {state}). Keep one of them.")
    ]
    assert found("shadowed-flow", plan) == []


@pytest.mark.parametrize(
    "change", [{"from": ["monitoring"]}, {"to": ["workspace"]}, {"services": ["ssh"]}, {"within_cluster": True}]
)
def test_flows_that_differ_are_no_duplicates(change: dict[str, Any]) -> None:
    flow = {"from": ["control_plane"], "to": ["workbench"]}
    assert found("duplicate-flow", plan_of({"a": flow, "b": {**flow, **change}})) == []


WIDE = {"from": ["all_nodes", "site"], "to": ["all_nodes"], "services": ["web", "ssh"]}
NODES = {
    "all_nodes": {"groups": ["slurm_login", "slurm_compute", "workbench"]},
    "site": {"cidrs": ["198.51.0.0/16"]},
    "floor": {"cidrs": ["198.51.7.0/24"]},
    "other": {"cidrs": ["198.52.0.0/24"]},
    "node": {"cidrs": ["10.1.0.2/32"]},
    "around": {"cidrs": ["10.1.0.0/24"]},
    "none": {"cidrs": []},
}


@pytest.mark.parametrize(
    ("narrow", "wide", "shadowed"),
    [
        ({"from": ["slurm_login"], "to": ["workbench"]}, WIDE, True),
        ({"from": ["floor"], "to": ["workbench"]}, WIDE, True),
        ({"from": ["floor", "slurm_login"], "to": ["all_nodes"], "services": ["ssh", "web"]}, WIDE, True),
        ({"from": ["slurm_login"], "to": ["workbench"], "within_cluster": True}, WIDE, True),
        (
            {"from": ["slurm_login"], "to": ["workbench"]},
            {**WIDE, "from": ["all_nodes"], "within_cluster": True},
            False,
        ),
        (
            {"from": ["slurm_login"], "to": ["workbench"], "within_cluster": True},
            {**WIDE, "from": ["all_nodes"], "within_cluster": True},
            True,
        ),
        ({"from": ["other"], "to": ["workbench"]}, WIDE, False),
        ({"from": ["floor", "other"], "to": ["workbench"]}, WIDE, False),
        ({"from": ["slurm_login"], "to": ["control_plane"]}, WIDE, False),
        ({"from": ["slurm_login"], "to": ["workbench"], "services": ["web", "more"]}, WIDE, False),
        # Its very address puts a host on a side, and opens the way out for it; the network around it does not.
        ({"from": ["node"], "to": ["workbench"]}, {"from": ["around"], "to": ["workbench"]}, False),
        ({"from": ["node"], "to": ["workbench"]}, {"from": ["around", "node"], "to": ["workbench"]}, True),
        # A group is not covered by a network that holds its hosts today.
        ({"from": ["slurm_compute"], "to": ["workbench"]}, {"from": ["around"], "to": ["workbench"]}, False),
        ({"from": ["none"], "to": ["workbench"]}, WIDE, False),
        ({"from": ["slurm_login"], "to": ["workbench"]}, {**WIDE, "enabled": False}, False),
        ({"from": ["slurm_login"], "to": ["workbench"], "enabled": False}, WIDE, False),
        # Broad services overlap by design.
        ({"from": ["slurm_login"], "to": ["workbench"], "services": ["broad"]}, {**WIDE, "services": ["broad"]}, False),
        ({"from": ["slurm_login"], "to": ["workbench"]}, {**WIDE, "services": ["broad"]}, False),
    ],
)
def test_shadowed_flows(narrow: dict[str, Any], wide: dict[str, Any], shadowed: bool) -> None:
    services = {"more": {"ports": ["8080/tcp"]}, "broad": {"ports": ["1-9000/tcp"], "broad": True}}
    message = (
        "Flow wide covers this flow completely, so turning this flow off closes nothing. "
        "Turn off or narrow one of them."
    )
    plan = plan_of({"narrow": narrow, "wide": wide}, endpoints=NODES, services=services)
    assert found("shadowed-flow", plan) == ([("warning", "firewall_flows.narrow", message)] if shadowed else [])


def test_of_two_flows_that_cover_each_other_the_later_is_shadowed() -> None:
    flow = {"from": ["all_nodes"], "to": ["workbench"]}
    plan = plan_of({"a": flow, "b": {**flow, "from": ["slurm_login", "slurm_compute", "workbench"]}}, endpoints=NODES)
    assert [item[1] for item in found("shadowed-flow", plan)] == ["firewall_flows.b"]


@pytest.mark.parametrize(
    ("changed", "shadowed"),
    [
        ({}, []),
        ({"users": {"title": "T", "enabled": True, "accept": {"exposure": "x"}}}, []),
        ({"users": {"from": ["staff"]}}, ["firewall_flows.users"]),
        ({"admins": {"to": ["slurm_login", "workbench"]}}, ["firewall_flows.users"]),
    ],
)
def test_shipped_flows_may_cover_each_other(changed: dict[str, Any], shadowed: list[str]) -> None:
    """The site fills one network into two shipped endpoints."""
    networks = {name: {"cidrs": ["10.9.0.0/24"]} for name in ("staff", "guests")}
    ssh = {"services": ["ssh"], "need": "recommended"}
    flows = {
        **SHIPPED["firewall_flows"],
        "admins": {"from": ["staff"], "to": ["slurm_login", "slurm_compute"], **ssh},
        "users": {"from": ["guests"], "to": ["slurm_login"], **ssh},
    }
    shipped = {**SHIPPED, "firewall_flows": flows}
    inventory = make_inventory(HOSTS)
    site = {"firewall_endpoints": networks, "firewall_flows": changed}
    plan = compile_plan(load_catalogue(shipped, site, inventory.groups), inventory)
    assert [item[1] for item in found("shadowed-flow", plan)] == shadowed


def test_management_ssh_is_never_shadowed() -> None:
    flow = {"from": ["admins"], "to": ["managed"], "services": ["ssh"]}
    assert found("shadowed-flow", plan_of({"f": flow}, endpoints={"admins": {"cidrs": ["192.0.2.0/24"]}})) == []
    shadowed = plan_of({"f": flow}, endpoints={"admins": {"cidrs": [f"{CONTROLLER}/32"]}})
    assert [item[1] for item in found("shadowed-flow", shadowed)] == ["firewall_flows.f"]


# ---- Services and srun ----------------------------------------------------------------------------------------------


def test_services_that_nothing_uses() -> None:
    services = {"unused": {"ports": ["1/tcp"]}, "claim": {"ports": ["2/tcp"]}}
    flow = {"from": ["anywhere"], "to": ["workbench"]}
    plan = plan_of({"f": flow, "g": {**flow, "services": ["claim"], "enabled": False}}, services=services)
    assert found("unused-service", plan) == [
        (
            "warning",
            "firewall_services.unused",
            "No flow uses this service, so it opens nothing, and broad services do not exclude its ports. Use "
            "it in a flow, which may be off, or delete it.",
        )
    ]


def test_a_shipped_service_may_be_unused() -> None:
    shipped = {**SHIPPED, "firewall_services": {**SHIPPED["firewall_services"], "spare": {"ports": ["1/tcp"]}}}
    plan = compile_plan(load_catalogue(shipped, {}, []), make_inventory({}))
    assert found("unused-service", plan) == []


SRUN = {"services": {"srun": {"ports": ["8192-60999/tcp"], "broad": True}}}
DOCUMENTED = {"firewall_srun_ports": "8192-60000"}
SRUN_FLOW = {"from": ["slurm_compute"], "to": ["slurm_login"], "services": ["srun"], "within_cluster": True}


def lost_ports(flows: dict[str, Any], hosts: dict[str, Any] | None = None, **settings: Any) -> list[tuple[str, str]]:
    services = {**SRUN["services"], **settings.pop("services", {})}
    if "firewall_srun_ports" in settings:
        services["srun"] = {**services["srun"], "ports": [f"{settings['firewall_srun_ports']}/tcp"]}
    plan = plan_of({"srun": SRUN_FLOW, **flows}, hosts={**HOSTS, **(hosts or {})}, services=services, **settings)
    start = "srun without SrunPortRange uses any port of firewall_ephemeral_ports, but "
    end = " is not open to it, and srun hangs "
    texts = []
    for severity, subject, message in found("srun-unpinned", plan):
        assert severity == "warning" and message.startswith(start)
        assert message.endswith(
            f"{end}on such a port. Set SrunPortRange in slurm.conf and "
            "firewall_srun_ports to one narrow range, such as 60001-63000."
        )
        texts.append((subject, message[len(start) :].partition(end)[0]))
    return texts


def test_an_unpinned_srun_needs_all_of_the_ephemeral_ports() -> None:
    assert lost_ports({}) == []
    assert lost_ports({}, **DOCUMENTED) == [("host login", "60001-60999/tcp")]
    assert lost_ports({}, firewall_srun_ports="8192-60001") == []  # the role slurm pins any other range


@pytest.mark.parametrize(
    ("claimed", "lost"),
    [
        # 28,232 ephemeral ports: 28 of them may be closed.
        ("32765-32795/tcp", []),
        ("32765-32796/tcp", [("host login", "32768-32796/tcp")]),
        ("32765-32796/udp", []),
    ],
)
def test_claimed_ports_in_the_ephemeral_range_are_lost_to_srun(claimed: str, lost: list[tuple[str, str]]) -> None:
    claim = {"from": ["control_plane"], "to": ["slurm_login"], "services": ["locks"], "enabled": False}
    services = {**SRUN["services"], "locks": {"ports": [claimed]}}
    assert lost_ports({"g": claim}, services=services) == lost
    assert lost_ports({"g": claim}, services=services, firewall_broad_yields=False) == []


@pytest.mark.parametrize("ephemeral", ["32768-60000", "8192-60000"])
def test_srun_fits_into_a_narrower_ephemeral_range(ephemeral: str) -> None:
    assert lost_ports({}, {"login": {**HOSTS["login"], "ephemeral_ports": ephemeral}}, **DOCUMENTED) == []


def test_other_broad_services_inside_the_cluster_take_srun_in() -> None:
    services = {**SRUN["services"], "user_ports": {"ports": ["1024-65535/tcp"], "broad": True}}
    user = {**SRUN_FLOW, "services": ["user_ports"]}
    assert lost_ports({"user": user}, services=services, **DOCUMENTED) == []
    assert lost_ports({"user": {**user, "within_cluster": False}}, services=services, **DOCUMENTED) == [
        ("host login", "60001-60999/tcp")
    ]


def test_hosts_that_lose_the_same_ports_are_told_together() -> None:
    more = {f"login{number}": {**HOSTS["login"], "addresses": [f"10.1.1.{number}"]} for number in (3, 1)}
    other = {**HOSTS["login"], "addresses": ["10.1.1.2"], "ephemeral_ports": "1024-60000"}
    laptop = {"groups": ["desks"], "addresses": ["10.9.0.7"]}
    assert lost_ports(
        {"srun": {**SRUN_FLOW, "to": ["slurm_login", "desks"]}},
        {**more, "login2": other, "laptop": laptop},
        **DOCUMENTED,
    ) == [("host login2", "1024-8191/tcp"), ("host login and 2 more", "60001-60999/tcp")]


def test_a_pinned_srun_loses_nothing() -> None:
    assert lost_ports({}, firewall_srun_ports="60001-63000") == []
    assert lost_ports({"srun": {**SRUN_FLOW, "enabled": False}}) == []


# ---- Endpoints ------------------------------------------------------------------------------------------------------


def empty(flows: dict[str, Any], endpoints: dict[str, Any] | None = None, **settings: Any) -> list[tuple[str, str]]:
    start = "Has no address, so it adds nothing to flow "
    end = ". Add hosts or networks to it, or turn the flow off."
    texts = []
    for severity, subject, message in found("empty-endpoint", plan_of(flows, endpoints=endpoints, **settings)):
        assert severity == "warning" and message.startswith(start) and message.endswith(end)
        texts.append((subject, message[len(start) : -len(end)]))
    return texts


def test_an_endpoint_of_the_site_is_not_empty_in_a_flow_that_is_on() -> None:
    flow = {"from": ["hollow", "monitoring"], "to": ["workbench"]}
    hollow: dict[str, Any]
    for hollow in ({"cidrs": []}, {"groups": ["workspace"]}):
        assert empty({"f": flow, "g": {**flow, "services": ["ssh"]}}, {"hollow": hollow}) == [
            ("firewall_endpoints.hollow", "f and 1 more")
        ]
        assert empty({"f": {**flow, "enabled": False}}, {"hollow": hollow}) == []
    assert empty({"f": flow}, {"hollow": {"hostnames": ["a.example.org"]}}) == []
    several = {name: {"cidrs": []} for name in ("two", "one", "six")}
    assert [subject for subject, message in empty({"f": {**flow, "from": [*several, "monitoring"]}}, several)] == [
        "firewall_endpoints.one",
        "firewall_endpoints.six",
        "firewall_endpoints.two",
    ]


@pytest.mark.parametrize(
    ("flow", "names"),
    [
        # To be filled in by the site.
        ({"from": ["to_fill"], "to": ["workbench"]}, ["to_fill"]),
        ({"from": ["workbench"], "to": ["to_fill"]}, ["to_fill"]),
        ({"from": ["workbench"], "to": ["platform"]}, ["platform"]),
        # Another endpoint has addresses.
        ({"from": ["to_fill", "monitoring"], "to": ["workbench"]}, []),
        # A part of the platform that this site does not have.
        ({"from": ["workspaces"], "to": ["workbench"]}, []),
        ({"from": ["workbench"], "to": ["workspace"]}, []),
        ({"from": ["to_fill"], "to": ["workspace"]}, []),
    ],
)
def test_a_shipped_endpoint_is_not_empty_where_it_is_all_of_a_side(flow: dict[str, Any], names: list[str]) -> None:
    shipped = {
        "firewall_services": {"ssh": {"ports": ["22/tcp"]}},
        "firewall_endpoints": {
            "controllers": {"cidrs": ["192.0.2.1/32"]},
            "to_fill": {"cidrs": []},
            "platform": {"groups": ["platform_storage"], "cidrs": []},
            "workspaces": {"groups": ["workspace"]},
        },
        "firewall_flows": {
            "management_ssh": {
                "from": ["controllers"],
                "to": ["workbench", "monitoring"],
                "services": ["ssh"],
                "need": "required",
            },
            "f": {"services": ["ssh"], "need": "recommended", **flow},
        },
    }
    groups = {"workbench": ["desk"], "monitoring": ["watch"]}
    addresses = {"desk": "10.0.0.1", "watch": "10.0.0.2"}
    inventory = load_inventory(groups, lambda host: {"ansible_host": addresses[host]})
    plan = compile_plan(load_catalogue(shipped, {}, groups), inventory)
    assert [item[1] for item in found("empty-endpoint", plan)] == [f"firewall_endpoints.{name}" for name in names]


def test_networks_of_clusters_fill_endpoints_within_them() -> None:
    flow = {"from": ["hollow"], "to": ["slurm_compute"], "within_cluster": True}
    hollow = {"hollow": {"groups": ["workspace"]}}
    assert empty({"f": flow}, hollow) == [("firewall_endpoints.hollow", "f")]
    alpha = {"alpha": {"cidrs": ["10.1.0.0/30"]}}
    assert empty({"f": flow}, hollow, firewall_clusters=alpha) == []
    assert empty({"f": {**flow, "within_cluster": False}}, hollow, firewall_clusters=alpha) == [
        ("firewall_endpoints.hollow", "f")
    ]


def test_endpoints_that_no_flow_names() -> None:
    endpoints = {name: {"cidrs": ["10.9.0.0/24"]} for name in ("named", "in_a_flow_that_is_off", "nameds", "spare")}
    flow = {"from": ["named"], "to": ["workbench"]}
    off = {"from": ["anywhere"], "to": ["in_a_flow_that_is_off"], "enabled": False}
    start = "No flow names this endpoint, so it has no effect. "
    assert found("unused-endpoint", plan_of({"f": flow, "g": off}, endpoints=endpoints)) == [
        ("warning", "firewall_endpoints.nameds", f"{start}Did you mean 'named'?"),
        ("warning", "firewall_endpoints.spare", f"{start}Use it in a flow, which may be off, or delete it."),
    ]


def test_an_endpoint_that_its_except_empties() -> None:
    excepted = {"e": {"cidrs": ["10.1.0.0/24"], "except": ["10.1.0.0/16"]}}
    assert found("empty-endpoint", plan_of({"f": {"from": ["e"], "to": ["workbench"]}}, endpoints=excepted)) == [
        (
            "warning",
            "firewall_endpoints.e",
            "Has no address outside its except, so it adds nothing to flow f. Add hosts or networks to it, narrow its "
            "except, or turn the flow off.",
        )
    ]


def test_fallback_groups_that_the_inventory_lacks() -> None:
    endpoints = {"e": {"groups": ["monitoring"], "fallback_groups": ["desktops"]}}
    plan = plan_of({"f": {"from": ["e"], "to": ["workbench"]}}, endpoints=endpoints)
    assert [subject for _severity, subject, _message in found("missing-group", plan)] == [
        "firewall_endpoints.e.fallback_groups"
    ]


def test_groups_that_the_inventory_lacks() -> None:
    plan = plan_of(
        {"f": {"from": ["e"], "to": ["workbench"]}},
        endpoints={"e": {"groups": ["desktops", "workspace", "monitoring"]}},
    )
    assert found("missing-group", plan) == [
        (
            "warning",
            "firewall_endpoints.e.groups",
            "Lists 'desktops', which is not in the inventory, so the group counts as empty. Add the group to "
            "the inventory or correct its name.",
        )
    ]


def test_a_host_among_the_groups_of_an_endpoint() -> None:
    flow = {"from": ["e"], "to": ["workbench"]}
    hosts = {**HOSTS, "bare": {"groups": [], "addresses": ["a.example.org"]}}

    def messages(endpoint: dict[str, Any], **more: Any) -> list[str]:
        items = found("missing-group", plan_of({"f": {**flow, **more}}, endpoints={"e": endpoint}, hosts=hosts))
        return [message for _severity, _subject, message in items]

    start = "which is a host of the inventory, not a group, so it counts as an empty group. "
    assert messages({"groups": ["login", "monitoring"]}) == [
        f"Lists 'login', {start}Write one of its groups, such as slurm_login, or its address into cidrs: "
        "['10.1.0.1/32']."
    ]
    assert messages({"groups": ["login", "slurm_login"]}, within_cluster=True) == [
        f"Lists 'login', {start}Write one of its groups, such as slurm_login."
    ]
    assert messages({"groups": ["bare", "monitoring"]}) == [f"Lists 'bare', {start}Write its address into cidrs."]
    assert messages({"groups": ["monitoring"], "fallback_groups": ["login"]}) == [
        f"Lists 'login', {start}Write one of its groups, such as slurm_login."
    ]
    # In no group, where only groups may be.
    assert messages({"groups": ["monitoring"], "fallback_groups": ["bare"]}) == [
        f"Lists 'bare', {start}Add a group with it to the inventory."
    ]


# ---- Flows that the site turned on, without hosts -------------------------------------------------------------------


def hollow(flow: dict[str, Any], **settings: Any) -> list[str]:
    endpoints = {"shops": {"groups": ["web_portal"]}}
    plan = plan_of({"f": {"enabled": True, "need": "optional", **flow}}, endpoints=endpoints, **settings)
    items = found("opens-nothing", plan)
    assert {item[:2] for item in items} <= {("warning", "firewall_flows.f")}
    assert len(items) + len(found("empty-endpoint", plan)) < 2
    return [message for _severity, _subject, message in items]


@pytest.mark.parametrize(
    ("sources", "targets", "sides"),
    [
        (["web_portal"], ["workbench"], "from (web_portal)"),
        (["workbench"], ["workspace", "web_portal"], "to (workspace, web_portal)"),
        (["web_portal"], ["workspace"], "from (web_portal) and in to (workspace)"),
        (["web_portal", "monitoring"], ["workbench"], ""),
        (["anywhere"], ["workbench"], ""),
        # empty-endpoint finds it.
        (["workbench"], ["shops"], ""),
    ],
)
def test_a_flow_that_the_site_turned_on_has_hosts_on_both_sides(
    sources: list[str], targets: list[str], sides: str
) -> None:
    flow = {"from": sources, "to": targets}
    found_here = [f"Opens nothing, because no host or network is in {sides}. Add hosts, or turn the flow off."]
    assert hollow(flow) == (found_here if sides else [])
    # Others are on without the site.
    assert hollow({**flow, "enabled": None, "need": "conditional"}) == []
    assert hollow({**flow, "enabled": False}) == []


def test_networks_of_clusters_are_on_both_sides_of_a_flow_within_them() -> None:
    flow = {"from": ["web_portal"], "to": ["slurm_compute"], "within_cluster": True}
    assert len(hollow(flow)) == 1
    assert hollow(flow, firewall_clusters={"alpha": {"cidrs": ["10.1.0.0/30"]}}) == []


def test_an_endpoint_with_the_name_of_a_group_lists_the_group() -> None:
    flow = {"from": ["desks"], "to": ["workbench"]}
    hosts = {**HOSTS, "laptop": {"groups": ["desks"], "addresses": ["10.9.0.7"]}}
    networks = {"cidrs": ["10.9.0.0/24"]}
    assert found("hidden-group", plan_of({"f": flow}, endpoints={"desks": networks}, hosts=hosts)) == [
        (
            "warning",
            "firewall_endpoints.desks.groups",
            "Does not list the group of the same name in the inventory, so the hosts of this group are not in "
            "the endpoint. Add the group, or rename the group or the endpoint.",
        )
    ]
    listed = {"desks": {**networks, "groups": ["desks"]}}
    assert found("hidden-group", plan_of({"f": flow}, endpoints=listed, hosts=hosts)) == []
    assert found("hidden-group", plan_of({"f": flow}, endpoints={"desks": networks})) == []
    assert found("hidden-group", plan_of({"f": flow}, hosts=hosts)) == []


def in_networks(flow: dict[str, Any], hosts: dict[str, Any] | None = None, **endpoints: Any) -> list[tuple[str, str]]:
    start = "the managed "
    plan = plan_of({"f": flow}, endpoints=endpoints, hosts={**HOSTS, **(hosts or {})})
    texts = []
    for severity, subject, message in found("host-in-network", plan):
        assert severity == "warning" and message.endswith(
            "which the endpoint does not name, so the host's own side of flow f stays closed. Add a group of "
            "the host, or its address as a separate network, or narrow the network."
        )
        texts.append((subject, message.partition(", which the endpoint")[0].replace(start, "")))
    return texts


def test_a_managed_host_in_a_network_stays_closed_as_a_target() -> None:
    flow = {"from": ["monitoring"], "to": ["e"]}
    assert in_networks(flow, e={"cidrs": ["10.1.0.0/24"]}) == [
        ("firewall_endpoints.e.cidrs", "10.1.0.0/24 contains host login and 1 more")
    ]
    assert in_networks(flow, e={"cidrs": ["10.1.0.0/24"], "groups": ["slurm_login"]}) == [
        ("firewall_endpoints.e.cidrs", "10.1.0.0/24 contains host node")
    ]
    assert in_networks({**flow, "to": ["e", "slurm_login", "slurm_compute"]}, e={"cidrs": ["10.1.0.0/24"]}) == []
    assert in_networks(flow, e={"cidrs": ["10.1.0.0/24", "10.1.0.1/32", "10.1.0.2/32"]}) == []
    assert in_networks(flow, e={"cidrs": ["10.7.0.0/24", "10.0.0.2/31", "fd00::/64"]}) == []
    assert in_networks({**flow, "enabled": False}, e={"cidrs": ["10.1.0.0/24"]}) == []
    both = in_networks({**flow, "to": ["e", "d"]}, e={"cidrs": ["10.1.0.0/24"]}, d={"cidrs": ["10.2.0.0/24"]})
    assert [subject for subject, message in both] == ["firewall_endpoints.d.cidrs", "firewall_endpoints.e.cidrs"]


@pytest.mark.parametrize(
    ("network", "holds"),
    [
        ("10.1.0.2/31", True),
        ("10.1.0.0/31", False),
        ("10.1.0.4/30", False),
        ("10.0.0.0/8", True),
        ("10.0.0.0/7", False),
    ],
)
def test_the_edges_of_a_network(network: str, holds: bool) -> None:
    only = {"node": HOSTS["node"], "watch": {**HOSTS["watch"], "addresses": ["192.0.2.9"]}}
    plan = plan_of({"f": {"from": ["monitoring"], "to": ["e"]}}, endpoints={"e": {"cidrs": [network]}}, hosts=only)
    assert bool(found("host-in-network", plan)) is holds


def test_a_managed_host_in_a_network_stays_closed_as_a_source_with_restricted_egress() -> None:
    flow = {"from": ["e"], "to": ["monitoring"]}
    network = {"cidrs": ["10.1.0.0/24"]}
    assert in_networks(flow, e=network) == []
    assert in_networks(flow, {"node": {**HOSTS["node"], "egress": "restricted"}}, e=network) == [
        ("firewall_endpoints.e.cidrs", "10.1.0.0/24 contains host node")
    ]


def test_clusters_that_no_managed_host_is_in() -> None:
    def clusters(**networks: list[str]) -> list[tuple[str, str]]:
        plan = plan_of({}, firewall_clusters={name: {"cidrs": cidrs} for name, cidrs in networks.items()})
        return [(subject, message) for severity, subject, message in found("empty-cluster", plan)]

    start = "No managed host has this cluster in its firewall_cluster, so its networks have no effect."
    assert clusters(alpha=["10.1.9.0/24"], gamma=[]) == []
    assert clusters(zzz=["10.1.8.0/24"], aplha=["10.1.9.0/24"]) == [
        ("firewall_clusters.aplha", f"{start} Did you mean 'alpha'?"),
        ("firewall_clusters.zzz", f"{start} Correct the name or delete the cluster."),
    ]


def test_a_host_of_another_cluster_in_the_network_of_a_cluster() -> None:
    plan = plan_of(
        {}, firewall_clusters={"beta": {"cidrs": ["10.1.0.0/30"]}, "alpha": {"cidrs": ["10.1.0.0/24", "10.2.0.0/24"]}}
    )
    end = (
        "which is not in the cluster but is accepted like a node of it. Narrow the network, or add the cluster "
        "to firewall_cluster of the host."
    )
    assert found("host-in-cluster-network", plan) == [
        ("warning", "firewall_clusters.alpha.cidrs", f"10.2.0.0/24 contains the managed host desk, {end}"),
        ("warning", "firewall_clusters.beta.cidrs", f"10.1.0.0/30 contains the managed host login and 1 more, {end}"),
    ]


# ---- The way of Ansible's own ssh -----------------------------------------------------------------------------------


def node(number: int, arguments: str = "", **variables: Any) -> dict[str, Any]:
    return {
        "groups": ["slurm_compute"],
        "ansible_host": f"10.1.1.{number}",
        "ansible_ssh_common_args": arguments,
        **variables,
    }


def test_ports_of_sshd_that_the_service_does_not_have() -> None:
    hosts = {
        "n1": node(1, ansible_port=2222),
        "n2": node(2, ansible_port="2222"),
        "n3": node(3, "-J n4:2200"),
        "n4": node(4),
        "n5": node(5, ansible_port=222),
    }
    plan = plan_of({}, hosts=hosts, endpoints={"controllers": {"cidrs": [f"{CONTROLLER}/32", "10.1.1.4/32"]}})
    assert found("ssh-port", plan) == [
        (
            "warning",
            f"host {host}",
            f"Ansible connects to {port}/tcp ({how}), but firewall_services.ssh has 22/tcp. Add "
            f"{port}/tcp to firewall_services.ssh.ports, unless a device before the host forwards this port to 22/tcp.",
        )
        for host, port, how in [
            ("n5", 222, "ansible_port"),
            ("n4", 2200, "jump host"),
            ("n1 and 1 more", 2222, "ansible_port"),
        ]
    ]


def test_a_jump_host_that_the_hosts_behind_it_do_not_let_in() -> None:
    hosts = {
        "jump": {"groups": ["slurm_login"], "addresses": ["10.0.0.1", "10.0.0.2"]},
        "n1": node(1, "-J jump"),
        "n2": node(2, "-J jump"),
    }
    assert found("jump-host-source", plan_of({}, hosts=hosts)) == [
        (
            "warning",
            "host n1 and 1 more",
            "Does not accept ssh from jump host jump (10.0.0.1, 10.0.0.2), through which Ansible reaches it. "
            "Add the address to firewall_endpoints.controllers, or set firewall_source_addresses of jump to the "
            "address that hosts behind it see.",
        )
    ]


def test_a_jump_host_that_is_not_let_out() -> None:
    hosts = {
        "jump": {"groups": ["slurm_login"], "addresses": ["10.0.0.1"], "egress": "restricted"},
        "n1": node(1, "-J jump,inner"),
        "laptop": node(2, "-J jump", groups=["laptops"]),
    }
    start = "Is reached through jump host jump, which has restricted egress, and"
    assert found("jump-host-egress", plan_of({}, hosts=hosts)) == [
        ("warning", "host laptop", f"{start} no flow allows 22/tcp to 10.1.1.2 from there. Write such a flow."),
        (
            "warning",
            "host n1",
            f"{start} the address of its next hop, inner, is unknown. Use the address in place of the name, or "
            "set firewall_addresses of that host in the inventory.",
        ),
    ]


def test_a_jump_host_that_nobody_knows() -> None:
    hosts = {"n1": node(1, "-J bastion"), "n2": node(2, "-J bastion", egress="restricted")}
    assert found("jump-host-unknown", plan_of({}, hosts=hosts)) == [
        (
            "warning",
            "host n1 and 1 more",
            "Is reached through jump host bastion, which is not in the inventory, and whose name has no address "
            "on the controller. If it is a managed host with restricted egress, Ansible loses the connection. "
            "Use its name in the inventory, or its address.",
        )
    ]


def test_connections_that_say_nothing() -> None:
    assert found("connection-unread", plan_of({}, hosts={"n1": node(1, ansible_port="x"), "n2": node(2, "-J 'a")})) == [
        ("warning", f"host {host}", f"Cannot read {what}. The plan ignores it, and may block Ansible's own ssh.")
        for host, what in [
            ("n1", "ansible_port: got 'x', expected a port from 1 to 65535"),
            ("n2", "ansible_ssh_common_args: No closing quotation"),
        ]
    ]


def test_a_managed_host_in_a_network_of_the_controllers_has_its_way_out() -> None:
    controllers = {"controllers": {"cidrs": ["10.1.0.0/24"]}}
    hosts = {name: {**host, "egress": "restricted"} for name, host in HOSTS.items()}
    assert found("host-in-network", plan_of({}, hosts=hosts, endpoints=controllers)) == []
    # For the flow of management alone.
    plan = plan_of({"f": {"from": ["controllers"], "to": ["control_plane"]}}, hosts=hosts, endpoints=controllers)
    assert [subject for severity, subject, message in found("host-in-network", plan)] == [
        "firewall_endpoints.controllers.cidrs"
    ]


# ---- All rules ------------------------------------------------------------------------------------------------------


def rules_in(path: Path) -> set[str]:
    """Return the rules that a file names in `Finding(...)` and `Advice(...)`."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    made = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in ("Finding", "Advice")]
    return {call.args[0].value for call in made if isinstance(call.args[0], ast.Constant)}


def test_every_rule_is_documented() -> None:
    used = set().union(*map(rules_in, Path(rules.__file__).parent.glob("*.py")))
    page = (ROOT / "playbooks" / "README.md").read_text(encoding="utf-8")
    assert set(rules.DESCRIPTIONS) == used
    assert used <= {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}


ONE_NETWORK = {name: {"cidrs": ["192.0.2.128/26"]} for name in ("admin_networks", "cluster_users")}
WITH_DIRECTORY = {"directory_servers": {"cidrs": ["10.0.0.1/32"]}}
WITH_LOGS = {**WITH_DIRECTORY, **{name: {"cidrs": ["10.0.0.1/32"]} for name in ("syslog_servers", "licence_servers")}}
TURNED_ON = {"syslog": {"enabled": True}, "licences": {"enabled": True}}


@pytest.mark.parametrize(
    ("name", "endpoints", "changes"),
    [
        ("example", {}, {}),
        ("small", {}, {}),
        # A site that has not set firewall_srun_ports, with one network for all people and Ansible's host in it.
        ("small", ONE_NETWORK, {"firewall_srun_ports": None}),
        ("small", {**ONE_NETWORK, "controllers": {"cidrs": ["192.0.2.129/32"]}}, {"firewall_srun_ports": None}),
        # A site that writes addresses and nothing else.
        ("small", {**ONE_NETWORK, **WITH_DIRECTORY}, {"firewall_srun_ports": None, "firewall_flows": None}),
        # Servers of optional flows, which the site turns on.
        ("small", {**ONE_NETWORK, **WITH_LOGS}, {"firewall_srun_ports": None, "firewall_flows": TURNED_ON}),
    ],
)
def test_the_examples_have_no_findings(name: str, endpoints: dict[str, Any], changes: dict[str, Any]) -> None:
    """The shipped port file, and the inventories that are read as documentation, follow all advice."""
    assert findings(example(name, endpoints, changes), TODAY) == []


def test_servers_of_optional_flows_that_are_off_are_findings() -> None:
    """Their addresses alone close ports of broad services on their host, and open nothing."""

    def accepted(endpoints: dict[str, Any], flows: dict[str, Any]) -> tuple[bool, ...]:
        plan = example("small", endpoints, {"firewall_srun_ports": None, "firewall_flows": flows})
        return tuple(accepts(plan, "head", "10.0.0.11", port) for port in (514, 6514, 27000))

    assert accepted({}, {}) == (False, True, True)
    assert accepted(WITH_LOGS, {}) == (False, False, False)
    assert accepted(WITH_LOGS, TURNED_ON)[:2] == (True, True)
    plan = example("small", WITH_LOGS, {"firewall_flows": {}})
    assert [(item.rule, item.subject) for item in findings(plan, TODAY)] == [
        ("unused-endpoint", "firewall_endpoints.licence_servers"),
        ("unused-endpoint", "firewall_endpoints.syslog_servers"),
    ]


def example(name: str, endpoints: dict[str, Any], changes: dict[str, Any]) -> Plan:
    """Return the plan of an inventory, with other endpoints and variables; None deletes a variable."""
    loader = DataLoader()
    inventory = InventoryManager(loader=loader, sources=[str(ROOT / "inventories" / name)])
    manager = VariableManager(loader=loader, inventory=inventory)
    hosts = {host.name: manager.get_vars(host=host) for host in inventory.get_hosts()}
    for variables in hosts.values():
        templar = Templar(loader=loader, variables=variables)
        variables["ansible_host"] = templar.template(variables["ansible_host"])
    groups = inventory.get_groups_dict()
    shipped = yaml.safe_load(
        (ROOT / "plugins" / "plugin_utils" / "_port_file" / "port_file.yml").read_text(encoding="utf-8")
    )
    written = next(iter(hosts.values())) | changes
    site = {key: value for key, value in written.items() if key.startswith("firewall_") and value is not None}
    site["firewall_endpoints"] = {**site["firewall_endpoints"], **endpoints}
    plan = compile_plan(load_catalogue(shipped, site, groups), load_inventory(groups, hosts.__getitem__))
    assert plan.hosts
    return plan


def test_findings_are_in_the_order_of_the_rules() -> None:
    plan = plan_of(
        {"f": {"from": ["anywhere"], "to": ["workbench"], "services": ["ssh"]}},
        endpoints={"e": {"groups": ["desktops"]}},
    )
    assert findings(plan, TODAY) == [
        Finding("ssh-known-sources", "error", "firewall_flows.f", f"Opens 22/tcp to 0.0.0.0/0, {KNOWN}"),
        Finding(
            "unused-service",
            "warning",
            "firewall_services.web",
            "No flow uses this service, so it opens nothing, and broad services do not exclude its ports. Use "
            "it in a flow, which may be off, or delete it.",
        ),
        Finding(
            "unused-endpoint",
            "warning",
            "firewall_endpoints.e",
            "No flow names this endpoint, so it has no effect. Use it in a flow, which may be off, or delete it.",
        ),
        Finding(
            "missing-group",
            "warning",
            "firewall_endpoints.e.groups",
            "Lists 'desktops', which is not in the inventory, so the group counts as empty. Add the group to "
            "the inventory or correct its name.",
        ),
    ]
