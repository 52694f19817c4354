# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups as NetworkPolicy of Kubernetes, for workspaces that are pods with the label of their group."""

from __future__ import annotations

from collections.abc import Iterator

import yaml
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.groups import Group, GroupRule
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.traffic import ALL, Data, Export, Traffic, Words
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.variables import HEAD

# The label of a pod with the name of its group, and the label of our policies, by which old ones are removed.
LABEL, MANAGED = "hpc-ports/group", "hpc-ports/managed"
_PEERS = {"in": "from", "out": "to"}


def kubernetes(groups: list[Group]) -> Export:
    """Return one policy for each group. They apply in the namespace in which they are created."""
    words = Words("kubernetes", ALL.__eq__)
    policies = [_policy(group, words) for group in groups]
    text = yaml.safe_dump_all(policies, sort_keys=False, width=120, explicit_start=True)
    return Export(HEAD.format("kubernetes") + text, words.gaps)


def _policy(group: Group, words: Words) -> Data:
    spec: Data = {
        "podSelector": _selector(group.name),
        "policyTypes": ["Ingress"],
        "ingress": _rules(group, "in", words),
    }
    if group.egress == "restricted":
        spec["policyTypes"].append("Egress")
        spec["egress"] = _rules(group, "out", words)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": group.name, "labels": {MANAGED: "true"}, "annotations": {"hpc-ports/class": group.title}},
        "spec": spec,
    }


def _selector(group: str) -> Data:
    return {"matchLabels": {LABEL: group}}


def _rules(group: Group, direction: str, words: Words) -> list[Data]:
    return [body for rule in group.rules if rule.direction == direction for body in _bodies(rule, direction, words)]


def _bodies(rule: GroupRule, direction: str, words: Words) -> Iterator[Data]:
    """Yield a rule with ports, or one without for all packets. Without peers it would be open to everyone."""
    traffic = list(words.of(rule))
    peers = [
        *({"podSelector": _selector(group)} for group in rule.groups),
        *({"ipBlock": {"cidr": network}} for network in rule.networks),
    ]
    if traffic and peers:
        ports = [] if traffic[0].protocol == ALL else [entry for own in traffic for entry in _ports(own)]
        yield {_PEERS[direction]: peers, **({"ports": ports} if ports else {})}


def _ports(traffic: Traffic) -> Iterator[Data]:
    protocol = traffic.protocol.upper()
    for ports in traffic.ranges:
        if ports.first <= 1 and ports.last == 65535:
            yield {"protocol": protocol}
        else:
            first, last = max(ports.first, 1), max(ports.last, 1)
            yield {"protocol": protocol, "port": first, **({"endPort": last} if last > first else {})}
