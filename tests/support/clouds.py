# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clouds do with the first packet of a connection, by what is written for them: one simulator for each."""

from __future__ import annotations

import ipaddress
import json
import random
import re
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import yaml
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan

NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "ipv6-icmp": 58}


class Wire(NamedTuple):
    """The first packet of a connection from or to a host, with the number of its IP protocol."""

    host: str
    direction: str
    peer: str
    protocol: int
    port: int = 0

    @property
    def version(self) -> int:
        return ipaddress.ip_address(self.peer).version

    def is_in(self, networks: Iterable[str]) -> bool:
        address = ipaddress.ip_address(self.peer)
        # A network of another family contains no address.
        return any(address in ipaddress.ip_network(network) for network in networks)

    def has_port(self, ranges: Iterable[str], separator: str = "-") -> bool:
        """Return whether the port is in one of these, such as `22` or `8000-8010`."""
        bounds = [text.split(separator) for text in ranges]
        return any(int(found[0]) <= self.port <= int(found[-1]) for found in bounds)


class Simulator:
    """A cloud with the hosts of a plan, each in the group that was written for it."""

    def __init__(self, plan: Plan, text: str, hosts: Collection[str]) -> None:
        self.addresses = {
            host: [str(network.ip) for network in plan.addresses.host_networks([host])] for host in sorted(hosts)
        }
        self.group_of: Mapping[str, str] = {}
        self.load(text)

    def use(self, groups: Mapping[str, Sequence[str]]) -> None:
        """Attach groups to hosts, where what was written does not say it."""

    @abstractmethod
    def load(self, text: str) -> None:
        """Read what was written, and set `group_of`."""

    @abstractmethod
    def passes(self, wire: Wire) -> bool:
        """Return whether the packet passes the rules of the group of the host."""

    def can_say(self, wire: Wire) -> bool:
        """Return whether the cloud has rules for such a packet: the others are gaps, which it says."""
        return True

    def groups_at(self, address: str) -> set[str]:
        """Return the groups of the hosts in the cloud that have an address."""
        return {self.group_of[host] for host, own in self.addresses.items() if address in own}


class Aws(Simulator):
    """Nothing passes but what a rule names. A reference is to the private addresses of the group."""

    def load(self, text: str) -> None:
        data = yaml.safe_load(text)
        self.group_of = data["cloud_group_of"]
        self.groups = {group["name"]: group for group in data["cloud_groups"]}

    def passes(self, wire: Wire) -> bool:
        group = self.groups[self.group_of[wire.host]]
        rules = group["rules" if wire.direction == "in" else "rules_egress"]
        return any(self.matches(rule, wire) for rule in rules)

    def matches(self, rule: Mapping[str, Any], wire: Wire) -> bool:
        if rule["proto"] != "-1":
            if NUMBERS.get(rule["proto"], rule["proto"]) not in (wire.protocol, str(wire.protocol)):
                return False
            if "ports" in rule and not wire.has_port(rule["ports"]):
                return False
        if "group_name" in rule:
            return bool(self.groups_at(wire.peer) & set(rule["group_name"]))
        return wire.is_in(rule.get("cidr_ip", rule.get("cidr_ipv6")))


class Azure(Simulator):
    """The first rule by priority decides; after those of the group come the default rules of Azure."""

    def load(self, text: str) -> None:
        data = yaml.safe_load(text)
        self.group_of = data["cloud_group_of"]
        self.rules = {}
        for group in data["cloud_groups"]:
            for direction, name in (("in", "Inbound"), ("out", "Outbound")):
                own = [rule for rule in group["rules"] if rule["direction"] == name]
                assert len({rule["priority"] for rule in own}) == len({rule["name"] for rule in own}) == len(own)
                self.rules[group["name"], direction] = sorted(own, key=lambda rule: int(rule["priority"]))

    def can_say(self, wire: Wire) -> bool:
        return wire.protocol in (1, 6, 17)

    def passes(self, wire: Wire) -> bool:
        for rule in self.rules[self.group_of[wire.host], wire.direction]:
            if self.matches(rule, wire):
                return bool(rule["access"] == "Allow")
        # AllowVnetInBound, and AllowVnetOutBound and AllowInternetOutBound.
        return wire.direction == "out" or wire.is_in(["10.0.0.0/8", "fd00::/8"])

    def matches(self, rule: Mapping[str, Any], wire: Wire) -> bool:
        side, other = ("source", "destination") if wire.direction == "in" else ("destination", "source")
        assert rule[f"{other}_address_prefix"] == "*"
        protocol, ports = rule["protocol"], rule["destination_port_range"]
        if protocol != "*" and NUMBERS[protocol.lower()] != wire.protocol:
            return False
        if ports != "*" and not wire.has_port(ports):
            return False
        groups, prefixes = rule.get(f"{side}_application_security_groups"), rule.get(f"{side}_address_prefix")
        assert (groups is None) != (prefixes is None)
        if groups is not None:
            return bool(self.groups_at(wire.peer) & set(groups))
        return prefixes == "*" or wire.is_in(prefixes)


class Gcp(Simulator):
    """Rules of the whole network, and those of the default network. The lowest priority decides, and there denial."""

    DEFAULT = (
        {
            "name": "default-allow-internal",
            "direction": "INGRESS",
            "priority": 65534,
            "source_ranges": ["10.0.0.0/8"],
            "allowed": [{"ip_protocol": "tcp", "ports": ["0-65535"]}, {"ip_protocol": "udp", "ports": ["0-65535"]}],
        },
        {
            "name": "default-allow-ssh",
            "direction": "INGRESS",
            "priority": 65534,
            "source_ranges": ["0.0.0.0/0"],
            "allowed": [{"ip_protocol": "tcp", "ports": ["22"]}],
        },
    )

    def load(self, text: str) -> None:
        data = yaml.safe_load(text)
        self.group_of = data["cloud_group_of"]
        rules = [*data["cloud_rules"], *self.DEFAULT]
        assert len({rule["name"] for rule in rules}) == len(rules)
        self.rules = sorted(rules, key=lambda rule: (rule["priority"], "denied" not in rule))
        # A tag stands for the first address of each family.
        self.addresses = {
            host: list({":" in address: address for address in reversed(own)}.values())
            for host, own in self.addresses.items()
        }

    def passes(self, wire: Wire) -> bool:
        for rule in self.rules:
            if self.matches(rule, wire):
                return "allowed" in rule
        return wire.direction == "out"

    def matches(self, rule: Mapping[str, Any], wire: Wire) -> bool:
        if (rule["direction"] == "INGRESS") != (wire.direction == "in"):
            return False
        if self.group_of[wire.host] not in rule.get("target_tags", [self.group_of[wire.host]]):
            return False
        if not any(self.has_traffic(entry, wire) for entry in rule.get("allowed", rule.get("denied"))):
            return False
        side = "source" if wire.direction == "in" else "destination"
        assert wire.direction == "in" or "destination_tags" not in rule
        ranges = rule.get(f"{side}_ranges", [])
        assert len({":" in network for network in ranges}) <= 1
        return bool(self.groups_at(wire.peer) & set(rule.get(f"{side}_tags", []))) or wire.is_in(ranges)

    def has_traffic(self, entry: Mapping[str, Any], wire: Wire) -> bool:
        name = entry["ip_protocol"]
        if name == "all":
            return True
        number = NUMBERS[name] if name in NUMBERS else int(name)
        return number == wire.protocol and ("ports" not in entry or wire.has_port(entry["ports"]))


class OpenStack(Simulator):
    """Nothing passes but what a rule names, in its own family."""

    def load(self, text: str) -> None:
        data = yaml.safe_load(text)
        self.group_of = data["cloud_group_of"]
        self.groups = {group["name"]: group["security_group_rules"] for group in data["cloud_groups"]}

    def passes(self, wire: Wire) -> bool:
        return any(self.matches(rule, wire) for rule in self.groups[self.group_of[wire.host]])

    def matches(self, rule: Mapping[str, Any], wire: Wire) -> bool:
        if rule["direction"] != {"in": "ingress", "out": "egress"}[wire.direction]:
            return False
        if rule["ether_type"] != f"IPv{wire.version}":
            return False
        name = rule.get("protocol") or "any"
        # The number 0 is all protocols as well.
        if name not in ("any", "0") and (NUMBERS[name] if name in NUMBERS else int(name)) != wire.protocol:
            return False
        if "port_range_min" in rule:
            assert rule["port_range_min"] >= 1 and name in ("tcp", "udp")
            if not rule["port_range_min"] <= wire.port <= rule["port_range_max"]:
                return False
        assert ("remote_group" in rule) != ("remote_ip_prefix" in rule)
        if "remote_group" in rule:
            return rule["remote_group"] in self.groups_at(wire.peer)
        return wire.is_in([rule["remote_ip_prefix"]])


class TerraformOpenStack(OpenStack):
    """What Terraform makes of the resources: groups without the default rules."""

    def load(self, text: str) -> None:
        data = json.loads(text)
        self.group_of = data["output"]["cloud_group_of"]["value"]
        kind = "openstack_networking_secgroup_v2"
        groups = data["resource"][kind]
        assert all(group["delete_default_rules"] for group in groups.values())
        self.groups = {group["name"]: [] for group in groups.values()}
        for rule in data["resource"]["openstack_networking_secgroup_rule_v2"].values():
            own = {**rule, "ether_type": rule["ethertype"]}
            if "remote_group_id" in rule:
                own["remote_group"] = referred(groups, kind, rule["remote_group_id"])
            self.groups[referred(groups, kind, rule["security_group_id"])].append(own)


def referred(groups: Mapping[str, Any], kind: str, text: str) -> str:
    """Return the name of the group that an expression of Terraform refers to."""
    match = re.fullmatch(rf"\$\{{{kind}\.([a-z0-9-]+)\.id\}}", text)
    assert match
    return str(groups[match[1]].get("name", groups[match[1]].get("security_group_name")))


class TerraformAws(Simulator):
    """What Terraform makes of the resources: it removes the rule for everything out."""

    def load(self, text: str) -> None:
        data = json.loads(text)
        self.group_of = data["output"]["cloud_group_of"]["value"]
        groups = data["resource"]["aws_security_group"]
        self.rules: dict[tuple[str, str], list[Any]] = {}
        for direction, name in (("in", "ingress"), ("out", "egress")):
            for rule in data["resource"].get(f"aws_vpc_security_group_{name}_rule", {}).values():
                group = referred(groups, "aws_security_group", rule["security_group_id"])
                peer = rule.get("referenced_security_group_id")
                own = {**rule, "group": peer and referred(groups, "aws_security_group", peer)}
                self.rules.setdefault((group, direction), []).append(own)

    def passes(self, wire: Wire) -> bool:
        rules = self.rules.get((self.group_of[wire.host], wire.direction), [])
        return any(self.matches(rule, wire) for rule in rules)

    def matches(self, rule: Mapping[str, Any], wire: Wire) -> bool:
        name = rule["ip_protocol"]
        if name == "-1":
            assert "from_port" not in rule
        elif (NUMBERS[name] if name in NUMBERS else int(name)) != wire.protocol:
            return False
        if "from_port" in rule and wire.port and not rule["from_port"] <= wire.port <= rule["to_port"]:
            return False
        if rule["group"]:
            return rule["group"] in self.groups_at(wire.peer)
        return wire.is_in([rule.get("cidr_ipv4", rule.get("cidr_ipv6"))])


class Alibaba(Simulator):
    """The lowest priority decides, and there a drop. Without a rule, what goes out and within a group passes."""

    def load(self, text: str) -> None:
        data = json.loads(text)
        self.group_of = data["output"]["cloud_group_of"]["value"]
        kind = "alicloud_security_group"
        groups = data["resource"][kind]
        self.inner = {group["security_group_name"]: group["inner_access_policy"] for group in groups.values()}
        self.rules: dict[tuple[str, str], list[Any]] = {}
        for rule in data["resource"][f"{kind}_rule"].values():
            assert 1 <= rule["priority"] <= 100 and rule["ip_protocol"] in ("tcp", "udp", "icmp", "gre", "all")
            peer = rule.get("source_security_group_id")
            own = {**rule, "group": peer and referred(groups, kind, peer)}
            self.rules.setdefault((referred(groups, kind, rule["security_group_id"]), rule["type"]), []).append(own)
        for rules in self.rules.values():
            rules.sort(key=lambda rule: (rule["priority"], rule["policy"] != "drop"))

    def can_say(self, wire: Wire) -> bool:
        return wire.protocol in (1, 6, 17)

    def passes(self, wire: Wire) -> bool:
        group = self.group_of[wire.host]
        for rule in self.rules.get((group, "ingress" if wire.direction == "in" else "egress"), []):
            if self.matches(rule, wire):
                return bool(rule["policy"] == "accept")
        if group in self.groups_at(wire.peer) and self.inner[group] == "Accept":
            return True
        return wire.direction == "out"

    def matches(self, rule: Mapping[str, Any], wire: Wire) -> bool:
        if rule["ip_protocol"] not in ("all", "gre") and NUMBERS[rule["ip_protocol"]] != wire.protocol:
            return False
        if rule["ip_protocol"] == "gre":
            return False
        first, last = map(int, rule["port_range"].split("/"))
        if rule["ip_protocol"] in ("tcp", "udp"):
            assert 1 <= first <= last
            if not first <= wire.port <= last:
                return False
        if rule["group"]:
            return rule["group"] in self.groups_at(wire.peer)
        return wire.is_in([rule.get("cidr_ip", rule.get("ipv6_cidr_ip"))])


class Kubernetes(Simulator):
    """A pod that a policy selects accepts what its rules name; without peers or ports, a rule is for all of them."""

    def load(self, text: str) -> None:
        self.policies = list(yaml.safe_load_all(text))
        self.names = {policy["metadata"]["name"] for policy in self.policies}

    def use(self, groups: Mapping[str, Sequence[str]]) -> None:
        """Give the pods the labels of their groups."""
        self.group_of = {host: name for name, hosts in groups.items() for host in hosts}
        assert set(groups) == self.names

    def can_say(self, wire: Wire) -> bool:
        return wire.protocol in (6, 17)

    def passes(self, wire: Wire) -> bool:
        kind, key, side = {"in": ("Ingress", "ingress", "from"), "out": ("Egress", "egress", "to")}[wire.direction]
        labels = {"hpc-ports/group": self.group_of[wire.host]}
        policies = [
            policy["spec"]
            for policy in self.policies
            if is_selected(policy["spec"]["podSelector"], labels) and kind in policy["spec"]["policyTypes"]
        ]
        rules = [rule for spec in policies for rule in spec[key]]
        return not policies or any(self.matches(rule, side, wire) for rule in rules)

    def matches(self, rule: Mapping[str, Any], side: str, wire: Wire) -> bool:
        peers, ports = rule.get(side, []), rule.get("ports", [])
        return (not peers or any(self.is_peer(peer, wire) for peer in peers)) and (
            not ports or any(is_port(port, wire) for port in ports)
        )

    def is_peer(self, peer: Mapping[str, Any], wire: Wire) -> bool:
        if "ipBlock" in peer:
            return wire.is_in([peer["ipBlock"]["cidr"]])
        groups = self.groups_at(wire.peer)
        return any(is_selected(peer["podSelector"], {"hpc-ports/group": group}) for group in groups)


def is_selected(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def is_port(port: Mapping[str, Any], wire: Wire) -> bool:
    if NUMBERS[port["protocol"].lower()] != wire.protocol:
        return False
    return "port" not in port or port["port"] <= wire.port <= port.get("endPort", port["port"])


# ---- what the plan says


def expected(plan: Plan, wire: Wire) -> bool:
    """Return the verdict of the policy of the host, which in a cloud is always enforced."""
    policy = parse_policy(plan.policies[plan.hosts[wire.host]])._replace(mode="enforce")
    names = {6: "tcp", 17: "udp"}
    port = wire.port if wire.protocol in names else wire.protocol
    packet = Packet(wire.direction, names.get(wire.protocol, "ip"), wire.peer, port)
    return evaluate(policy, packet).passes


def wires(plan: Plan, hosts: Collection[str], seed: int, number: int) -> Iterator[Wire]:
    """Yield random packets, many of them among hosts, and of ports where rules begin and end."""
    source = random.Random(seed)
    everyone = plan.inventory.hosts
    own = [
        str(network.ip)
        for host in everyone
        for is_source in (False, True)
        for network in plan.addresses.host_networks([host], source=is_source)
    ]
    near = [*(f"10.0.0.{last}" for last in range(20)), *(f"fd00::{last:x}" for last in range(20)), "192.0.2.1"]
    protocols = [6] * 8 + [17] * 6 + [1, 50, 112, 200]
    for _copy in range(number):
        protocol = source.choice(protocols)
        port = source.choice([source.randrange(1, 32), 22, 65535]) if protocol in (6, 17) else 0
        peer = source.choice(own if source.random() < 0.6 else near)
        # ICMP and ICMPv6 go with their own family only.
        protocol = 58 if protocol == 1 and ":" in peer else protocol
        yield Wire(source.choice(sorted(hosts)), source.choice(["in", "out"]), peer, protocol, port)


SIMULATORS: dict[str, type[Simulator]] = {
    "aws": Aws,
    "azure": Azure,
    "gcp": Gcp,
    "openstack": OpenStack,
    "alibaba": Alibaba,
    "terraform_aws": TerraformAws,
    "terraform_openstack": TerraformOpenStack,
    "kubernetes": Kubernetes,
}
