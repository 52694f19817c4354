# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of jump hosts: what they open for Ansible's ssh, and, for random sites, that ssh works or a gap is reported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import product
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.expected import expected_of
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.ssh_gaps import (
    ClosedEgress,
    ClosedPort,
    Gaps,
    UnacceptedJumpHost,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.plan_diff import comparison_of
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.reasons import explained
from ansible_collections.hpc.ports.tests.support.sites import CONTROLLER, accepts, make_plan, opens, rules
from hypothesis import event, given
from hypothesis import strategies as st

JUMP: dict[str, Any] = {"groups": ["slurm_login"], "addresses": ["10.0.0.1"], "egress": "restricted"}
NODE: dict[str, Any] = {"groups": ["slurm_compute"], "ansible_host": "10.0.0.2"}
BEHIND = {**NODE, "ansible_ssh_common_args": "-J me@jump"}
# Where Ansible runs, and the jump host.
BOTH = {"controllers": {"cidrs": [f"{CONTROLLER}/32", "10.0.0.1/32"]}}


def plan_of(
    endpoints: dict[str, Any] | None = None,
    services: dict[str, Any] | None = None,
    names: dict[str, list[str]] | None = None,
    **hosts: dict[str, Any],
) -> Plan:
    return make_plan({"endpoints": endpoints or {}, "services": services or {}}, hosts, names)


# ---- what a jump host opens


@pytest.mark.parametrize(
    "text",
    [
        "-J jump",
        "-J me@10.0.0.1",
        "-J 10.0.9.1",
        "-J login.example.org",
        "-o ProxyJump=jump:22",
        "-o ProxyCommand='ssh -W %h:%p me@jump'",
        "-J bastion.example.org,jump",
    ],
)
def test_a_jump_host_may_open_ssh_only_to_the_host_behind_it(text: str) -> None:
    """By its name, an address, its ansible_host or its DNS name. The first of two jump hosts is not managed."""
    names = {"login.example.org": ["10.0.0.1"], "bastion.example.org": ["198.51.100.1"]}
    plan = plan_of(
        names=names,
        jump={**JUMP, "ansible_host": "10.0.9.1"},
        other={**NODE, "ansible_host": "10.0.0.3"},
        n1={**NODE, "ansible_ssh_common_args": text},
    )
    assert rules(plan, "jump", "out") == {"management_ssh": [("22/tcp", "10.0.0.2/32")]}
    assert rules(plan, "n1", "out") == {}


@pytest.mark.parametrize("jump", ["elsewhere", "198.51.100.9"])
def test_a_jump_host_that_is_not_managed_changes_nothing(jump: str) -> None:
    plan = plan_of(
        jump=JUMP,
        elsewhere={"groups": ["desks"], "addresses": ["10.0.0.7"]},
        n1={**NODE, "ansible_ssh_common_args": f"-J {jump}"},
    )
    assert rules(plan, "jump", "out") == {}
    assert (plan.policies, gaps(plan)) == (plan_of(jump=JUMP, n1=NODE).policies, {})


def test_an_inventory_name_precedes_names_and_addresses_of_other_hosts() -> None:
    hosts = {"called": {**JUMP, "addresses": ["10.0.0.3"], "ansible_host": "jump"}, "jump": JUMP, "n1": BEHIND}
    plan = plan_of(**hosts)
    assert (rules(plan, "called", "out"), len(rules(plan, "jump", "out"))) == ({}, 1)


def test_a_managed_host_precedes_others_with_its_address() -> None:
    jump = {**JUMP, "shared_addresses": ["10.0.0.1"]}
    hosts = {"a": {**jump, "groups": ["desks"]}, "jump": jump, "n1": {**NODE, "ansible_ssh_common_args": "-J 10.0.0.1"}}
    assert opens(plan_of(**hosts), "jump", "10.0.0.2", 22)


def test_open_egress_needs_no_rule_for_ssh() -> None:
    plan = plan_of(jump={**JUMP, "egress": "open"}, n1=BEHIND)
    assert plan.policies == plan_of(jump={**JUMP, "egress": "open"}, n1=NODE).policies


def test_other_connections_need_no_rule_for_ssh() -> None:
    plan = plan_of(jump=JUMP, n1={**BEHIND, "ansible_connection": "containers.podman.podman"})
    assert rules(plan, "jump", "out") == {}


def test_a_jump_host_ignores_itself_in_arguments_for_all_hosts() -> None:
    plan = plan_of(jump={**JUMP, "ansible_ssh_common_args": "-J jump"}, n1=BEHIND)
    assert rules(plan, "jump", "out") == {"management_ssh": [("22/tcp", "10.0.0.2/32")]}
    assert [(leg.host, leg.source, leg.target) for leg in plan.legs] == [
        ("jump", "", "jump"),
        ("n1", "", "jump"),
        ("n1", "jump", "n1"),
    ]


@pytest.mark.parametrize("end", ["localhost", "127.0.0.1", "::1"])
@pytest.mark.parametrize("arguments", ["", "-J jump"])
def test_the_local_end_of_a_tunnel_needs_no_rule(end: str, arguments: str) -> None:
    plan = plan_of(
        jump=JUMP,
        n1={
            **NODE,
            "addresses": ["10.0.0.2"],
            "ansible_host": end,
            "ansible_port": 2201,
            "ansible_ssh_common_args": arguments,
        },
    )
    assert (rules(plan, "jump", "out"), gaps(plan)) == ({}, {})


def test_each_jump_host_of_a_chain_opens_ssh_to_the_next() -> None:
    plan = plan_of(
        one={**JUMP, "addresses": ["10.0.0.3"]},
        two={**JUMP, "addresses": ["10.0.0.4", "fd00::4"]},
        n1={**NODE, "ansible_ssh_common_args": "-J one,198.51.100.1:2200,two"},
        n2={**NODE, "ansible_host": "10.0.0.5", "ansible_ssh_common_args": "-J one,two"},
    )
    assert rules(plan, "one", "out") == {
        "management_ssh": [("22/tcp", "10.0.0.4/32 fd00::4/128"), ("2200/tcp", "198.51.100.1/32")]
    }
    assert rules(plan, "two", "out") == {"management_ssh": [("22/tcp", "10.0.0.2/32 10.0.0.5/32")]}


def test_ssh_is_opened_to_the_address_that_ansible_uses() -> None:
    """To an ansible_host that is an address, else to the addresses of the host: a name may differ on the jump host."""
    fabric = {**BEHIND, "addresses": ["10.9.0.2", "fd09::2"]}
    plan = plan_of(jump=JUMP, n1=fabric)
    assert rules(plan, "jump", "out") == {"management_ssh": [("22/tcp", "10.0.0.2/32")]}
    plan = plan_of(jump=JUMP, n1={**fabric, "ansible_host": "n1.internal"})
    assert rules(plan, "jump", "out") == {"management_ssh": [("22/tcp", "10.9.0.2/32 fd09::2/128")]}


def test_a_port_outside_the_service_gets_a_rule_of_its_own() -> None:
    hosts = {"jump": JUMP, "n1": {**BEHIND, "ansible_port": 2222}, "n2": {**BEHIND, "ansible_host": "10.0.0.3"}}
    plan = plan_of(**hosts)
    assert rules(plan, "jump", "out") == {"management_ssh": [("22/tcp", "10.0.0.3/32"), ("2222/tcp", "10.0.0.2/32")]}
    plan = plan_of(services={"ssh": {"ports": ["22/tcp", "2222/tcp"]}}, **hosts)
    assert rules(plan, "jump", "out") == {"management_ssh": [("22/tcp 2222/tcp", "10.0.0.2/31")]}


# ---- a managed host where Ansible may run


@pytest.mark.parametrize(
    ("cidrs", "is_one"),
    [
        (["10.0.0.0/28"], True),
        (["10.0.0.1/32"], True),
        (["192.0.2.7/32"], False),
        (["10.0.0.8/29"], False),
        (["0.0.0.0/0", "::/0"], False),
        (["0.0.0.0/0", "10.0.0.0/28"], True),
    ],
)
def test_a_host_in_a_network_of_the_controllers_may_open_ssh_to_all(cidrs: list[str], is_one: bool) -> None:
    plan = plan_of({"controllers": {"cidrs": cidrs}}, head=JUMP, n1=NODE)
    assert opens(plan, "head", "10.0.0.2", 22) is is_one
    assert not opens(plan, "head", "10.0.0.2", 23)
    assert not opens(plan, "head", "10.0.0.3", 22)


def test_the_source_address_of_a_controller_counts() -> None:
    away = {**JUMP, "source_addresses": ["192.0.2.7"]}
    assert not opens(plan_of({"controllers": {"cidrs": ["10.0.0.0/28"]}}, head=away, n1=NODE), "head", "10.0.0.2", 22)
    assert opens(plan_of({"controllers": {"cidrs": ["192.0.2.0/28"]}}, head=away, n1=NODE), "head", "10.0.0.2", 22)


def test_controllers_are_unused_if_management_ssh_has_other_sources() -> None:
    flow = {"management_ssh": {"from": ["admins"]}}
    plan = make_plan(
        {
            "endpoints": {"admins": {"cidrs": ["192.0.2.0/24"]}, "controllers": {"cidrs": ["10.0.0.0/28"]}},
            "flows": flow,
        },
        {"head": JUMP, "n1": NODE},
    )
    assert not opens(plan, "head", "10.0.0.2", 22)


def test_a_jump_host_that_is_a_controller_has_one_rule() -> None:
    plan = plan_of(BOTH, jump=JUMP, n1=BEHIND, n2={**NODE, "ansible_host": "10.0.0.3"})
    assert rules(plan, "jump", "out") == {"management_ssh": [("22/tcp", "10.0.0.1/32 10.0.0.2/31")]}


# ---- what else speaks of it


def test_explain_and_verify_know_these_connections() -> None:
    plan = plan_of(BOTH, jump=JUMP, n1=BEHIND)
    found = explained(plan, "jump", "n1", "22/tcp")
    assert (found.passes, found.pairs[0].egress.reason) == (True, "flow management_ssh")
    assert [item.reason for item in found.flows] == ["applies"]
    [item] = [
        item
        for item in expected_of(plan, ["jump", "n1"], "").expectations
        if (item.source, item.target, item.port) == ("jump", "n1", 22)
    ]
    assert (item.expected, item.flow) == ("open", "management_ssh")


def test_a_new_node_changes_the_jump_host_before_it() -> None:
    before, after = plan_of(BOTH, jump=JUMP), plan_of(BOTH, jump=JUMP, n1=BEHIND)
    assert comparison_of(before, after).changed == ["jump"]


# ---- what is in the way


def gaps(plan: Plan) -> dict[str, Any]:
    found = Gaps(plan)
    every = {
        "ports": found.closed_ports(),
        "strangers": found.unaccepted_jump_hosts(),
        "ways": found.closed_egress(),
        "unknown": found.unknown_jumps(),
        "unread": found.unread(),
    }
    return {name: hosts for name, hosts in every.items() if hosts}


def test_a_jump_host_among_the_controllers_is_not_reported() -> None:
    assert gaps(plan_of(BOTH, jump=JUMP, n1=BEHIND)) == {}


def test_a_jump_host_outside_the_controllers_is_reported() -> None:
    plan = plan_of(
        jump={**JUMP, "addresses": ["10.0.0.1", "10.0.1.1", "fd00::1"]},
        n1=BEHIND,
        n2={**BEHIND, "ansible_host": "10.0.0.3"},
        n3={**BEHIND, "ansible_host": "fd00::3"},
    )
    assert gaps(plan) == {
        "strangers": {
            UnacceptedJumpHost("jump", ("10.0.0.1", "10.0.1.1")): ["n1", "n2"],
            UnacceptedJumpHost("jump", ("fd00::1",)): ["n3"],
        }
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"jump": {"source_addresses": [CONTROLLER]}},
        {"n1": {"mode": "observe"}},
        {"n1": {"ansible_connection": "local"}},
    ],
)
def test_an_allowed_jump_host_is_not_reported(changes: dict[str, dict[str, Any]]) -> None:
    hosts = {name: {**host, **changes.get(name, {})} for name, host in {"jump": JUMP, "n1": BEHIND}.items()}
    assert gaps(plan_of(**hosts)) == {}


def test_another_flow_may_allow_the_jump_host() -> None:
    flow = {"from": ["slurm_login"], "to": ["slurm_compute"], "services": ["ssh"], "need": "recommended"}
    assert gaps(make_plan({"flows": {"f": flow}}, {"jump": JUMP, "n1": BEHIND})) == {}


def test_sshd_ports_outside_the_service_are_reported() -> None:
    hosts = {
        f"n{number}": {**NODE, "ansible_host": f"10.0.0.{number}", "ansible_port": port}
        for number, port in enumerate([2222, "2222", 22, 2200])
    }
    hosts["watched"] = {**hosts["n1"], "ansible_host": "10.0.0.9", "mode": "observe"}
    hosts["desk"] = {**hosts["n1"], "ansible_host": "10.0.0.8", "groups": ["desks"]}
    hosts["n5"] = {**NODE, "ansible_host": "10.0.0.5", "ansible_ssh_common_args": "-J n2:2200"}
    plan = plan_of({"controllers": {"cidrs": [f"{CONTROLLER}/32", "10.0.0.2/32"]}}, **hosts)
    assert gaps(plan) == {
        "ports": {
            ClosedPort(2200, False): ["n3"],
            ClosedPort(2200, True): ["n2"],
            ClosedPort(2222, False): ["n0", "n1"],
        }
    }
    plan = plan_of(
        {"controllers": {"cidrs": [f"{CONTROLLER}/32", "10.0.0.2/32"]}},
        {"ssh": {"ports": ["22/tcp", "2200-2222/tcp"]}},
        **hosts,
    )
    assert gaps(plan) == {}


def test_a_flow_that_opens_the_port_to_controllers_is_enough() -> None:
    site = {
        "services": {"odd": {"ports": ["2222/tcp"]}},
        "flows": {"f": {"from": ["controllers"], "to": ["managed_hosts"], "services": ["odd"], "need": "recommended"}},
    }
    hosts = {"n1": {**NODE, "ansible_port": 2222}}
    assert gaps(make_plan(site, hosts)) == {}
    # To all of them, not to one.
    site["endpoints"] = {
        "controllers": {"cidrs": [f"{CONTROLLER}/32", "192.0.2.9/32"]},
        "one": {"cidrs": [f"{CONTROLLER}/32"]},
    }
    site["flows"]["f"]["from"] = ["one"]
    assert gaps(make_plan(site, hosts)) == {"ports": {ClosedPort(2222, False): ["n1"]}}


def test_ssh_to_an_unknown_address_stays_closed() -> None:
    plan = plan_of(BOTH, jump=JUMP, n1={**NODE, "ansible_ssh_common_args": "-J jump,inner"})
    assert gaps(plan) == {"ways": {ClosedEgress("jump", "inner", (), 22): ["n1"]}}


def test_ssh_to_an_unmanaged_host_needs_a_flow() -> None:
    hosts = {"jump": JUMP, "desk": {**BEHIND, "groups": ["desks"]}}
    assert gaps(plan_of(**hosts)) == {"ways": {ClosedEgress("jump", "10.0.0.2", ("10.0.0.2",), 22): ["desk"]}}
    flow = {"from": ["slurm_login"], "to": ["desks"], "services": ["ssh"], "need": "recommended"}
    assert gaps(make_plan({"flows": {"f": flow}}, hosts)) == {}


def test_an_unknown_jump_host_is_reported_only_with_restricted_egress() -> None:
    n1 = {**NODE, "ansible_ssh_common_args": "-J bastion"}
    assert gaps(plan_of(n1=n1)) == {}
    assert gaps(plan_of(jump=JUMP, n1=n1)) == {"unknown": {"bastion": ["n1"]}}
    assert gaps(plan_of(names={"bastion": ["198.51.100.9"]}, jump=JUMP, n1=n1)) == {}


def test_unreadable_variables_are_reported_by_host() -> None:
    found = gaps(
        plan_of(n1={**NODE, "ansible_port": "x"}, n2={**NODE, "ansible_port": "x", "ansible_host": "10.0.0.3"})
    )
    assert found == {"unread": {("ansible_port", "got 'x', expected a port from 1 to 65535"): ["n1", "n2"]}}


# ---- the law


@dataclass
class Stop:
    """A host, or a jump host outside the inventory: its name in the ssh arguments, its addresses and its port."""

    host: str
    name: str
    addresses: list[str]
    port: int


ADDRESSES = {
    f"h{number}": addresses
    for number, addresses in enumerate([["10.0.0.1"], ["10.0.0.2", "fd00::2"], ["fd00::3"], ["10.0.0.4"], ["10.0.0.5"]])
}
PORTS = st.sampled_from([22, 22, 2222])
STOPS = st.one_of(
    st.builds(lambda host, port: Stop(host, host, ADDRESSES[host], port), st.sampled_from(sorted(ADDRESSES)), PORTS),
    st.builds(
        lambda host, port: Stop(host, ADDRESSES[host][-1], ADDRESSES[host][-1:], port),
        st.sampled_from(sorted(ADDRESSES)),
        PORTS,
    ),
    st.builds(lambda port: Stop("", "198.51.100.9", ["198.51.100.9"], port), PORTS),
    st.builds(lambda port: Stop("", "inner", [], port), PORTS),
)
CONTROLLERS = st.lists(
    st.sampled_from(["192.0.2.1/32", "10.0.0.0/30", "10.0.0.4/32", "fd00::/64", "0.0.0.0/0"]),
    min_size=1,
    max_size=2,
    unique=True,
)
HOSTS = st.fixed_dictionaries(
    {
        name: st.fixed_dictionaries(
            {
                "groups": st.sampled_from([["slurm_compute"], ["slurm_login"], ["slurm_compute"], ["desks"]]),
                "egress": st.sampled_from(["restricted", "restricted", "open"]),
                "mode": st.sampled_from(["enforce", "enforce", "observe"]),
                "ansible_port": PORTS,
                "chain": st.lists(STOPS, max_size=3),
            }
        )
        for name in ADDRESSES
    }
)


def text_of(chain: list[Stop], form: str) -> str:
    """Return ssh arguments for a chain of jump hosts."""
    names = [f"me@[{stop.name}]:{stop.port}" if ":" in stop.name else f"{stop.name}:{stop.port}" for stop in chain]
    if not chain:
        return "-C"
    if form == "command":
        before = f"-J {','.join(names[:-1])} " if names[1:] else ""
        return f"-o ProxyCommand='ssh {before}-W %h:%p -p {chain[-1].port} me@{chain[-1].name}'"
    return f"-J {','.join(names)}" if form == "jump" else f"-o 'ProxyJump {','.join(names)}'"


def legs(name: str, chain: list[Stop], port: int) -> Iterator[tuple[Stop | None, Stop]]:
    """Yield the connections on the path to a host. None is the controller."""
    stops = [stop for stop in chain if stop.host != name]
    return zip([None, *stops], [*stops, Stop(name, ADDRESSES[name][0], ADDRESSES[name][:1], port)])


def plan_with(hosts: dict[str, Any], controllers: list[str], form: str) -> Plan:
    return plan_of(
        {"controllers": {"cidrs": controllers}},
        **{
            name: {
                **{key: value for key, value in host.items() if key != "chain"},
                "addresses": ADDRESSES[name],
                "ansible_host": ADDRESSES[name][0],
                "ansible_ssh_common_args": text_of(host["chain"], form),
            }
            for name, host in hosts.items()
        },
    )


@given(HOSTS, CONTROLLERS, st.sampled_from(["command", "jump", "option"]))
def test_ansible_reaches_each_managed_host_or_a_gap_is_reported(
    hosts: dict[str, Any], controllers: list[str], form: str
) -> None:
    plan = plan_with(hosts, controllers, form)
    found = Gaps(plan)
    ports, strangers, ways = found.closed_ports(), found.unaccepted_jump_hosts(), found.closed_egress()
    for name in plan.hosts:
        for source, target in legs(name, hosts[name]["chain"], hosts[name]["ansible_port"]):
            is_said = any(target.host in at for item, at in ports.items() if item.port == target.port)
            peers = [str(ip_network(text)[0]) for text in controllers]
            if source and source.host in plan.hosts:
                unknown = any(
                    name in at for item, at in ways.items() if (item.jump, item.name) == (source.host, target.name)
                )
                leaves = bool(target.addresses) and all(
                    opens(plan, source.host, address, target.port) for address in target.addresses
                )
                event(f"leaves: {leaves}")
                assert leaves or unknown or not target.addresses and hosts[source.host]["egress"] == "open", (
                    name,
                    target,
                )
                peers = ADDRESSES[source.host]
            elif source:
                continue  # somebody else's address
            if target.host not in plan.hosts:
                continue
            versions = {ip_address(address).version for address in ADDRESSES[target.host]}
            for peer in peers:
                enters = accepts(plan, target.host, peer, target.port)
                event(f"enters: {enters}")
                is_stranger = source is not None and any(
                    target.host in at and peer in item.addresses
                    for item, at in strangers.items()
                    if item.name == source.host
                )
                assert enters or is_said or is_stranger or ip_address(peer).version not in versions, (
                    name,
                    peer,
                    target,
                )


@given(HOSTS, CONTROLLERS)
def test_a_host_opens_ssh_only_behind_it_or_as_a_controller(hosts: dict[str, Any], controllers: list[str]) -> None:
    plan = plan_with(hosts, controllers, "jump")
    managed = {(address, 22) for name in plan.hosts for address in ADDRESSES[name]}
    known = {address for addresses in ADDRESSES.values() for address in addresses} | {"198.51.100.9", CONTROLLER}
    for host in plan.hosts:
        expected = {
            (address, target.port)
            for name in plan.hosts
            for source, target in legs(name, hosts[name]["chain"], hosts[name]["ansible_port"])
            if source and source.host == host
            for address in target.addresses
        }
        if any(
            ip_address(own) in ip_network(text)
            for own in ADDRESSES[host]
            for text in controllers
            if text != "0.0.0.0/0"
        ):
            expected |= managed
        if hosts[host]["egress"] == "open":
            expected = set()
        opened = rules(plan, host, "out").get("management_ssh", [])
        event(f"opens: {len(opened)}")
        assert {
            (address, port)
            for address, port in product(known, [22, 23, 2222])
            for ports, peers in opened
            if f"{port}/tcp" in ports.split() and any(ip_address(address) in ip_network(text) for text in peers.split())
        } == expected, host
