# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups as variables for `azure.azcollection`: for each class a network and an application security group.

The first rule that matches decides, and the default rules of Azure accept the whole virtual network. So the last rule
of a group denies everything.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.groups import Group, GroupRule
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.limits import checked
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.names import description
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.traffic import (
    ALL,
    Data,
    Export,
    Traffic,
    Words,
    range_text,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.variables import document

_DIRECTIONS = {"in": "Inbound", "out": "Outbound"}
_PROTOCOLS = {"tcp": "Tcp", "udp": "Udp", "icmp": "Icmp", ALL: "*"}
FIRST, LAST = 100, 4096


def azure(groups: list[Group]) -> Export:
    """Return the variables. Raise PortFileError for a group with more rules than Azure can have."""
    words = Words("azure", _PROTOCOLS.__contains__)
    rules = {group.name: [*_rules(group, "in", words), *_rules(group, "out", words)] for group in groups}
    data = [{"name": name, "rules": own} for name, own in rules.items()]
    warnings = [
        *checked("azure", {(name, "both"): len(own) for name, own in rules.items()}),
        *checked("azure_networks", {(name, "both"): sum(map(_networks, own)) for name, own in rules.items()}),
    ]
    return Export(document("azure", groups, {"cloud_groups": data}), [*words.gaps, *warnings])


def _networks(rule: Data) -> int:
    """Return how many networks of a rule count."""
    lists = (value for key, value in rule.items() if key.endswith("_prefix"))
    return sum(len(value) if isinstance(value, list) else 1 for value in lists)


def _rules(group: Group, direction: str, words: Words) -> Iterator[Data]:
    """Yield the rules of one direction by priority."""
    bodies = [body for rule in group.rules if rule.direction == direction for body in _bodies(rule, words)]
    for priority, body in enumerate(bodies, FIRST):
        yield {"name": f"{direction}-{priority}", "priority": priority, "access": "Allow", **body}
    yield {
        "name": f"{direction}-{LAST}",
        "priority": LAST,
        "access": "Deny",
        "direction": _DIRECTIONS[direction],
        "protocol": "*",
        "source_address_prefix": "*",
        "destination_address_prefix": "*",
        "destination_port_range": "*",
        "description": "Everything else",
    }


def _bodies(rule: GroupRule, words: Words) -> Iterator[Data]:
    """Yield a rule for each kind of peer: a rule has no two kinds, and no two families."""
    side, other = ("source", "destination") if rule.direction == "in" else ("destination", "source")
    peers = [
        (f"{side}_application_security_groups", list(rule.groups)),
        *((f"{side}_address_prefix", rule.networks_of(version)) for version in (4, 6)),
    ]
    for traffic in words.of(rule):
        for key, values in peers:
            if values:
                yield {
                    "direction": _DIRECTIONS[rule.direction],
                    "protocol": _PROTOCOLS[traffic.protocol],
                    key: values,
                    f"{other}_address_prefix": "*",
                    "destination_port_range": _ports(traffic),
                    "description": description(rule.flows) or "Always accepted",
                }


def _ports(traffic: Traffic) -> list[str] | str:
    return list(map(range_text, traffic.ranges)) or "*"
