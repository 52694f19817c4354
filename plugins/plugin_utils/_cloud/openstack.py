# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups as variables for `openstack.cloud.security_group`, whose rules `security_group_rule` takes as well."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.groups import Group
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.limits import checked
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.names import description
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.traffic import ALL, Data, Export, Single, Words
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.variables import document

_DIRECTIONS = {"in": "ingress", "out": "egress"}
_PROTOCOLS = {"icmpv6": "ipv6-icmp", ALL: "any"}


def openstack(groups: list[Group]) -> Export:
    """Return the variables."""
    words = openstack_words()
    rules: dict[str, list[Data]] = {group.name: [] for group in groups}
    for name, single, version in openstack_rules(groups, words):
        rules[name].append(_entry(single, version))
    data = [
        {"name": group.name, "description": group.title, "security_group_rules": rules[group.name]} for group in groups
    ]
    text = document("openstack", groups, {"cloud_groups": data})
    return Export(text, [*words.gaps, *checked("openstack", {("", "both"): sum(map(len, rules.values()))})])


def openstack_words() -> Words:
    """Return the protocols of OpenStack: 0 stands for all of them, not for the protocol with this number."""
    return Words("openstack", lambda protocol: protocol != "0")


def openstack_rules(groups: list[Group], words: Words) -> Iterator[tuple[str, Single, int]]:
    """Yield the rules with the names of their groups, each for one family.

    A reference needs a rule for each family of the group that is the peer.
    """
    versions = {group.name: group.versions for group in groups}
    for group in groups:
        for rule in group.rules:
            for single in words.single(rule):
                for version in versions[single.group] if single.group else (single.version,):
                    yield group.name, single, version


def openstack_ports(single: Single) -> tuple[int, int] | None:
    """Return the first and last port, or None for all. OpenStack has no port 0."""
    if single.ports is None or (single.ports.first <= 1 and single.ports.last == 65535):
        return None
    return max(single.ports.first, 1), max(single.ports.last, 1)


def _entry(single: Single, version: int) -> Data:
    ports = openstack_ports(single)
    return {
        "direction": _DIRECTIONS[single.rule.direction],
        "ether_type": f"IPv{version}",
        "protocol": _PROTOCOLS.get(single.protocol, single.protocol),
        **({"port_range_min": ports[0], "port_range_max": ports[1]} if ports else {}),
        **({"remote_group": single.group} if single.group else {"remote_ip_prefix": single.network}),
        "description": description(single.rule.flows) or "always accepted",
    }
