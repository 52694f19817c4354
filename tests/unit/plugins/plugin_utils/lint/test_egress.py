# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts with restricted egress need and may not open."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.tests.support.linted import HOSTS, found, plan_of

RESTRICTED = {**HOSTS, **{name: {**HOSTS[name], "egress": "restricted"} for name in ("node", "files")}}
SERVERS = {"servers": {"cidrs": ["10.8.0.1/32"]}}
SERVICES = {
    "dns": {"ports": ["53/tcp", "53/udp"]},
    "ntp": {"ports": ["123/udp"]},
    "ldap": {"ports": ["389/tcp", "636/tcp"]},
}
DNS, NTP = "name servers (53/udp, 53/tcp)", "time servers (123/udp)"
LDAP = "a directory (389/tcp, 636/tcp, 88/tcp, 88/udp)"


def flow_of(*services: str, **changes: Any) -> dict[str, Any]:
    return {"from": ["slurm_compute", "nfs_server"], "to": ["servers"], "services": [*services], **changes}


def missing(flows: dict[str, Any], **others: Any) -> list[tuple[str, str, str]]:
    settings = {"hosts": RESTRICTED, "endpoints": SERVERS, "services": SERVICES, **others}
    return found("restricted-egress", plan_of(flows, **settings))


def text(what: str, to_do: str = "write a flow to them", hosts: str = "host files and 1 more") -> str:
    return (
        f"No flow opens the way out from {hosts}, whose egress is restricted, to {what}. If the hosts use any, {to_do}."
    )


def test_hosts_without_name_servers_time_and_directory_are_one_finding() -> None:
    assert missing({}) == [("warning", "firewall_flows", text(f"{DNS}, {NTP} and {LDAP}"))]


def test_hosts_that_lack_one_of_them() -> None:
    assert missing({"all": flow_of("dns", "ntp", "ldap")}) == []
    assert missing({"names": flow_of("dns"), "users": flow_of("ldap")}) == [("warning", "firewall_flows", text(NTP))]
    # A directory alone is a note.
    assert missing({"basics": flow_of("dns", "ntp")}) == [("note", "firewall_flows", text(LDAP))]


def test_the_flow_to_change_is_named_where_there_is_one() -> None:
    off = flow_of("dns", enabled=False)
    empty = flow_of("ntp", to=["ntp_servers"], need="conditional")
    others = flow_of("ldap", **{"from": ["workbench"]})
    ends = {**SERVERS, "ntp_servers": {"cidrs": []}}
    assert missing({"dns": off, "ntp": empty, "directory": others}, endpoints=ends) == [
        (
            "warning",
            "firewall_flows.dns",
            text(
                f"{DNS}, {NTP} and {LDAP}",
                "turn on firewall_flows.dns, write their addresses into firewall_endpoints.ntp_servers and add a group "
                "of the hosts to firewall_flows.directory.from",
            ),
        )
    ]
    # A flow that is on by force, without addresses.
    forced = {"ntp": {**empty, "need": "recommended"}, "f": flow_of("dns", "ldap")}
    assert [item[2].partition("use any, ")[2] for item in missing(forced, endpoints=ends)] == [
        "write their addresses into firewall_endpoints.ntp_servers."
    ]


def test_hosts_that_lack_different_servers_are_told_apart() -> None:
    flows = {"all": flow_of("dns", "ldap"), "time": flow_of("ntp", **{"from": ["slurm_compute"]})}
    assert [item[2] for item in missing(flows)] == [text(NTP, hosts="host files")]


@pytest.mark.parametrize(
    "flows",
    [
        {"all": flow_of("dns", "ntp", "ldap", enabled=False)},
        {"all": flow_of("dns", "ntp", "ldap", **{"from": ["workbench"]})},
        {"all": flow_of("dns", "ntp", "ldap", to=["none"])},
    ],
)
def test_flows_that_are_off_or_empty_or_of_others_do_not_count(flows: dict[str, Any]) -> None:
    endpoints = {**SERVERS, "none": {"cidrs": []}}
    assert len(missing(flows, endpoints=endpoints)) == 1


def test_open_egress_lacks_nothing() -> None:
    assert missing({}, hosts=HOSTS) == []


def test_broad_or_other_ports_under_another_name_count_by_their_ports() -> None:
    services = {"low": {"ports": ["1-1023/tcp", "1-1023/udp"]}}
    assert missing({"f": flow_of("low")}, services=services) == []


# ---- Flows from anywhere --------------------------------------------------------------------------------------------

HTTPS = {"from": ["anywhere"], "to": ["control_plane"]}
START = (
    "Does not open the way out from host files and 1 more, whose egress is restricted, because only a flow with these "
    "hosts in from does. If they use it, "
)
LINE = "write firewall_flows: {platform_clients: {enabled: true}}"
OWN = "write a flow with a group of these hosts in from"


def closed(flows: dict[str, Any], **others: Any) -> list[tuple[str, str, str]]:
    return found("anywhere-egress", plan_of(flows, **{"hosts": RESTRICTED, **others}))


def test_a_flow_from_anywhere_opens_no_way_out() -> None:
    assert closed({"https": HTTPS}) == [("note", "firewall_flows.https", f"{START}{OWN}.")]
    assert closed({"https": HTTPS}, hosts=HOSTS) == []
    assert closed({"https": {**HTTPS, "enabled": False}}) == []
    assert closed({"https": {**HTTPS, "from": ["users"]}}, endpoints={"users": {"cidrs": ["198.51.0.0/16"]}}) == []
    assert closed({"https": {**HTTPS, "to": ["far"]}}, endpoints={"far": {"cidrs": ["203.0.113.0/24"]}}) == []


def test_all_flows_from_anywhere_to_the_same_hosts_are_one_finding() -> None:
    flows = {"a_http": {**HTTPS, "need": "optional", "enabled": True}, "https": {**HTTPS, "need": "required"}}
    assert [item[1] for item in closed(flows)] == ["firewall_flows.https"]


def test_flows_from_anywhere_to_other_hosts_are_told_together() -> None:
    flows = {name: {**HTTPS, "to": [group]} for name, group in (("a", "control_plane"), ("b", "workbench"))}
    together = START.replace("open the", "open, nor does flow b, the")
    assert closed(flows) == [("note", "firewall_flows.a", f"{together}{OWN}.")]


def test_a_host_with_one_of_the_ports_is_not_cut_off() -> None:
    services = {"http": {"ports": ["80/tcp"]}}
    flows = {"https": HTTPS, "http": {**HTTPS, "services": ["http"]}}
    tunnel = {"from": ["slurm_compute"], "to": ["control_plane"]}
    texts = [item[2] for item in closed({**flows, "tunnel": tunnel}, services=services)]
    assert [item.partition(",")[0] for item in texts] == ["Does not open the way out from host files"]
    both = {**tunnel, "from": ["slurm_compute", "nfs_server"]}
    assert closed({**flows, "tunnel": both}, services=services) == []
    # Another target, or another port.
    assert len(closed({**flows, "tunnel": {**both, "to": ["monitoring"]}}, services=services)) == 1
    assert len(closed({**flows, "tunnel": {**both, "services": ["ssh"]}}, services=services)) == 1


@pytest.mark.parametrize(("network", "is_open"), [("10.0.0.0/24", True), ("10.0.0.2/32", True), ("10.0.0.4/31", False)])
def test_a_way_out_to_a_network_around_the_targets_or_to_one_of_them(network: str, is_open: bool) -> None:
    hosts = {**HOSTS, "ctl": {**HOSTS["ctl"], "addresses": ["10.0.0.2", "10.0.0.3"]}, "node": RESTRICTED["node"]}
    tunnel = {"from": ["slurm_compute"], "to": ["far"]}
    ends = {"far": {"cidrs": [network]}}
    assert (closed({"https": HTTPS, "tunnel": tunnel}, hosts=hosts, endpoints=ends) == []) is is_open


def test_a_target_needs_no_way_to_itself() -> None:
    hosts = {**HOSTS, "ctl": {**HOSTS["ctl"], "egress": "restricted"}}
    assert closed({"https": HTTPS}, hosts=hosts) == []


def test_the_line_to_write() -> None:
    clients = {"from": ["nfs_server", "slurm_compute"], "to": ["control_plane"], "enabled": False}
    assert [item[2] for item in closed({"https": HTTPS, "platform_clients": clients})] == [f"{START}{LINE}."]
    some = {**clients, "from": ["nfs_server"]}
    assert [item[2] for item in closed({"https": HTTPS, "platform_clients": some})] == [
        f"{START}{LINE}, and for host node {OWN}."
    ]
    assert closed({"https": HTTPS, "platform_clients": {**clients, "enabled": True}}) == []
    elsewhere = {**clients, "to": ["workbench"]}
    assert [item[2] for item in closed({"https": HTTPS, "platform_clients": elsewhere})] == [f"{START}{OWN}."]


def test_link_local_addresses_are_not_anywhere() -> None:
    assert closed({"vrrp": {**HTTPS, "from": ["link"]}}, endpoints={"link": {"cidrs": ["fe80::/10"]}}) == []
