# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flows with the same peers look them up in one set, and never in that of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from itertools import product
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.peer_sets import PeerSets, peer_sets
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.ruleset import ruleset_of, script_of
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import (
    Network,
    Policy,
    Rule,
    label,
    parse_policy,
    split_flows,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import parse_ports
from ansible_collections.hpc.ports.tests.support.samples import policy, random_policies, sharing_policies

NODES = tuple(f"10.0.{number}.0/25" for number in range(100))
V4, V6 = ("10.0.0.1/32", "10.0.0.4/30"), ("fd00::1/128", "fd00:1::/64")


def rule(flow: str, *peers: str, direction: str = "in", ports: str = "80/tcp") -> Rule:
    return Rule(direction, flow, (parse_ports(ports),), tuple(map(ip_network, peers)))


def found(*rules: Rule) -> PeerSets:
    return peer_sets(rules, split_flows(rules))


def members(sets: PeerSets) -> dict[str, str]:
    return {name: " ".join(elements) for name, (_definition, elements) in sets.sets.items()}


# ---- how many sets


@pytest.mark.parametrize("flows", [1, 20, 1000])
def test_flows_with_the_same_peers_have_one_set(flows: int) -> None:
    rules = [("in", f"flow{number}", [f"{1024 + number}/tcp"], NODES) for number in range(flows)]
    script = script_of(ruleset_of(parse_policy(policy(*rules))))
    assert script.count("10.0.99.0/25") == 1
    assert len([line for line in script.splitlines() if line.startswith("add set ")]) == 1


def test_each_list_of_peers_is_read_once_for_all_its_flows() -> None:
    class Counted(tuple[Network, ...]):
        reads = 0

        def __iter__(self) -> Iterator[Network]:
            Counted.reads += 1
            return super().__iter__()

    peers = Counted(map(ip_network, NODES))
    rules = [Rule("in", f"flow{number}", (parse_ports(f"{number}/tcp"),), peers) for number in range(1, 1001)]
    ruleset_of(Policy("enforce", "open", (), tuple(rules)))
    assert 1 <= Counted.reads <= 2


def test_what_goes_out_and_what_comes_in_share_a_set() -> None:
    sets = found(rule("a", *V4), rule("a", *V4, direction="out"))
    assert members(sets) == {"in_a-out_a_v4": "10.0.0.1 10.0.0.4/30"}
    assert sets.lookups(rule("a", *V4, direction="out"), "out_a") == [
        'ip daddr @in_a-out_a_v4 counter name "out_a" accept'
    ]


def test_each_family_is_shared_by_itself() -> None:
    sets = found(rule("a", *V4, *V6), rule("b", *V4), rule("c", V4[0], *V6), rule("d", *V4, "::/0"))
    assert members(sets) == {
        "in_a-in_b-in_d_v4": "10.0.0.1 10.0.0.4/30",
        "in_a-in_c_v6": "fd00::1 fd00:1::/64",
        "in_c_v4": "10.0.0.1",
    }
    assert sets.lookups(rule("d"), "in_d") == [
        'ip saddr @in_a-in_b-in_d_v4 counter name "in_d" accept',
        'meta nfproto ipv6 counter name "in_d" accept',
    ]


def test_all_addresses_have_no_set() -> None:
    sets = found(rule("a", "0.0.0.0/0", "::/0"), rule("b", "10.0.0.0/8", "0.0.0.0/0"))
    assert members(sets) == {}
    assert sets.lookups(rule("a"), "in_a") == ['counter name "in_a" accept']
    assert sets.lookups(rule("b"), "in_b") == ['meta nfproto ipv4 counter name "in_b" accept']


def test_rules_of_one_flow_share_a_set_like_those_of_several() -> None:
    sets = found(rule("a", *V4), rule("a", *V4, ports="81/tcp"), rule("b", *V4))
    (name,) = members(sets)
    first, second, third = name[: -len("_v4")].split("-")
    assert (first.partition(".")[0], second.partition(".")[0], third) == ("in_a", "in_a", "in_b") and first != second


# ---- names


def test_the_name_of_many_is_their_number_and_a_hash() -> None:
    """The name has to stay as it is: another one is another set, on every host at the next run."""
    names = [f"{letter}{'x' * 39}" for letter in "abcd"]
    sets = [list(members(found(*(rule(name, *V4) for name in chosen)))) for chosen in (names[:2], names[:3], names[1:])]
    assert sets[0] == [f"in_{names[0]}-in_{names[1]}_v4"]
    assert sets[1] == ["peers_of_3_flows.af11e6fc9e6ffa3f_v4"]
    assert sets[2] != sets[1]


@pytest.mark.parametrize("length, is_whole", [(100, True), (101, False)])
def test_a_name_is_whole_up_to_100_characters(length: int, is_whole: bool) -> None:
    flows = "a" * 60, "b" * (length - len("in_-in__v4") - 60)
    (name,) = members(found(*(rule(flow, *V4) for flow in flows)))
    assert (name == f"in_{flows[0]}-in_{flows[1]}_v4") == is_whole and len(name) <= 100


def test_the_name_does_not_depend_on_the_order_of_the_rules() -> None:
    rules = [rule("b", *V4), rule("c", *V4), rule("a", *V4)]
    assert members(found(*rules)) == members(found(*rules[::-1]))


def test_no_two_groups_of_flows_have_one_name() -> None:
    """Names of flows that look like what the names of sets are made of."""
    flows = ["in_a", "a", "a_v4", "out_a", "peers_of_2_flows", "v4", "in_a_v4", "a_single_16"]
    rules = [
        rule(flow, f"10.0.{number}.1/32", f"fd00:{number}::/64", direction=direction)
        for number, (direction, flow) in enumerate(product(("in", "out"), flows))
    ]
    assert len(found(*rules).sets) == 2 * len(rules)


@pytest.mark.parametrize(
    "count, name", [(1, "in_a_v4"), (2, "in_a.single_16_v4"), (16, "in_a.single_16_v4"), (17, "in_a.single_64_v4")]
)
def test_single_addresses_have_a_set_of_their_size(count: int, name: str) -> None:
    sets = found(rule("a", *(f"10.0.0.{2 * number}/32" for number in range(count)))).sets
    form = "flags interval;" if count == 1 else f"size {16 if count <= 16 else 64};"
    assert {key: one for key, (one, _elements) in sets.items()} == {name: f"type ipv4_addr; {form}"}


def test_a_network_among_single_addresses_needs_a_set_of_networks() -> None:
    sets = found(rule("a", "10.0.0.1/32", "10.0.0.3/32", "fd00::1/128", "fd00::3/128", "fd00:1::/64"))
    assert list(sets.sets) == ["in_a.single_16_v4", "in_a_v6"]
    assert sets.lookups(rule("a"), "in_a")[0] == 'ip saddr @in_a.single_16_v4 counter name "in_a" accept'


# ---- a packet half way through the old rules finds the peers of its flow, old or new


@pytest.mark.parametrize("source", [random_policies, sharing_policies])
def test_a_set_that_stays_has_the_peers_of_the_same_rules(source: Any) -> None:
    policies = [parse_policy(data) for data in source(60)]
    stayed = 0
    for before, after in product(policies, policies):
        old, new = users(before.rules), users(after.rules)
        for name in set(old) & set(new):
            stayed += before is not after
            assert old[name] == new[name]
    assert stayed


def users(rules: Sequence[Rule]) -> dict[str, set[str]]:
    """Return the labels of the rules that look up each set."""
    parted = split_flows(rules)
    sets = peer_sets(rules, parted)
    looked_up: dict[str, set[str]] = {name: set() for name in sets.sets}
    for one in rules:
        for text in sets.lookups(one, label(one, parted)):
            if "@" in text:
                looked_up[text.partition("@")[2].split()[0]].add(label(one, parted))
    return looked_up


@pytest.mark.parametrize("source", [random_policies, sharing_policies])
def test_each_rule_looks_up_its_own_peers(source: Any) -> None:
    for data in source(60):
        rules = parse_policy(data).rules
        parted = split_flows(rules)
        sets = peer_sets(rules, parted)
        for one in rules:
            texts = sets.lookups(one, label(one, parted))
            names = [text.partition("@")[2].split()[0] for text in texts if "@" in text]
            looked_up = {ip_network(element) for name in names for element in sets.sets[name][1]}
            whole = {network.version for network in one.peers if network.prefixlen == 0}
            assert looked_up == {network for network in one.peers if network.version not in whole}
