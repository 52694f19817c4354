# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the choice of connections and their expectations."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import (
    MOST,
    Expectation,
    Expected,
    Skipped,
    expected_of,
    probed_ports,
    selected,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.tests.support.probed_site import HOSTS, plan_of
from ansible_collections.hpc.ports.tests.support.sites import accepts, make_plan, opens


def expected(hosts: dict[str, dict[str, Any]] | None = None, query: str = "", **flows: Any) -> Expected:
    plan = plan_of(hosts, flows)
    return expected_of(plan, list(plan.inventory.hosts), query)


def changed(name: str, **values: Any) -> dict[str, dict[str, Any]]:
    return {**HOSTS, name: {**HOSTS[name], **values}}


def pairs(found: Expected) -> set[tuple[str, str]]:
    return {(item.source, item.target) for item in found.expectations}


def one(found: Expected, source: str, target: str, port: int, address: str = "") -> Expectation:
    [item] = [
        item
        for item in found.expectations
        if (item.source, item.target, item.port) == (source, target, port) and item.address.startswith(address)
    ]
    return item


def test_published_ports_of_a_host_are_tested_too() -> None:
    plan = plan_of()
    published = {"ctl": ["7070/tcp", "443/tcp"], "stranger": ["81/tcp"]}
    plain, more = (
        expected_of(plan, list(plan.inventory.hosts), published=ports).expectations for ports in ({}, published)
    )
    added = [item for item in more if item not in plain]
    assert len(more) == len(set(more))
    assert {(item.target, item.port, item.protocol, item.expected) for item in added} == {
        ("ctl", 7070, "tcp", "filtered")
    }
    assert {item.source for item in added} == {"n1", "mon", "laptop", "stranger"}
    few = expected_of(plan, list(plan.inventory.hosts), most=1, published=published).expectations
    assert {item.source for item in few if item.port == 7070} == {"n1", "mon", "laptop", "stranger"}


def test_a_published_port_is_tried_from_those_who_may_and_those_who_may_not() -> None:
    """The policy decides at this port, as at one where a process of the host listens."""
    plan = plan_of()
    found = expected_of(plan, list(plan.inventory.hosts), published={"n1": ["7070/tcp"]}).expectations
    tried = {item.source: item.expected for item in found if (item.target, item.port) == ("n1", 7070)}
    assert len(tried) == 5 and set(tried.values()) == {"open", "filtered"}
    for source, verdict in tried.items():
        address = HOSTS[source]["addresses"][0]
        assert accepts(plan, "n1", address, 7070) == (verdict == "open"), source


def test_the_number_of_published_ports_is_limited() -> None:
    plan = plan_of()
    ports = [f"{port}/{protocol}" for protocol in ("tcp", "udp") for port in range(1, 65536)]
    found = expected_of(plan, list(plan.inventory.hosts), published={"ctl": [*ports, *ports]})
    assert len(found.expectations) < 5_000
    assert Skipped("", "", 130_570, "ctl publishes 131070 ports; 500 of them are tested.") in found.skipped


# ---- who


def test_each_managed_host_is_a_target_and_one_host_of_each_class_a_source() -> None:
    assert pairs(expected()) == {
        ("n1", "ctl"),
        ("mon", "ctl"),
        ("laptop", "ctl"),
        ("stranger", "ctl"),
        ("ctl", "mon"),
        ("n2", "mon"),
        ("laptop", "mon"),
        ("stranger", "mon"),
        ("ctl", "n1"),
        ("n2", "n1"),
        ("mon", "n1"),
        ("laptop", "n1"),
        ("stranger", "n1"),
        ("ctl", "n2"),
        ("n3", "n2"),
        ("mon", "n2"),
        ("laptop", "n2"),
        ("stranger", "n2"),
        ("ctl", "n3"),
        ("n1", "n3"),
        ("mon", "n3"),
        ("laptop", "n3"),
        ("stranger", "n3"),
    }


def test_the_members_of_a_class_share_the_probes() -> None:
    nodes = {f"n{number}": {"groups": ["slurm_compute"], "addresses": [f"10.1.0.{number}"]} for number in range(1, 11)}
    found = pairs(expected({"mon": HOSTS["mon"], **nodes}))
    sources = [source for source, target in found if target in nodes and source in nodes]
    assert len(sources) == 10
    assert max(map(sources.count, sources)) <= 2


def test_no_host_probes_itself() -> None:
    assert not {pair for pair in pairs(expected()) if pair[0] == pair[1]}
    assert ("mon", "mon") not in pairs(expected())


@pytest.mark.parametrize(
    "values",
    [
        {"egress": "restricted"},
        {"mode": "observe"},
        {"cluster": "beta"},
        {"addresses": ["198.51.100.9"]},
        {"addresses": ["10.1.0.2"]},
        {"groups": ["slurm_compute", "monitoring"]},
    ],
)
def test_a_host_that_differs_is_a_class_of_its_own(values: dict[str, Any]) -> None:
    """It has another policy, cluster, network, address family or group."""
    found = pairs(expected(changed("n2", **values)))
    assert {("n2", "ctl"), ("n2", "n1"), ("n2", "n3")} <= found
    assert {("n1", "n3"), ("n3", "n1")} <= found


@pytest.mark.parametrize("most", [MOST, 100])
def test_an_address_in_an_isolated_network_is_tested_from_inside(most: int) -> None:
    inside = {
        name: {**HOSTS[name], "addresses": [*HOSTS[name]["addresses"], address]}
        for name, address in (("ctl", "192.168.50.10"), ("n1", "192.168.50.1"), ("n2", "192.168.50.2"))
    }
    alone = {"groups": ["slurm_compute"], "addresses": ["192.168.50.9"]}
    plan = plan_of({**HOSTS, **inside, "alone": alone}, firewall_isolated_networks=["192.168.50.0/24"])
    found = expected_of(plan, list(plan.inventory.hosts), most=most)
    to_fabric = {(item.source, item.target) for item in found.expectations if item.address.startswith("192.168.")}
    assert {source for source, target in to_fabric if target == "ctl"} <= {"n1", "n2", "alone"}
    assert {source for source, target in to_fabric} <= {*inside, "alone"}
    assert ("alone", "ctl") in to_fabric
    assert not [item for item in found.expectations if item.source == "alone" and "192.168." not in item.address]
    reasons = {item.reason for item in found.skipped}
    if most == MOST:
        assert {
            "192.168.50.10 is in the isolated network 192.168.50.0/24, where mon has no address.",
            "alone has addresses in the isolated network 192.168.50.0/24 only, and 10.2.0.1 is in another.",
        } <= reasons


def test_only_hosts_of_the_play_take_part() -> None:
    plan = plan_of()
    assert pairs(expected_of(plan, ["n3", "stranger"])) == {("stranger", "n3")}
    assert expected_of(plan, ["n3"]).expectations == []
    assert expected_of(plan, ["stranger"]).expectations == []


def test_unmanaged_sources_are_listed() -> None:
    assert expected().unmanaged == ["laptop", "stranger"]
    assert expected_of(plan_of(), ["n1", "n2"]).unmanaged == []
    assert expected(query="[?source=='laptop']").unmanaged == ["laptop"]


# ---- where


def test_both_families_where_the_source_has_an_address_of_that_family() -> None:
    found = {(item.source, item.address) for item in expected().expectations if item.target == "n1"}
    assert found == {
        ("ctl", "10.1.0.1"),
        ("ctl", "fd01::1"),
        ("n2", "10.1.0.1"),
        ("n2", "fd01::1"),
        ("mon", "10.1.0.1"),
        ("laptop", "10.1.0.1"),
        ("stranger", "10.1.0.1"),
    }


def test_probed_ports() -> None:
    plan = plan_of()
    ports = {host: probed_ports(plan, parse_policy(plan.policies[plan.hosts[host]])) for host in ("ctl", "n1")}
    named = {("tcp", 22), ("tcp", 443), ("udp", 9090), ("tcp", 15002), ("tcp", 15005)}
    nameless = {("tcp", 1), ("tcp", 444), ("tcp", 65535), ("udp", 1), ("udp", 9091), ("udp", 65535)}
    assert set(ports["ctl"]) == named | nameless
    # `user_ports` yields on a node to what is claimed there, which is 9090/udp and 22/tcp: one segment is left.
    assert set(ports["n1"]) == named | nameless | {("tcp", 1023), ("tcp", 1024), ("tcp", 65535)}


def test_edges_are_next_to_the_ports_that_a_broad_service_excludes() -> None:
    plan = plan_of(
        flows={
            "agents": {"from": ["control_plane"], "to": ["slurm_compute"], "services": ["agents"], "need": "required"}
        }
    )
    edges = {1023, 1024, 15001, 15002, 15005, 15006, 65535}
    assert {("tcp", port) for port in edges} <= set(probed_ports(plan, parse_policy(plan.policies[plan.hosts["n1"]])))
    assert one(expected_of(plan, ["n1", "n2"]), "n2", "n1", 15001, "10").expected == "open"
    assert one(expected_of(plan, ["n1", "n2"]), "n2", "n1", 15002, "10").expected == "filtered"
    assert one(expected_of(plan, ["n1", "n2"]), "n2", "n1", 15006, "10").expected == "open"


def test_everything_is_tested_at_edges_of_tcp_and_udp() -> None:
    plan = make_plan(
        {
            "services": {"all": {"ports": ["any/ip"]}, "web": {"ports": ["443/tcp"]}, "vrrp": {"ports": ["112/ip"]}},
            "flows": {
                "all": {"from": ["control_plane"], "to": ["slurm_compute"], "services": ["all"], "need": "required"}
            },
        },
        {
            "ctl": {"groups": ["control_plane"], "addresses": ["10.0.0.1"]},
            "n1": {"groups": ["slurm_compute"], "addresses": ["10.0.0.2"]},
        },
    )
    found = expected_of(plan, ["ctl", "n1"])
    tested = {(item.protocol, item.port) for item in found.expectations if (item.target, item.flow) == ("n1", "all")}
    assert {("tcp", 1), ("tcp", 65535), ("udp", 1), ("udp", 65535)} <= tested and ("tcp", 443) in tested
    assert found.skipped[-1].reason == "No ports to probe: all (any/ip), vrrp (112/ip)."


def test_ip_protocols_are_skipped_and_reported() -> None:
    found = expected()
    assert found.skipped == [Skipped("", "", 1, "No ports to probe: vrrp (112/ip).")]
    assert {item.protocol for item in found.expectations} == {"tcp", "udp"}


# ---- what


def test_a_flow_opens_and_is_named() -> None:
    assert one(expected(), "laptop", "ctl", 443) == Expectation(
        "laptop", "ctl", "10.0.0.1", "tcp", 443, "open", "https", ""
    )
    assert one(expected(), "stranger", "ctl", 443) == Expectation(
        "stranger", "ctl", "10.0.0.1", "tcp", 443, "filtered", "", "target"
    )


def test_both_policies_count() -> None:
    """The egress of the source allows the agents but not web, and the target does not allow web either."""
    flow = {"from": ["monitoring"], "to": ["control_plane"], "services": ["agents"], "need": "required"}
    found = expected(changed("mon", egress="restricted"), agents=flow)
    assert (one(found, "mon", "ctl", 15002).expected, one(found, "mon", "ctl", 15002).flow) == ("open", "agents")
    assert (one(found, "mon", "ctl", 443).expected, one(found, "mon", "ctl", 443).denied_by) == ("filtered", "target")


def test_the_source_denies_what_the_target_would_allow() -> None:
    hosts = changed("mon", egress="restricted", addresses=["198.51.100.9"])
    assert one(expected(hosts), "mon", "ctl", 443) == Expectation(
        "mon", "ctl", "10.0.0.1", "tcp", 443, "filtered", "", "source"
    )


def test_observe_mode_allows_everything_and_names_no_flow() -> None:
    found = expected(changed("ctl", mode="observe"))
    assert one(found, "stranger", "ctl", 443) == Expectation("stranger", "ctl", "10.0.0.1", "tcp", 443, "open", "", "")
    assert one(found, "laptop", "ctl", 443).flow == "https"
    assert {item.expected for item in found.expectations if item.target == "ctl"} == {"open"}


def test_trusted_interfaces_are_not_assumed() -> None:
    assert one(expected(changed("ctl", trusted_interfaces=["eth*"])), "stranger", "ctl", 443).expected == "filtered"


def test_expectations_match_the_policies() -> None:
    plan = plan_of(changed("n1", egress="restricted"))
    found = expected_of(plan, list(plan.inventory.hosts)).expectations
    assert {item.expected for item in found} == {"open", "filtered"}
    for item in found:
        peer = next(address for address in HOSTS[item.source]["addresses"] if (":" in address) == (":" in item.address))
        passes = accepts(plan, item.target, peer, item.port, item.protocol) and (
            item.source not in plan.hosts or opens(plan, item.source, item.address, item.port, item.protocol)
        )
        assert (item.expected == "open") == passes


# ---- where nothing can be expected


def test_source_addresses_with_the_same_result_are_not_skipped() -> None:
    found = expected(changed("stranger", addresses=["203.0.113.7", "203.0.113.8"]))
    assert one(found, "stranger", "ctl", 443).expected == "filtered"


def test_source_addresses_with_different_results_are_skipped() -> None:
    found = expected(changed("stranger", addresses=["198.51.100.8", "203.0.113.7"]))
    assert (
        Skipped(
            "stranger",
            "ctl",
            1,
            (
                "ctl would judge the addresses 198.51.100.8, 203.0.113.7 of stranger differently; set "
                "firewall_source_addresses to the one that it comes from."
            ),
        )
        in found.skipped
    )
    assert not [item for item in found.expectations if item[:2] == ("stranger", "ctl") and item.port == 443]
    assert one(found, "stranger", "ctl", 22).expected == "filtered"


def test_source_addresses_count_for_the_source() -> None:
    hosts = changed("stranger", source_addresses=["198.51.100.8"])
    del hosts["laptop"]
    found = expected(hosts)
    assert one(found, "stranger", "ctl", 443).expected == "open"


def test_an_unmanaged_host_whose_name_does_not_resolve_is_skipped() -> None:
    found = expected(changed("stranger", addresses=["nowhere.example.org"]))
    assert (
        Skipped("stranger", "ctl", 1, "stranger has no address that resolves; set firewall_source_addresses.")
        in found.skipped
    )
    assert "stranger" not in {item.source for item in found.expectations}


def test_two_names_of_one_machine_are_skipped() -> None:
    hosts = changed("stranger", addresses=["10.0.0.1"], shared_addresses=["10.0.0.1"])
    hosts["ctl"] = {**hosts["ctl"], "shared_addresses": ["10.0.0.1"]}
    found = expected(hosts)
    assert Skipped("stranger", "ctl", 1, "stranger and ctl have an address in common.") in found.skipped
    assert ("stranger", "ctl") not in pairs(found)


# ---- selecting


@pytest.mark.parametrize(
    "query,wanted",
    [
        ("[?target=='ctl' && port==`443`]", {("ctl", 443)}),
        ("[?flow=='https']", {("ctl", 443)}),
        ("[?denied_by=='source']", set()),
        ("[?target=='nobody']", set()),
        ("[0]|[@]", {("ctl", 1)}),
    ],
)
def test_a_query_selects(query: str, wanted: set[tuple[str, int]]) -> None:
    assert {(item.target, item.port) for item in expected(query=query).expectations} == wanted


@pytest.mark.parametrize(
    "query,advice",
    [
        ("[].port", "The expression returns something else."),
        ("length(@)", "The expression returns something else."),
        ("foo", "The expression returns something else."),
        ("[].{source: source}", "The expression returns something else."),
        (
            "[].{source: 'x', target: target, address: address, protocol: protocol, port: port, expected: expected}",
            "The expression returns something else.",
        ),
        ("[?x", 'Invalid jmespath expression: Incomplete expression:\n"[?x"\n    ^'),
    ],
)
def test_a_query_that_selects_no_expectations_is_refused(query: str, advice: str) -> None:
    with pytest.raises(PortFileError) as failed:
        expected(query=query)
    assert str(failed.value) == (
        f"Invalid verify_query: got {query!r}, expected a JMESPath expression that selects "
        f"expectations, such as [?target=='ctl1']. {advice}"
    )


def test_an_empty_query_selects_all() -> None:
    found = expected().expectations
    assert selected(found, "") is found
    assert selected(found, "[]") == found
