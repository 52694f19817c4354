# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of security groups by their text, and what of them cannot be expressed."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.clouds import export
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.chains import Read
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.port_file import drafted
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.security_groups import read_security_groups
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.sources import read_rules
from ansible_collections.hpc.ports.tests.support.clouds import Wire, expected, wires
from ansible_collections.hpc.ports.tests.support.printed_groups import PRINTED
from ansible_collections.hpc.ports.tests.support.random_sites import SITES, Site
from ansible_collections.hpc.ports.tests.support.run import examples
from ansible_collections.hpc.ports.tests.support.sites import make_catalogue
from hypothesis import given, settings
from hypothesis import strategies as st

_PROTOCOLS = {6: "tcp", 17: "udp"}


def accepts(read: Read, wire: Wire) -> bool:
    """Return whether the rules accept a packet; hosts accept ICMP anyway."""
    protocol, port = _PROTOCOLS.get(wire.protocol, "ip"), wire.port or wire.protocol
    return wire.protocol in (1, 58) or any(
        wire.peer in region.sources and any(ports.covers(protocol, port) for ports in region.ports)
        for region in read.accepted
    )


@pytest.mark.parametrize("cloud", PRINTED)
@settings(max_examples=examples(60))
@given(site=SITES, seed=st.integers(0, 2**32))
def test_what_is_written_for_a_cloud_is_read_as_what_the_plan_accepts(cloud: str, site: Site, seed: int) -> None:
    plan = site.plan()
    if not plan.hosts:
        return
    data = yaml.safe_load(export(plan, cloud, list(plan.hosts), "hpc", references=False).text)
    reads = {group["name"]: read_rules(PRINTED[cloud](group)) for group in data["cloud_groups"]}
    assert all(not read.left for read in reads.values())
    for wire in wires(plan, list(plan.hosts), seed, 100):
        if wire.direction == "in":
            assert accepts(reads[data["cloud_group_of"][wire.host]], wire) == expected(plan, wire), wire


def read_one(text: Any) -> Read:
    read = read_security_groups(json.dumps(text))
    assert read is not None
    return read


def aws(**permission: Any) -> Read:
    return read_one({"SecurityGroups": [{"GroupId": "sg-1", "GroupName": "login", "IpPermissions": [permission]}]})


def azure(*rules: dict[str, Any]) -> Read:
    usual = {"access": "Allow", "direction": "Inbound", "protocol": "Tcp", "sourceAddressPrefix": "*"}
    numbered = [
        {"name": f"r{number}", "priority": number, "destinationPortRange": "22", **usual, **rule}
        for number, rule in enumerate(rules, 100)
    ]
    return read_one({"securityRules": numbered})


def openstack(**rule: Any) -> Read:
    usual = {"ID": "7", "IP Protocol": "tcp", "Ethertype": "IPv4", "IP Range": "10.0.0.0/8", "Direction": "ingress"}
    return read_one([{**usual, "Port Range": "22:22", **rule}])


def shown(read: Read) -> list[str]:
    return [
        f"{' '.join(map(str, region.ports))} from {' '.join(map(str, region.sources.iter_cidrs()))}"
        for region in read.accepted
    ]


@pytest.mark.parametrize(
    ("read", "left"),
    [
        (
            aws(IpProtocol="tcp", FromPort=22, ToPort=22, UserIdGroupPairs=[{"GroupId": "sg-2", "GroupName": "nodes"}]),
            "login tcp 22-22: a reference to the group nodes; write a flow from the groups of its hosts",
        ),
        (
            aws(IpProtocol="-1", UserIdGroupPairs=[{"GroupId": "sg-1"}]),
            "login -1: a reference to the group itself; write a flow from the groups of its hosts to themselves",
        ),
        (
            aws(IpProtocol="-1", PrefixListIds=[{"PrefixListId": "pl-1"}]),
            "login -1: the prefix list pl-1; write its networks as an endpoint",
        ),
        (
            aws(IpProtocol="tcp", FromPort="x", ToPort=22, IpRanges=[{"CidrIp": "10.0.0.0/8"}]),
            "login tcp x-22: invalid literal",
        ),
        (aws(IpProtocol="tcp", IpRanges=[{"CidrIp": "10.0.0.1/8"}]), "login tcp: got '10.0.0.1/8', expected a network"),
        (aws(IpProtocol="tcp", IpRanges=[{}]), "login tcp: not a rule as the cloud prints it (KeyError)"),
        (
            azure({"sourceAddressPrefix": "VirtualNetwork"}),
            "r100 (priority 100): the service tag VirtualNetwork; write its networks as an endpoint",
        ),
        (
            azure({"sourceAddressPrefix": None, "sourceApplicationSecurityGroups": [{"id": "/a/b/nodes"}]}),
            "r100 (priority 100): a reference to the group nodes; write a flow from the groups of its hosts",
        ),
        (azure({"sourcePortRange": "1-1023"}), "r100 (priority 100): ports of the source"),
        (azure({"access": "Maybe"}), "r100 (priority 100): access Maybe"),
        (azure({"destinationPortRange": "a-b"}), "r100 (priority 100): invalid literal"),
        (openstack(Direction=None), "rule 7: no direction; add --long to the command"),
        (
            openstack(**{"Remote Security Group": "0815"}),
            "rule 7: a reference to the group 0815; write a flow from the groups of its hosts",
        ),
        (openstack(**{"IP Protocol": "carp-x"}), "rule 7: protocol carp-x"),
    ],
)
def test_what_a_port_file_cannot_express_is_listed(read: Read, left: str) -> None:
    assert read.accepted == []
    (line,) = read.left
    assert line.startswith(left)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (
            aws(IpProtocol="tcp", FromPort=22, ToPort=23, IpRanges=[{"CidrIp": "10.0.0.0/8"}]),
            ["22-23/tcp from 10.0.0.0/8"],
        ),
        (
            aws(IpProtocol="udp", FromPort=-1, ToPort=-1, IpRanges=[{"CidrIp": "10.0.0.0/8"}]),
            ["0-65535/udp from 10.0.0.0/8"],
        ),
        (openstack(**{"IP Protocol": "0", "Port Range": ""}), [f"{' '.join(map(str, EVERYTHING))} from 10.0.0.0/8"]),
        (aws(IpProtocol="112", Ipv6Ranges=[{"CidrIpv6": "fd00::/8"}]), ["112/ip from fd00::/8"]),
        (aws(IpProtocol="0", Ipv6Ranges=[{"CidrIpv6": "fd00::/8"}]), ["0/ip from fd00::/8"]),
        (aws(IpProtocol="icmp", FromPort=-1, ToPort=-1, IpRanges=[{"CidrIp": "0.0.0.0/0"}]), []),
        (
            azure(
                {"access": "Deny", "sourceAddressPrefix": "10.1.0.0/16"},
                {"sourceAddressPrefixes": ["10.0.0.0/15"]} | {"sourceAddressPrefix": None},
            ),
            ["22/tcp from 10.0.0.0/16"],
        ),
        (azure({"protocol": "*", "sourceAddressPrefix": "10.0.0.4"}), ["22/tcp 22/udp from 10.0.0.4/32"]),
        (azure({"direction": "Outbound"}), []),
        (openstack(), ["22/tcp from 10.0.0.0/8"]),
        (openstack(**{"Port Range": "", "IP Protocol": "udp", "IP Range": None}), ["0-65535/udp from 0.0.0.0/0"]),
        (openstack(**{"Ethertype": "IPv6", "IP Range": ""}), ["22/tcp from ::/0"]),
        (openstack(Direction="egress"), []),
        (openstack(**{"IP Protocol": "icmp", "Port Range": "type=8:code=0"}), []),
    ],
)
def test_what_rules_accept(read: Read, text: list[str]) -> None:
    assert (shown(read), read.left) == (text, [])


def test_one_peer_that_cannot_be_read_does_not_hide_the_others() -> None:
    read = aws(IpProtocol="tcp", FromPort=1, ToPort=1, IpRanges=[{"CidrIp": "x"}, {"CidrIp": "10.0.0.0/8"}])
    assert shown(read) == ["1/tcp from 10.0.0.0/8"]
    assert len(read.left) == 1


def test_what_azure_denies_before_is_not_listed() -> None:
    deny = {"access": "Deny", "protocol": "*", "destinationPortRange": "*"}
    assert azure({}, deny, {"sourceAddressPrefix": "VirtualNetwork"}).left == []


@pytest.mark.parametrize("text", ['{"nftables": []}', "{", "[]x", "[1]", "[{}]", '{"SecurityGroups": 1}', "[" * 100000])
def test_other_texts_are_not_of_a_cloud(text: str) -> None:
    assert read_security_groups(text) is None


@pytest.mark.parametrize(
    "text",
    [
        {"SecurityGroups": [1, None, {"IpPermissions": [1, []]}, {"IpPermissions": 1}]},
        {"SecurityGroups": [{"IpPermissions": [{"IpRanges": 1}, {"IpRanges": [1]}]}]},
        {"securityRules": [1, None, {"priority": "x", "direction": 1}]},
        {"properties": {"securityRules": [{"properties": 1}]}},
        [{"access": 1, "direction": "Inbound", "priority": 1, "properties": 1}],
    ],
)
def test_forged_rules_are_listed(text: Any) -> None:
    read = read_one(text)
    assert read.accepted == []
    assert read.left


def test_a_draft_of_a_group_opens_the_same() -> None:
    read = aws(IpProtocol="tcp", FromPort=22, ToPort=22, IpRanges=[{"CidrIp": "10.0.0.0/8"}])
    draft = drafted(make_catalogue({}, ("slurm_login",)), read.accepted, ["slurm_login"])
    assert draft.flows == {
        "imported_ssh": {"from": ["net_10_0_0_0_8"], "to": ["slurm_login"], "services": ["ssh"], "need": "recommended"}
    }
