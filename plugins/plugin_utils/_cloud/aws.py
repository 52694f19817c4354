# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups as variables for `amazon.aws.ec2_security_group`: one security group for each class."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.groups import Group, GroupRule
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.limits import Counts, checked
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.names import description
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.traffic import (
    ALL,
    Data,
    Export,
    Traffic,
    range_text,
    traffic_of,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.variables import document


def aws(groups: list[Group]) -> Export:
    """Return the variables. Raise PortFileError for a group with more rules than AWS can have."""
    data = [
        {
            "name": group.name,
            "description": group.title,
            "rules": list(_rules(group, "in")),
            "rules_egress": list(_rules(group, "out")),
        }
        for group in groups
    ]
    return Export(document("aws", groups, {"cloud_groups": data}), checked("aws", counts(groups)))


def counts(groups: list[Group]) -> Counts:
    """Return how many rules count for each group: those of the IP version that has more, and all references."""
    return {
        (group.name, direction): max(
            sum(_count(rule, version) for rule in group.rules if rule.direction == direction) for version in (4, 6)
        )
        for group in groups
        for direction in ("in", "out")
    }


def _count(rule: GroupRule, version: int) -> int:
    ranges = sum(len(traffic.ranges) or 1 for traffic in traffic_of(rule.ports))
    return ranges * (len(rule.groups) + len(rule.networks_of(version)))


def _rules(group: Group, direction: str) -> Iterator[Data]:
    for rule in group.rules:
        if rule.direction == direction:
            for traffic in traffic_of(rule.ports):
                yield from _entries(rule, traffic)


def _entries(rule: GroupRule, traffic: Traffic) -> Iterator[Data]:
    """Yield one entry for each kind of peer: the module takes no two kinds in one entry."""
    peers = {"group_name": list(rule.groups), "cidr_ip": rule.networks_of(4), "cidr_ipv6": rule.networks_of(6)}
    for key, values in peers.items():
        if values:
            # The rule that AWS gives to a new group, for everything out, has no description.
            text = {"rule_desc": description(rule.flows)} if rule.flows else {}
            yield {**_ports(traffic), key: values, **text}


def _ports(traffic: Traffic) -> Data:
    if traffic.ranges:
        return {"proto": traffic.protocol, "ports": list(map(range_text, traffic.ranges))}
    if traffic.protocol == ALL:
        return {"proto": "-1"}
    # All types and codes. Other protocols have neither.
    return {"proto": traffic.protocol, **({"from_port": -1, "to_port": -1} if "icmp" in traffic.protocol else {})}
