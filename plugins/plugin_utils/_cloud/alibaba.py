# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups as Terraform JSON for the ECS of Alibaba Cloud: basic security groups, which can be peers of rules.

The hosts of a basic group reach each other, unless its inner access policy is to drop. Everything passes out, unless a
rule drops it.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.groups import ANYWHERE, Group
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.limits import checked
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.names import description
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.terraform import (
    Resources,
    document,
    id_of,
    rules_by_name,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.traffic import ALL, Data, Export, Single, Words

_GROUP = "alicloud_security_group"
_DIRECTIONS = {"in": "ingress", "out": "egress"}
_PROTOCOLS = {"tcp": "tcp", "udp": "udp", "icmp": "icmp", "47": "gre", ALL: "all"}
# The number of a rule that decides before others, and of one that decides after them.
_FIRST, _LAST = 1, 100


def alibaba(groups: list[Group]) -> Export:
    """Return security groups, and a resource for each rule."""
    words = Words("alibaba", _PROTOCOLS.__contains__)
    rules = {group.name: rules_by_name(group.name, _entries(group, words)) for group in groups}
    resources: Resources = {
        _GROUP: {
            group.name: {
                "security_group_name": group.name,
                "description": group.title,
                "vpc_id": "${var.vpc_id}",
                "security_group_type": "normal",
                "inner_access_policy": "Drop",
            }
            for group in groups
        },
        f"{_GROUP}_rule": {name: entry for entries in rules.values() for name, entry in entries.items()},
    }
    text = document("alibaba", groups, resources, {"vpc_id": {"type": "string"}})
    return Export(text, [*words.gaps, *checked("alibaba", {(name, "both"): len(own) for name, own in rules.items()})])


def _entries(group: Group, words: Words) -> Iterator[Data]:
    for rule in group.rules:
        if rule.direction == "in" or group.egress == "restricted":
            for single in words.single(rule):
                yield _accept(group.name, single)
    if group.egress == "restricted":
        for version in ANYWHERE:
            yield {
                **_rule(group.name, "out", "drop", _LAST),
                "ip_protocol": ALL,
                "port_range": "-1/-1",
                **_network(version, ANYWHERE[version]),
            }


def _rule(group: str, direction: str, policy: str, priority: int) -> Data:
    return {
        "security_group_id": id_of(_GROUP, group),
        "type": _DIRECTIONS[direction],
        "policy": policy,
        "priority": priority,
        "nic_type": "intranet",
    }


def _accept(group: str, single: Single) -> Data:
    ports = single.ports and f"{max(single.ports.first, 1)}/{max(single.ports.last, 1)}"
    return {
        **_rule(group, single.rule.direction, "accept", _FIRST),
        "ip_protocol": _PROTOCOLS[single.protocol],
        "port_range": ports or "-1/-1",
        **(
            {"source_security_group_id": id_of(_GROUP, single.group)}
            if single.group
            else _network(single.version, single.network)
        ),
        "description": description(single.rule.flows) or "always accepted",
    }


def _network(version: int, network: str) -> Data:
    return {"cidr_ip" if version == 4 else "ipv6_cidr_ip": network}
