# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clouds do with the first packet of a connection, by what is written for them: one simulator for each."""

from __future__ import annotations

import ipaddress
import random
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
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
            host: {str(network.ip) for network in plan.addresses.host_networks([host])} for host in sorted(hosts)
        }
        self.group_of: Mapping[str, str] = {}
        self.load(text)

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
    for _ in range(number):
        protocol = source.choice(protocols)
        port = source.choice([source.randrange(1, 32), 22, 65535]) if protocol in (6, 17) else 0
        peer = source.choice(own if source.random() < 0.6 else near)
        # ICMP and ICMPv6 go with their own family only.
        protocol = 58 if protocol == 1 and ":" in peer else protocol
        yield Wire(source.choice(sorted(hosts)), source.choice(["in", "out"]), peer, protocol, port)


SIMULATORS: dict[str, type[Simulator]] = {"aws": Aws}
