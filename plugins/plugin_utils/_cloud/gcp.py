# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups as variables for `google.cloud.gcp_compute_firewall`: rules of the network for hosts with the tag of a group.

Rules of a network open what any of them allows. So each group denies with a priority before that of the rules that the
default network has. A rule for packets out names networks only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.groups import ANYWHERE, Group, GroupRule
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

# The default network accepts its own addresses and ssh with the priority 65534.
_ALLOW, _DENY = 1000, 65000
_MOST_TAGS, _MOST_RANGES = 30, 256
_SIDES = {"in": "source", "out": "destination"}


def gcp(groups: list[Group]) -> Export:
    """Return the variables."""
    words = Words("gcp")
    data = [rule for group in groups for direction in _SIDES for rule in _rules(group, direction, words)]
    text = document("gcp", groups, {"cloud_rules": data})
    return Export(text, [*words.gaps, *checked("gcp", {("", "both"): len(data)})])


def _rules(group: Group, direction: str, words: Words) -> Iterator[Data]:
    """Yield the rules of one direction. Without a rule, everything passes out."""
    if direction == "out" and group.egress == "open":
        return
    head = {"direction": "INGRESS" if direction == "in" else "EGRESS", "target_tags": [group.name]}
    bodies = [body for rule in group.rules if rule.direction == direction for body in _bodies(rule, words)]
    for number, body in enumerate(bodies, 1):
        yield {"name": f"{group.name}-{direction}-{number:03}", **head, "priority": _ALLOW, **body}
    for version, network in ANYWHERE.items():
        yield {
            "name": f"{group.name}-{direction}-deny{version}",
            **head,
            "priority": _DENY,
            "denied": [{"ip_protocol": ALL}],
            f"{_SIDES[direction]}_ranges": [network],
        }


def _bodies(rule: GroupRule, words: Words) -> Iterator[Data]:
    """Yield a rule for each kind of peer: a rule has no networks of two families."""
    allowed = [_allowed(traffic) for traffic in words.of(rule)]
    side = _SIDES[rule.direction]
    peers = [
        *((f"{side}_tags", part) for part in _parts(rule.groups, _MOST_TAGS)),
        *((f"{side}_ranges", part) for version in (4, 6) for part in _parts(rule.networks_of(version), _MOST_RANGES)),
    ]
    for key, values in peers if allowed else ():
        yield {"allowed": allowed, key: values, "description": description(rule.flows) or "always accepted"}


def _parts(values: Sequence[str], most: int) -> list[list[str]]:
    return [list(values[start : start + most]) for start in range(0, len(values), most)]


def _allowed(traffic: Traffic) -> Data:
    protocol = {"icmpv6": "58"}.get(traffic.protocol, traffic.protocol)
    return {"ip_protocol": protocol, **({"ports": list(map(range_text, traffic.ranges))} if traffic.ranges else {})}
