# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a policy to what firewalld should have of it."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.config import (
    Abilities,
    Inside,
    RichRule,
    abilities_of,
    config_of,
    ipset_name,
    kind_of,
    parse_rich_rule,
)
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
    ports, peers = list(map(str, EVERYTHING)), ("10.64.0.0/30",)
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
        else ['rule family="ipv4" destination address="10.64.0.0/30" accept']
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
