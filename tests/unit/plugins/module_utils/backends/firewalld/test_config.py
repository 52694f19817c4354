# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a policy to what firewalld should have of it."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.config import (
    LONG,
    Abilities,
    Config,
    Inside,
    RichRule,
    abilities_of,
    config_of,
    ipset_name,
    kind_of,
    parse_rich_rule,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.persistence import (
    flow_names as persistence_flow_names,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.persistence import items_of
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.state import (
    flow_names,
    flow_views,
    policy_lines,
    wanted_state,
)
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import items_state
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING
from ansible_collections.hpc.ports.tests.support.samples import ANYWHERE, SSH, policy
from hypothesis import given
from hypothesis import strategies as st

OLD = Abilities(destination_ipsets=False, interface_ipsets=False, accepts_replies_out=False)
NEW = Abilities(destination_ipsets=True, interface_ipsets=True, accepts_replies_out=True)
DNS = ("out", "dns", ["53/udp"], ("10.64.0.53/32",))

sides = st.sampled_from([(), ("ipset", "hpc_ports_in_web_4a"), ("address", "10.0.0.0/8"), ("address", "fd64::1")])
elements = st.sampled_from([(), ("port", "22", "tcp"), ("port", "1024-65535", "udp"), ("protocol", "89")])
rules = st.builds(
    RichRule,
    verdict=st.sampled_from(["accept", "drop"]),
    family=st.sampled_from(["", "ipv4", "ipv6"]),
    source=sides,
    destination=sides,
    element=elements,
    priority=st.integers(-32768, 32767),
    flow=st.just(""),
)


@pytest.mark.parametrize(
    "version,expected", [((0, 9, 0), OLD), ((0, 9, 11), OLD), ((1, 0, 0), NEW), ((1, 3, 3), NEW), ((2, 3, 1), NEW)]
)
def test_what_a_version_can_do(version: tuple[int, ...], expected: Abilities) -> None:
    assert abilities_of(version) == expected


@given(rules)
def test_a_rule_is_read_as_it_is_written(rule: RichRule) -> None:
    assert parse_rich_rule(rule.text()) == rule


@pytest.mark.parametrize(
    "text",
    [
        'rule family="ipv4" source address="10.0.0.1" log prefix="x" accept',
        'rule service name="ssh" accept',
        'rule source NOT address="10.0.0.1" accept',
        'rule family="ipv4" accept limit value="1/s"',
        "rule reject",
        "",
    ],
)
def test_a_rule_of_another_form_is_nobodys(text: str) -> None:
    assert parse_rich_rule(text) is None


def test_the_file_of_a_rule() -> None:
    rule = RichRule("drop", "ipv6", ("ipset", "a"), ("address", "fd64::/64"), ("port", "22", "tcp"), 32000)
    assert rule.text() == (
        'rule priority="32000" family="ipv6" source ipset="a" destination address="fd64::/64" '
        'port port="22" protocol="tcp" drop'
    )
    assert rule.xml() == (
        '  <rule priority="32000" family="ipv6">\n    <source ipset="a"/>\n'
        '    <destination address="fd64::/64"/>\n    <port port="22" protocol="tcp"/>\n    <drop/>\n  </rule>\n'
    )


labels = st.builds(
    "{0}_{1}{2}".format,
    st.sampled_from(["in", "out"]),
    st.from_regex("[a-z][a-z0-9_]{0,63}", fullmatch=True),
    st.sampled_from(["", ".0123abcd", ".ffffffff"]),
)


@given(st.lists(labels, min_size=2, max_size=2, unique=True), st.sampled_from([4, 6]), st.sampled_from("ab"))
def test_no_two_ipsets_have_one_name(found: list[str], version: int, copy: str) -> None:
    names = {ipset_name(label, version, copy) for label in found}
    assert len(names) == 2
    assert all(len(name) <= 31 and name.startswith("hpc_ports_") and kind_of(name) == "hash:net" for name in names)


def test_names_that_are_short_enough_can_be_read() -> None:
    assert ipset_name("in_slurm_control", 4, "a") == "hpc_ports_in_slurm_control_4a"
    assert ipset_name("out_web.0123abcd", 6, "b") == "hpc_ports_out_web-0123abcd_6b"
    assert (
        ipset_name("in_a_flow_of_a_long_name", 6, "b")
        == "hpc_ports_in_" + ipset_name("in_a_flow_of_a_long_name", 6, "b").split("_")[3] + "_6b"
    )


def test_anywhere_is_two_halves() -> None:
    config = config_of(parse_policy(policy(("in", "web", ["443/tcp"], ANYWHERE))), NEW)
    assert config.ipsets["hpc_ports_in_web_4a"].entries == ("0.0.0.0/1", "128.0.0.0/1")
    assert config.ipsets["hpc_ports_in_web_6b"].entries == ("::/1", "8000::/1")


def test_observe_mode_has_nothing_and_refuses_what_enforce_mode_refuses() -> None:
    assert config_of(parse_policy(policy(SSH, DNS, mode="observe")), NEW) == ({}, {})
    for interfaces, abilities in ((("fab*",), NEW), (("fab0",), OLD)):
        with pytest.raises(RuntimeError, match="firewall_trusted_interfaces"):
            config_of(parse_policy(policy(SSH, mode="observe", interfaces=interfaces)), abilities)


def test_open_egress_has_no_policy_out() -> None:
    config = config_of(parse_policy(policy(SSH)), NEW)
    assert list(config.policies) == ["hpc_ports_in"]
    assert not [name for name in config.ipsets if "out" in name]


def test_the_oldest_has_the_peers_of_egress_in_rules_and_drops_by_protocol() -> None:
    config = config_of(parse_policy(policy(DNS, egress="restricted")), OLD)
    texts = [rule.text() for rule in config.policies["hpc_ports_out"].rules]
    assert 'rule family="ipv4" destination address="10.64.0.53" port port="53" protocol="udp" accept' in texts
    assert texts[-5:] == [f'rule priority="32000" protocol value="{number}" drop' for number in (6, 17, 33, 132, 136)]
    assert not [name for name in config.ipsets if "_dns_" in name]


def test_the_newer_look_the_peers_of_egress_up_and_drop_all_else() -> None:
    config = config_of(parse_policy(policy(DNS, egress="restricted")), NEW)
    texts = [rule.text() for rule in config.policies["hpc_ports_out"].rules]
    assert texts[-2:] == [
        'rule priority="32000" family="ipv4" destination address="0.0.0.0/0" drop',
        'rule priority="32000" family="ipv6" destination address="::/0" drop',
    ]
    assert config.ipsets["hpc_ports_out_dns_4a"].entries == ("10.64.0.53",)


@pytest.mark.parametrize("abilities", [OLD, NEW])
@pytest.mark.parametrize("egress", ["open", "restricted"])
def test_containers_ask_for_names_from_their_networks(abilities: Abilities, egress: str) -> None:
    """And restricted egress reaches only the networks of container interfaces."""
    asking = [ip_network(text) for text in ("10.88.0.0/16", "10.89.0.1/32", "fd00:88::/64")]
    config = config_of(parse_policy(policy(SSH, egress=egress)), abilities, Inside(asking, asking[:1]))
    texts = {
        name: [rule.text() for rule in own_policy.rules if "address=" in rule.text() and rule.flow == "containers"]
        for name, own_policy in config.policies.items()
    }
    assert texts.pop("hpc_ports_in") == [
        f'rule family="{family}" source address="{network}" port port="53" protocol="{protocol}" accept'
        for family, network in (("ipv4", "10.88.0.0/16"), ("ipv4", "10.89.0.1"), ("ipv6", "fd00:88::/64"))
        for protocol in ("udp", "tcp")
    ]
    outward = ['rule family="ipv4" destination address="10.88.0.0/16" accept']
    assert texts == ({"hpc_ports_out": outward} if egress == "restricted" else {})


@pytest.mark.parametrize("abilities", [OLD, NEW])
def test_everything_is_a_rule_without_ports(abilities: Abilities) -> None:
    ports, peers = list(map(str, EVERYTHING)), ("10.64.0.0/30", "fd64::/64")
    data = policy(("in", "a", ports, peers), ("out", "a", ports, peers), egress="restricted")
    config = config_of(parse_policy(data), abilities)
    inward, outward = (
        [rule.text() for rule in config.policies[name].rules if rule.flow] for name in ("hpc_ports_in", "hpc_ports_out")
    )
    assert inward == [
        f'rule family="ipv{version}" source ipset="hpc_ports_in_a_{version}{copy}" accept'
        for version in (4, 6)
        for copy in "ab"
    ]
    assert outward == (
        [text.replace("source", "destination").replace("_in_", "_out_") for text in inward]
        if abilities == NEW
        else [
            f'rule family="{family}" destination address="{address}" accept'
            for family, address in (("ipv4", "10.64.0.0/30"), ("ipv6", "fd64::/64"))
        ]
    )


def test_ip_protocols_are_single_rules() -> None:
    rules = config_of(parse_policy(policy(("in", "a", ["3-5/ip"], ANYWHERE))), NEW).policies["hpc_ports_in"].rules
    assert {rule.element for rule in rules if rule.flow} == {("protocol", "3"), ("protocol", "4"), ("protocol", "5")}


def test_what_two_flows_have_in_common_is_one_rule() -> None:
    both = [
        ("out", name, ["53/udp"], peers)
        for name, peers in (("a", ("10.0.0.1/32",)), ("b", ("10.0.0.1/32", "10.0.0.2/32")))
    ]
    config = config_of(parse_policy(policy(*both, egress="restricted")), OLD)
    assert [(rule.flow, rule.destination[1]) for rule in config.policies["hpc_ports_out"].rules if rule.flow] == [
        ("out_a", "10.0.0.1"),
        ("out_b", "10.0.0.2"),
    ]


# ---- flows with the same long list of peers

MANY = tuple(f"10.0.{number}.0/25" for number in range(LONG))
FEW = MANY[:-1]


def looked_up(config: Config) -> dict[str, set[str]]:
    """Return the ipsets of IPv4 that the rules of each flow look up, without the letter of the copy."""
    found: dict[str, set[str]] = {}
    for rule in (rule for part in config.policies.values() for rule in part.rules if rule.family == "ipv4"):
        for side in (rule.source, rule.destination):
            if rule.flow and side[:1] == ("ipset",):
                found.setdefault(rule.flow, set()).add(side[1][len("hpc_ports_") : -1])
    return found


def filled(config: Config) -> list[str]:
    """Return the ipsets with entries, of those of flows."""
    return sorted(name[len("hpc_ports_") :] for name, ipset in config.ipsets.items() if ipset.flow and ipset.entries)


def test_flows_with_the_same_long_list_share_ipsets_and_keep_empty_ones() -> None:
    rules = [("in", "b", ["80/tcp"], MANY), ("in", "a", ["81/tcp"], MANY), ("out", "a", ["80/tcp"], MANY)]
    config = config_of(parse_policy(policy(*rules, egress="restricted")), NEW)
    assert looked_up(config) == {"in_a": {"in_a_4"}, "in_b": {"in_a_4"}, "out_a": {"in_a_4"}}
    assert filled(config) == ["in_a_4a", "in_a_4b"]
    assert {ipset_name(name, 4, copy) for name in ("in_a", "in_b", "out_a") for copy in "ab"} <= set(config.ipsets)
    names = flow_names(config)
    assert {names[line] for line in policy_lines(config.policies["hpc_ports_in"]) if "@hpc_ports_in_a_4a" in line} == {
        "in_a",
        "in_b",
    }


@pytest.mark.parametrize(
    "rules",
    [
        [("in", "a", ["80/tcp"], FEW), ("in", "b", ["81/tcp"], FEW)],
        [("in", "a", ["80/tcp"], MANY), ("in", "b", ["81/tcp"], (*FEW, "10.9.0.0/16"))],
        # One of the flows would have no rule for this port.
        [("in", "a", ["80/tcp", "82/tcp"], MANY), ("in", "b", ["82/tcp", "84/tcp"], MANY)],
    ],
    ids=["short", "other", "with the same port"],
)
def test_other_flows_have_their_own(rules: list[Any]) -> None:
    config = config_of(parse_policy(policy(*rules)), NEW)
    assert looked_up(config) == {"in_a": {"in_a_4"}, "in_b": {"in_b_4"}}
    assert filled(config) == ["in_a_4a", "in_a_4b", "in_b_4a", "in_b_4b"]


def test_flows_that_part_and_meet_have_the_same_ipsets() -> None:
    """So there is no reload."""
    configs = [
        config_of(parse_policy(policy(("in", "a", ["80/tcp"], MANY), ("in", "b", ["81/tcp"], peers))), NEW)
        for peers in (MANY, MANY[1:], FEW, ())
    ]
    assert all(set(config.ipsets) == set(configs[0].ipsets) for config in configs)


def test_only_flows_with_peers_of_ipv6_have_ipsets_for_them() -> None:
    """Each ipset makes a reload longer."""
    rules = [
        ("in", "a", ["80/tcp"], ("10.0.0.0/8",)),
        ("in", "b", ["81/tcp"], ("fd64::/64",)),
        ("in", "c", ["82/tcp"], ()),
    ]
    config = config_of(parse_policy(policy(*rules)), NEW)
    names = {"in_a_4a", "in_a_4b", "in_b_4a", "in_b_4b", "in_b_6a", "in_b_6b", "in_c_4a", "in_c_4b"}
    assert {name[len("hpc_ports_") :] for name, ipset in config.ipsets.items() if ipset.flow} == names
    looked_up = [rule.source[1] for rule in config.policies["hpc_ports_in"].rules if rule.flow]
    assert sorted(name[len("hpc_ports_") :] for name in looked_up) == sorted(names)


def test_flows_that_share_ipsets_share_one_list_of_addresses() -> None:
    config = config_of(parse_policy(policy(("in", "a", ["80/tcp"], MANY), ("in", "b", ["81/tcp"], MANY))), NEW)
    found = flow_views(wanted_state(config), flow_names(config))
    assert found["in_a"].addresses is found["in_b"].addresses
    assert found["in_a"].addresses == frozenset(MANY)
    assert [sorted(found[name].ports) for name in ("in_a", "in_b")] == [["80/tcp"], ["81/tcp"]]


def test_the_oldest_shares_the_ipsets_of_ingress_alone() -> None:
    rules = [("out", "a", ["80/tcp"], MANY), ("in", "b", ["81/tcp"], MANY), ("in", "c", ["82/tcp"], MANY)]
    config = config_of(parse_policy(policy(*rules, egress="restricted")), OLD)
    assert looked_up(config) == {"in_b": {"in_b_4"}, "in_c": {"in_b_4"}}


def test_the_file_of_a_policy_names_the_flow_of_a_rule_with_the_ipsets_of_another() -> None:
    rules = [("in", "a", ["80/tcp"], MANY), ("in", "b", ["81/tcp"], MANY)]
    items = items_of(config_of(parse_policy(policy(*rules)), NEW))
    names = persistence_flow_names(items_state(items))
    assert names["ip saddr @hpc_ports_in_a_4a tcp dport 81 accept"] == "in_b"
    assert names["hpc_ports_in_a_4a"] == "in_a"
    assert "ip saddr @hpc_ports_in_a_4a tcp dport 80 accept" not in names
