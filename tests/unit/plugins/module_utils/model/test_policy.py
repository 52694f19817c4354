# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parsing of policies, digests, and the segments of rules."""

from __future__ import annotations

from copy import deepcopy
from ipaddress import ip_network
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.names import digest
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import (
    Policy,
    PolicyError,
    Rule,
    parse_policy,
    segments,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, merged
from hypothesis import given
from hypothesis import strategies as st

DATA: dict[str, Any] = {
    "format": 2,
    "mode": "enforce",
    "egress": "restricted",
    "trusted_interfaces": ["ib0", "cni*"],
    "networks": {"a": ["10.0.0.1/32", "fd00::/64"], "b": []},
    "rules": [
        {"direction": "in", "flow": "ssh", "ports": ["23-24/tcp", "22/tcp"], "peers": "a"},
        {"direction": "out", "flow": "web", "ports": ["443/tcp"], "peers": "b"},
    ],
}
FLOW_FORM = "expected a name of the form [a-z][a-z0-9_]{0,63}"
INTERFACE_FORM = "expected a name of the form [A-Za-z0-9_.:@-]{1,15}|[A-Za-z0-9_.:@-]{1,14}\\*"
PORTS = st.integers(1, 15)
RANGES = st.builds(
    lambda protocol, ends: PortRange(protocol, min(ends), max(ends)),
    st.sampled_from(["tcp", "udp"]),
    st.tuples(PORTS, PORTS),
)
RULES = st.lists(st.lists(RANGES, min_size=1, max_size=4), max_size=6).map(
    lambda lists: [Rule("in", f"flow{number}", tuple(merged(ranges)), ()) for number, ranges in enumerate(lists)]
)


def test_parse_policy() -> None:
    peers = (ip_network("10.0.0.1/32"), ip_network("fd00::/64"))
    assert parse_policy(DATA) == Policy(
        mode="enforce",
        egress="restricted",
        trusted_interfaces=("ib0", "cni*"),
        rules=(
            Rule("in", "ssh", (PortRange("tcp", 22, 24),), peers),
            Rule("out", "web", (PortRange("tcp", 443, 443),), ()),
        ),
    )


def test_name_of_a_rule() -> None:
    assert [rule.name for rule in parse_policy(DATA).rules] == ["in_ssh", "out_web"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("format",), 1, "Invalid policy format: got 1, expected 2."),
        (("mode",), "log", "Invalid mode: got 'log', expected one of enforce, observe."),
        (("egress",), "closed", "Invalid egress: got 'closed', expected one of open, restricted."),
        (("trusted_interfaces",), ['a"; drop'], f"Invalid interface: got 'a\"; drop', {INTERFACE_FORM}."),
        (("trusted_interfaces",), ["a" * 16], f"Invalid interface: got '{'a' * 16}', {INTERFACE_FORM}."),
        (("networks", "a"), ["10.0.0.1/8"], "Invalid network: 10.0.0.1/8 has host bits set."),
        (("networks", "a"), ["evil"], "Invalid network: 'evil' does not appear to be an IPv4 or IPv6 network."),
        (
            ("networks", "a"),
            ["fe80::1%eth0; x"],
            "Invalid network: got 'fe80::1%eth0; x', expected a network such as '10.20.0.0/16' or 'fd00:20::/64'.",
        ),
        (
            ("networks", "a"),
            [5],
            "Invalid network: got 5, expected a network such as '10.20.0.0/16' or 'fd00:20::/64'.",
        ),
        (("rules", 0, "direction"), "forward", "Invalid direction: got 'forward', expected one of in, out."),
        (("rules", 0, "flow"), "ssh }", f"Invalid flow: got 'ssh }}', {FLOW_FORM}."),
        (("rules", 0, "flow"), "ssh\n", f"Invalid flow: got 'ssh\\n', {FLOW_FORM}."),
        (("rules", 0, "flow"), "a" * 65, f"Invalid flow: got '{'a' * 65}', {FLOW_FORM}."),
        (
            ("rules", 0, "ports"),
            ["65536/tcp"],
            "Invalid ports of flow 'ssh': got '65536/tcp', expected ports from 0 to 65535.",
        ),
        (("rules",), 5, "Invalid policy: 'int' object is not iterable."),
        (
            ("rules",),
            [DATA["rules"][0], {**DATA["rules"][0], "peers": "b"}],
            "Invalid policy: got two rules of one flow with the same ports, expected different ports.",
        ),
        (("rules", 0, "peers"), "c", "Invalid policy: the key 'c' is missing."),
    ],
)
def test_parse_policy_says_what_is_wrong(path: tuple[Any, ...], value: object, message: str) -> None:
    data = deepcopy(DATA)
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(PolicyError) as error:
        parse_policy(data)
    assert str(error.value) == message


@pytest.mark.parametrize("key", ["mode", "egress", "trusted_interfaces", "networks", "rules"])
def test_parse_policy_names_a_missing_key(key: str) -> None:
    with pytest.raises(PolicyError) as error:
        parse_policy({name: value for name, value in DATA.items() if name != key})
    assert str(error.value) == f"Invalid policy: the key '{key}' is missing."


def test_digest_is_equal_for_equal_data() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert len(digest([])) == 16


def test_segments_are_split_where_a_range_starts_or_ends() -> None:
    wide = Rule("in", "wide", (PortRange("tcp", 10, 20),), ())
    inner = Rule("in", "inner", (PortRange("tcp", 12, 14), PortRange("udp", 12, 12)), ())
    found = [(str(item.ports), [rule.flow for rule in item.rules]) for item in segments([wide, inner])]
    assert found == [
        ("10-11/tcp", ["wide"]),
        ("12-14/tcp", ["wide", "inner"]),
        ("15-20/tcp", ["wide"]),
        ("12/udp", ["inner"]),
    ]


@given(RULES)
def test_segments_have_the_ports_of_the_rules(rules: list[Rule]) -> None:
    said = {
        (ports.protocol, port, rule.flow)
        for rule in rules
        for ports in rule.ports
        for port in range(ports.first, ports.last + 1)
    }
    found = [
        (item.ports.protocol, port, rule.flow)
        for item in segments(rules)
        for rule in item.rules
        for port in range(item.ports.first, item.ports.last + 1)
    ]
    assert sorted(found) == sorted(said)


@given(RULES)
def test_segments_are_disjoint_sorted_and_as_few_as_possible(rules: list[Rule]) -> None:
    result = segments(rules)
    for item, after in zip(result, result[1:]):
        assert item.ports.protocol < after.ports.protocol or item.ports.last < after.ports.first
        touching = item.ports.protocol == after.ports.protocol and item.ports.last + 1 == after.ports.first
        assert not (touching and set(item.rules) == set(after.rules))


@given(RULES, st.randoms())
def test_segments_do_not_depend_on_the_order_of_rules(rules: list[Rule], random: Any) -> None:
    shuffled = list(rules)
    random.shuffle(shuffled)
    assert segments(shuffled) == segments(rules)
