# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drafts: as a port file they accept exactly the regions that they were made of."""

from __future__ import annotations

from itertools import product

import pytest
import yaml
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING, PortRange
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.port_file import drafted
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.regions import Decision, Region, accepted, anywhere
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import load_catalogue
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.merge import shipped_port_file
from ansible_collections.hpc.ports.tests.support.sites import make_catalogue, make_plan
from hypothesis import event, given
from hypothesis import strategies as st
from netaddr import IPSet

SITE = {
    "services": {
        "web": {"ports": ["80/tcp", "443/tcp"]},
        "dns": {"ports": ["53/tcp", "53/udp"]},
        "https": {"ports": ["443/tcp"]},
        "all_high": {"ports": ["1024-65535/tcp"], "broad": True},
    },
    "endpoints": {"known": {"cidrs": ["10.0.0.0/30"]}, "everyone": {"cidrs": ["0.0.0.0/0", "::/0"]}},
}
CATALOGUE = make_catalogue(SITE)
HOST = {"ctl": {"groups": ["control_plane"], "addresses": ["192.0.2.50"]}}
NETWORKS = st.sampled_from(
    ["10.0.0.0/30", "10.0.0.1", "10.0.0.4/31", "10.0.0.0/28", "0.0.0.0/0", "::/0", "fd00::/126", "fd00::2", "fd00::/64"]
)
PORTS = st.sampled_from([22, 53, 79, 80, 81, 443, 444, 65535])
RANGES = st.builds(
    lambda protocol, first, last: PortRange(protocol, min(first, last), max(first, last)),
    st.sampled_from(["tcp", "udp"]),
    PORTS,
    PORTS,
)
REGIONS = st.builds(
    lambda networks, ports: Region(IPSet(networks), tuple(ports)),
    st.lists(NETWORKS, min_size=1, max_size=3),
    st.one_of(st.just(EVERYTHING), st.lists(RANGES, min_size=1, max_size=3)),
)
DECISIONS = st.lists(st.builds(Decision, REGIONS, st.sampled_from([True, True, False])), max_size=5)
SOURCES = (
    "10.0.0.0",
    "10.0.0.1",
    "10.0.0.3",
    "10.0.0.4",
    "10.0.0.9",
    "11.0.0.1",
    "fd00::1",
    "fd00::2",
    "fd00::9",
    "2400::1",
)


def first_match(decisions: list[Decision], source: str, protocol: str, port: int) -> bool:
    for region, accepts in decisions:
        if source in region.sources and any(ports.covers(protocol, port) for ports in region.ports):
            return accepts
    return False


@given(DECISIONS)
def test_a_draft_accepts_what_the_first_matching_rule_accepts(decisions: list[Decision]) -> None:
    everything = [
        decision for decision in decisions if decision.region.ports != EVERYTHING or decision.accepts is False
    ]
    draft = drafted(CATALOGUE, accepted(everything), ["control_plane"])
    entries = yaml.safe_load(draft.text()) or {}
    site = {
        name: {**SITE.get(name, {}), **entries.get(f"firewall_{name}", {})}
        for name in ("services", "endpoints", "flows")
    }
    [policy] = map(parse_policy, make_plan(site, HOST).policies.values())
    ports = (*range(21, 24), *range(52, 55), *range(78, 83), *range(442, 446), 65534, 65535)
    for source, protocol, port in product(SOURCES, ("tcp", "udp"), ports):
        expected = first_match(everything, source, protocol, port)
        assert evaluate(policy, Packet("in", protocol, source, port)).passes == expected, (source, protocol, port)
    event(f"{len(draft.flows)} flows, {len(draft.services)} new services, {len(draft.endpoints)} new endpoints")


def ports(*texts: str) -> tuple[PortRange, ...]:
    return tuple(PortRange(text.split("/")[1], *(int(text.split("/")[0]),) * 2) for text in texts)


def test_known_names_are_used_and_the_rest_is_new() -> None:
    regions = [
        Region(IPSet(["10.0.0.0/30"]), ports("80/tcp", "443/tcp", "8649/udp")),
        Region(anywhere(), ports("53/udp", "53/tcp")),
        Region(IPSet(["10.9.0.0/16"]) - IPSet(["10.9.0.13"]), ports("22/tcp")),
    ]
    draft = drafted(CATALOGUE, regions, ["control_plane"])
    assert draft.services == {"port_8649_udp": {"ports": ["8649/udp"]}}
    assert draft.endpoints == {"net_10_9_0_0_16": {"cidrs": ["10.9.0.0/16"], "except": ["10.9.0.13/32"]}}
    assert {name: (flow["from"], flow["services"]) for name, flow in draft.flows.items()} == {
        "imported_dns": (["everyone"], ["dns"]),
        "imported_port_8649_udp": (["known"], ["port_8649_udp", "web"]),
        "imported_ssh": (["net_10_9_0_0_16"], ["ssh"]),
    }


@pytest.mark.parametrize(
    ("targets", "services"),
    [
        (["monitoring"], ["grafana", "internal_api"]),
        (["dashboards"], ["grafana", "internal_api"]),
        (["workbench", "nfs_server"], ["jupyter", "vscode_server"]),
        (["slurm_login"], ["cloud_cacher", "internal_api"]),
    ],
)
def test_of_services_with_the_same_ports_the_one_of_the_groups_of_the_host_is_meant(
    targets: list[str], services: list[str]
) -> None:
    site = {"firewall_endpoints": {"dashboards": {"groups": ["monitoring"]}}}
    catalogue = load_catalogue(shipped_port_file(), site, [*targets, "monitoring"])
    draft = drafted(catalogue, [Region(IPSet(["10.0.0.0/30"]), ports("3000/tcp", "8888/tcp"))], targets)
    assert [flow["services"] for flow in draft.flows.values()] == [services]
    assert draft.services == {}


def test_sources_with_the_same_ports_are_one_flow() -> None:
    ssh = (PortRange("tcp", 22, 22),)
    regions = [Region(IPSet([f"10.9.{number}.1"]), ssh) for number in range(9)] + [Region(IPSet(["10.0.0.0/30"]), ssh)]
    draft = drafted(CATALOGUE, regions, ["control_plane"])
    assert [flow["from"] for flow in draft.flows.values()] == [["known", "nets_10_9_0_1_32"]]
    assert len(draft.endpoints["nets_10_9_0_1_32"]["cidrs"]) == 9


def test_all_addresses_of_both_families_are_one_source() -> None:
    parts = [Region(IPSet([text]), (PortRange("tcp", 22, 22),)) for text in ("0.0.0.0/0", "::/0")]
    assert [flow["from"] for flow in drafted(CATALOGUE, parts, ["control_plane"]).flows.values()] == [["everyone"]]


def test_no_service_is_cut_out_of_a_long_range() -> None:
    ranges = (PortRange("tcp", 22, 22), PortRange("tcp", 60, 90), PortRange("tcp", 400, 9000))
    draft = drafted(CATALOGUE, [Region(IPSet(["10.0.0.0/30"]), ranges)], ["control_plane"])
    assert [service["ports"] for service in draft.services.values()] == [["60-90/tcp", "400-9000/tcp"]]
    assert [flow["services"] for flow in draft.flows.values()] == [["ports_60_90_tcp", "ssh"]]
