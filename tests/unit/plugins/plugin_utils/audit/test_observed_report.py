# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of observe mode: groups that read like flows, and entries with which the next report is empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.observed_report import Report, duration, lines, report_of
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.recorded import recorded_of
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.tests.support.sites import make_plan
from hypothesis import given, settings
from hypothesis import strategies as st

SITE: dict[str, Any] = {
    "services": {
        "web": {"ports": ["443/tcp"]},
        "slurmctld": {"ports": ["6817/tcp"], "exposure": "cluster"},
        "node_exporter": {"ports": ["9100/tcp"]},
    },
    "endpoints": {"users": {"cidrs": ["10.9.0.0/16"]}, "anywhere": {"cidrs": ["0.0.0.0/0"]}},
    "flows": {
        "metrics": {"from": ["monitoring"], "to": ["slurm_compute"], "services": ["node_exporter"], "need": "optional"},
        "portal": {"from": ["users"], "to": ["slurm_login"], "services": ["web"], "need": "recommended"},
    },
}


def host(group: str, number: int, cluster: str = "default", **more: Any) -> dict[str, Any]:
    addresses = [f"10.0.1.{number}", f"fd00::1:{number}"]
    return {"groups": [group], "addresses": addresses, "cluster": cluster, "mode": "observe", **more}


HOSTS: dict[str, Any] = {
    "head": host("slurm_controller", 1),
    "login1": host("slurm_login", 2, egress="restricted"),
    "login2": host("slurm_login", 3, egress="restricted"),
    "mon": host("monitoring", 4),
    "desk": {"groups": ["desks"], "addresses": ["10.0.2.1"]},
    **{f"c{number}": host("slurm_compute", 10 + number) for number in range(1, 6)},
}
SLURMCTLD = {"protocol": "tcp", "address": "0.0.0.0", "port": 6817, "process": "slurmctld", "unit": "slurmctld.service"}
NGINX = {"protocol": "tcp", "address": "::", "port": 443, "process": "nginx", "unit": "nginx.service"}
GMOND = {"protocol": "udp", "address": "0.0.0.0", "port": 8649, "process": "gmond", "unit": "gmond.service"}


def plan_of(site: Mapping[str, Any] | None = None, hosts: Mapping[str, Any] | None = None) -> Plan:
    return make_plan(site or SITE, hosts or HOSTS)


def port(number: int, *records: str, direction: str = "in", protocol: str = "tcp") -> dict[str, Any]:
    return {"direction": direction, "protocol": protocol, "port": number, "peers": "\n".join(records)}


def answer(*ports: dict[str, Any], **more: Any) -> dict[str, Any]:
    unrecorded = {"in": 0, "out": 0, "forward": 0}
    empty: dict[str, Any] = {name: [] for name in ("listeners", "published", "container_networks", "problems")}
    empty = {**empty, "left_out": 0, "unrecorded": unrecorded}
    return {"observes": True, "seconds": 7200, "ports": list(ports), **empty, **more}


def report(plan: Plan, **answers: dict[str, Any]) -> Report:
    return report_of(plan, {name: recorded_of(said) for name, said in answers.items()}, {})


def nodes(*numbers: int) -> list[str]:
    return [f"10.0.1.{10 + number} 3 120" for number in numbers]


def test_a_group_of_connections_reads_like_a_flow() -> None:
    found = report(plan_of(), head=answer(port(8649, *nodes(1, 2, 3, 4, 5), protocol="udp"), listeners=[GMOND]))
    assert lines(found) == [
        "Connections that no flow allows, and that the hosts accept only because they observe:",
        "  slurm_compute to slurm_controller 8649/udp, 5 hosts, 15 packets, last 2 minutes ago; gmond (gmond.service) "
        "listens",
        "",
        "In observe mode: 1 host, for 2 hours or longer (head).",
        "",
        "Proposed entries of the port file:",
        "# Add these entries to those of group_vars/all: of two files with firewall_flows, Ansible takes the last one.",
        "firewall_services:",
        "  gmond:",
        "    ports:",
        "    - 8649/udp",
        "firewall_flows:",
        "  seen_gmond:",
        "    from:",
        "    - slurm_compute",
        "    to:",
        "    - slurm_controller",
        "    services:",
        "    - gmond",
        "    need: recommended",
    ]


def entries(found: Report) -> dict[str, Any]:
    return dict(yaml.safe_load(found.draft) or {})


def flows(found: Report) -> list[tuple[Any, ...]]:
    return [
        (flow["from"], flow["to"], flow["services"], flow.get("within_cluster", False))
        for flow in entries(found).get("firewall_flows", {}).values()
    ]


def test_a_flow_that_is_off_is_turned_on() -> None:
    found = report(plan_of(), c1=answer(port(9100, "10.0.1.4 1 1")))
    assert entries(found) == {"firewall_flows": {"metrics": {"enabled": True}}}


def test_a_flow_that_is_off_and_lacks_something_is_not() -> None:
    assert flows(report(plan_of(), head=answer(port(9100, "10.0.1.4 1 1")))) == [
        (["monitoring"], ["slurm_controller"], ["node_exporter"], False)
    ]


def test_a_service_of_a_cluster_stays_in_the_cluster() -> None:
    found = report(plan_of(), head=answer(port(6817, *nodes(1, 2, 3, 4)), listeners=[SLURMCTLD]))
    assert flows(found) == [(["slurm_compute"], ["slurm_controller"], ["slurmctld"], True)]


def test_half_of_a_group_stands_for_it_and_fewer_hosts_are_named() -> None:
    assert flows(report(plan_of(), head=answer(port(443, *nodes(1, 2, 3)))))[0][0] == ["slurm_compute"]
    few = report(plan_of(), head=answer(port(443, *nodes(1, 2))))
    assert flows(few)[0][0] == ["hosts_c1"]
    addresses = ["10.0.1.11", "fd00::1:11", "10.0.1.12", "fd00::1:12"]
    assert entries(few)["firewall_endpoints"] == {"hosts_c1": {"cidrs": addresses}}


def test_a_group_of_the_site_is_named_only_if_all_of_it_was_seen() -> None:
    rack = {name: {**HOSTS[name], "groups": ["slurm_compute", "rack1"]} for name in ("c1", "c2")}
    plan = plan_of(hosts={**HOSTS, **rack})
    assert flows(report(plan, head=answer(port(443, *nodes(1)))))[0][0] == ["host_c1"]
    assert flows(report(plan, head=answer(port(443, *nodes(1, 2)))))[0][0] == ["rack1"]


def test_the_database_of_slurm_stays_in_the_cluster() -> None:
    found = report(plan_of(), head=answer(port(3306, "10.0.1.2 1 1", "10.0.1.3 1 1")))
    assert flows(found) == [(["slurm_login"], ["slurm_controller"], ["port_3306_tcp"], True)]


def test_each_cluster_has_its_own_half() -> None:
    hosts = {name: {**own, "cluster": "a" if name in ("head", "c1", "c2") else "b"} for name, own in HOSTS.items()}
    found = report(plan_of(hosts=hosts), head=answer(port(443, *nodes(1, 2))))
    assert flows(found) == [(["slurm_compute"], ["slurm_controller"], ["web"], True)]


def test_targets_of_one_kind_are_together_and_others_are_not() -> None:
    answers = {name: answer(port(7000, "10.0.1.4 1 1")) for name in ("c1", "c2", "c3", "login1", "head")}
    assert flows(report(plan_of(), **answers)) == [
        (["monitoring"], ["slurm_compute", "slurm_controller", "slurm_login"], ["port_7000_tcp"], False)
    ]
    answers["login1"] = answer(port(7000, "10.0.1.1 1 1"))
    assert flows(report(plan_of(), **answers)) == [
        (["monitoring"], ["slurm_compute", "slurm_controller"], ["port_7000_tcp"], False),
        (["slurm_controller"], ["slurm_login"], ["port_7000_tcp"], False),
    ]


def test_both_ends_of_a_connection_count_once() -> None:
    seen = {"head": answer(port(7000, "10.0.1.2 5 9")), "login1": answer(port(7000, "10.0.1.1 6 8", direction="out"))}
    [item] = report(plan_of(), **seen).seen
    assert (item.number, item.last_seconds, item.sources.hosts, item.targets.hosts) == (6, 8, ("login1",), ("head",))


def test_many_ephemeral_ports_are_a_range() -> None:
    ports = [port(number, "10.0.1.1 1 1") for number in (61003, 61877, 62100, 62999)]
    found = report(plan_of(), login1=answer(*ports))
    assert entries(found)["firewall_services"] == {"port_61000_62999_tcp": {"ports": ["61000-62999/tcp"]}}
    held = report(plan_of(), login1=answer(*ports, listeners=[{**SLURMCTLD, "port": 61877, "process": "gridftp"}]))
    assert entries(held)["firewall_services"]["gridftp"] == {"ports": ["61877/tcp"]}


def test_each_target_has_its_own_ephemeral_ports() -> None:
    said = {"login1": answer(port(61003, "10.0.1.1 1 1")), "c1": answer(port(60001, "10.0.1.4 1 1"))}
    assert [(item.targets.hosts, list(map(str, item.ports))) for item in report(plan_of(), **said).seen] == [
        (("c1",), ["60001/tcp"]),
        (("login1",), ["61003/tcp"]),
    ]


def test_many_other_ports_are_no_range() -> None:
    found = report(plan_of(), head=answer(*(port(number, "10.0.1.2 1 1") for number in (5672, 7777, 15672, 25672))))
    assert entries(found)["firewall_services"] == {
        "ports_5672_tcp": {"ports": ["5672/tcp", "7777/tcp", "15672/tcp", "25672/tcp"]}
    }


def test_many_addresses_are_networks() -> None:
    many = port(443, *(f"198.51.100.{number} 1 1" for number in range(0, 80, 2)))
    found = report(plan_of(), head=answer(many, listeners=[NGINX]))
    assert entries(found)["firewall_endpoints"] == {"net_198_51_100_0_24": {"cidrs": ["198.51.100.0/24"]}}


def test_an_address_has_the_name_of_the_smallest_endpoint() -> None:
    assert flows(report(plan_of(), head=answer(port(443, "10.9.3.4 1 1"), listeners=[NGINX])))[0][0] == ["users"]


def test_records_that_the_port_file_allows_now_are_counted() -> None:
    found = report(plan_of(), login1=answer(port(443, "10.9.3.4 1 1", "192.0.2.9 1 1"), listeners=[NGINX]))
    assert (found.allowed, [item.sources.addresses for item in found.seen]) == (1, [("192.0.2.9",)])


def test_a_scan_is_counted_and_not_proposed() -> None:
    scanned = [port(number, "192.0.2.9 2 1", "10.0.1.2 1 1") for number in (23, 80, 443, 8080)]
    published = [{"protocol": "tcp", "first": 8000, "last": 8100, "by": "Docker"}]
    found = report(plan_of(), head=answer(*scanned, listeners=[NGINX], published=published))
    by_strangers = [(list(map(str, item.ports)), item.listeners) for item in found.seen if item.sources.addresses]
    assert by_strangers == [(["443/tcp"], ("nginx (nginx.service)",)), (["8080/tcp"], ("published by Docker",))]
    assert len([item for item in found.seen if not item.sources.addresses]) == 1
    assert found.notes[1:] == [
        "Packets from outside the inventory to ports that nobody holds, such as scans: head (4 packets)."
    ]


def test_containers_open_connections_for_their_host() -> None:
    records = ("10.88.0.3 10.0.1.1 4 9", "10.0.1.1 10.88.0.3 2 9")
    found = report(
        plan_of(), login1=answer(port(7000, *records, direction="forward"), container_networks=["10.88.0.0/16"])
    )
    assert flows(found) == [(["slurm_login"], ["slurm_controller"], ["port_7000_tcp"], False)]
    assert found.notes[1:] == [
        "Packets that others routed straight to containers, which no flow allows; publish the ports: "
        "login1 (2 packets)."
    ]


def test_the_report_says_what_it_does_not_know() -> None:
    unrecorded = {"in": 7, "out": 1, "forward": 0}
    answers = {
        "head": answer(unrecorded=unrecorded, left_out=3),
        "mon": answer(seconds=None),
        "c1": answer(port(1, "10.0.0.256 1 1")),
        "c2": answer(seconds=30),
    }
    found = report_of(
        plan_of(), {name: recorded_of(said) for name, said in answers.items()}, {"c3": "it was not asked"}
    )
    assert lines(found)[3:] == [
        "In observe mode: 2 hosts, for 30 seconds or longer (c2).",
        "Not in observe mode, so nothing is known: mon. Set firewall_mode: observe.",
        "Packets that did not fit into the records of their host: head (8).",
        "Records that were left out: head (3).",
        "Nothing is known of c1: peers: got '10.0.0.256', expected addresses.",
        "Nothing is known of c3: it was not asked.",
    ]


@pytest.mark.parametrize(
    "change,text",
    [
        ({"ports": None}, "ports: got None, expected a list"),
        (
            {"ports": [port(1, "10.0.0.1 1")]},
            "peers: got '10.0.0.1 1', expected 3 words: addresses, packets and seconds",
        ),
        ({"ports": [port(1, "10.0.0.1 -1 1")]}, "peers: got"),
        ({"ports": [port(1, "10.0.0.1 x 1")]}, "peers: got"),
        ({"ports": [port(1, "")]}, "peers: got ''"),
        ({"ports": [{**port(1), "peers": 7}]}, "peers: got 7, expected text"),
        ({"ports": [port(1, "10.0.0.1 1 1", direction="up")]}, "direction: got 'up'"),
        ({"ports": [port(1, "10.0.0.1 1 1", direction="forward")]}, "expected 4 words"),
        ({"seconds": "x"}, "seconds: got 'x'"),
        ({"container_networks": ["x"]}, "container_networks: got 'x', expected networks"),
        ({"unrecorded": 3}, "unrecorded: got 3, expected a dictionary"),
        ({"listeners": "x"}, "listeners: got 'x'"),
        ({"published": "x"}, "published: got 'x'"),
        ({"problems": "x"}, "problems: got 'x'"),
    ],
)
def test_an_answer_of_another_form_is_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        recorded_of({**answer(), **change})


@pytest.mark.parametrize("seconds,text", [(0, "0 seconds"), (61, "1 minute"), (7199, "1 hour"), (200000, "2 days")])
def test_times_are_rounded_down(seconds: int, text: str) -> None:
    assert duration(seconds) == text


# ---- the next report is empty

MANAGED = [name for name in HOSTS if name != "desk"]
ADDRESSES = {name: own["addresses"] for name, own in HOSTS.items()}
STRANGERS = ["192.0.2.77", "10.9.1.1", "10.9.1.2", "fd09::9", "198.51.100.1"]
PEERS = [*STRANGERS, *(address for own in ADDRESSES.values() for address in own)]
RECORDS = st.tuples(
    st.sampled_from(MANAGED),
    st.sampled_from(["in", "out"]),
    st.sampled_from(PEERS),
    st.sampled_from(["tcp", "udp"]),
    st.sampled_from([443, 6817, 8649, 9100, 40001, 40002, 40003, 40004]),
)


@settings(deadline=None)
@given(st.lists(RECORDS, max_size=30), st.sampled_from([1, 2]))
def test_with_the_proposed_entries_the_next_report_is_empty(seen: list[tuple[Any, ...]], clusters: int) -> None:
    hosts = {name: {**own, "cluster": f"c{sum(map(ord, name)) % clusters}"} for name, own in HOSTS.items()}
    answers: dict[str, list[dict[str, Any]]] = {}
    for name, direction, peer, protocol, number in seen:
        answers.setdefault(name, []).append(port(number, f"{peer} 1 1", direction=direction, protocol=protocol))
        # What one managed host opens arrives at the other one.
        own = next(address for address in ADDRESSES[name] if (":" in address) == (":" in peer))
        other = next((other for other in MANAGED if peer in ADDRESSES[other]), "")
        turned = "in" if direction == "out" else "out"
        if other:
            answers.setdefault(other, []).append(port(number, f"{own} 1 1", direction=turned, protocol=protocol))
    held = [{**NGINX, "port": number, "protocol": protocol} for number in (443, 8649) for protocol in ("tcp", "udp")]
    said = {name: answer(*ports, listeners=held) for name, ports in answers.items()}
    first = report(plan_of(hosts=hosts), **said)
    proposed = entries(first)
    site = {name: with_entries(SITE[name], proposed.get(f"firewall_{name}", {})) for name in SITE}
    rest = report(plan_of(site, hosts), **said).seen
    # Only what lint objects to is still there: the service of a cluster, from others.
    assert {str(ports) for item in rest for ports in item.ports} <= ({"6817/tcp"} if first.left_out else set())


def with_entries(own: Mapping[str, Any], proposed: Mapping[str, Any]) -> dict[str, Any]:
    return {key: {**own.get(key, {}), **proposed.get(key, {})} for key in (*own, *proposed)}


def test_forged_packets_keep_no_flow_from_being_proposed() -> None:
    forged = ("224.0.0.1", "240.0.0.1", "127.0.0.1", "::1", "::", "::ffff:10.0.1.11", "ff02::1")
    records = [f"{address} 2 1" for address in forged]
    found = report(plan_of(), head=answer(port(8649, *nodes(1, 2, 3, 4, 5), *records, protocol="udp")))
    assert flows(found) == [(["slurm_compute"], ["slurm_controller"], ["port_8649_udp"], False)]
    assert "Packets from addresses that no host can have, which are forged: head (14 packets)." in lines(found)


def test_an_address_with_an_interface_is_invalid_and_only_this_host_is_unknown() -> None:
    said = {"head": answer(port(22, "fe80::1%eth0 1 1")), "c1": answer(port(9100, "10.0.1.4 1 1"))}
    found = report(plan_of(), **said)
    assert entries(found) == {"firewall_flows": {"metrics": {"enabled": True}}}
    assert "Nothing is known of head: peers: got 'fe80::1%eth0', expected addresses." in lines(found)
