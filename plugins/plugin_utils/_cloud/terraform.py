# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups as Terraform JSON, for the providers of AWS and OpenStack."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from ansible_collections.hpc.ports.plugins.module_utils._model.names import digest
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.aws import counts
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.groups import Group
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.limits import checked
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.names import description
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.openstack import (
    openstack_ports,
    openstack_rules,
    openstack_words,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.traffic import ALL, Data, Export, Single, Words

_DIRECTIONS = {"in": "ingress", "out": "egress"}
_COMMENT = "Written by hpc.ports for {}; the next run of hpc.ports.cloud replaces it. See docs/cloud.md."
# The resources of each type by name.
Resources = dict[str, dict[str, Data]]


def document(cloud: str, groups: Iterable[Group], resources: Resources, variables: Data) -> str:
    """Return the content of a .tf.json file, with the name of the group of each host as an output."""
    of_hosts = {str(host): group.name for group in groups for host in group.hosts}
    data = {
        "//": _COMMENT.format(cloud),
        "variable": variables,
        "resource": {kind: entries for kind, entries in resources.items() if entries},
        "output": {"cloud_group_of": {"value": of_hosts}},
    }
    return json.dumps({key: value for key, value in data.items() if value}, indent=2) + "\n"


def rules_by_name(group: str, entries: Iterable[Data]) -> dict[str, Data]:
    """Return rules with names by their content, so that a new rule does not rename the others."""
    return {f"{group}-{digest(entry)}": entry for entry in entries}


def id_of(kind: str, group: str) -> str:
    """Return the reference to the id of a group."""
    return f"${{{kind}.{group}.id}}"


# ---- AWS

_AWS = "aws_security_group"


def terraform_aws(groups: list[Group]) -> Export:
    """Return security groups, and a resource for each rule. Raise PortFileError for more rules than AWS can have."""
    words = Words("aws")
    resources: Resources = {
        _AWS: {
            group.name: {"name": group.name, "description": group.title, "vpc_id": "${var.vpc_id}"} for group in groups
        }
    }
    for direction, name in _DIRECTIONS.items():
        resources[f"aws_vpc_security_group_{name}_rule"] = _all_rules(groups, direction, words, _aws_entry)
    text = document("terraform_aws", groups, resources, {"vpc_id": {"type": "string"}})
    return Export(text, checked("aws", counts(groups)))


def _all_rules(
    groups: list[Group], direction: str, words: Words, entry: Callable[[str, Single], Data]
) -> dict[str, Data]:
    return {
        name: data
        for group in groups
        for rule in group.rules
        if rule.direction == direction
        for name, data in rules_by_name(
            group.name, (entry(group.name, single) for single in words.single(rule))
        ).items()
    }


def _aws_entry(group: str, single: Single) -> Data:
    key = {0: "referenced_security_group_id", 4: "cidr_ipv4", 6: "cidr_ipv6"}[single.version]
    ports = {}
    if single.ports:
        ports = {"from_port": single.ports.first, "to_port": single.ports.last}
    elif "icmp" in single.protocol:
        ports = {"from_port": -1, "to_port": -1}
    return {
        "security_group_id": id_of(_AWS, group),
        "ip_protocol": "-1" if single.protocol == ALL else single.protocol,
        **ports,
        key: id_of(_AWS, single.group) if single.group else single.network,
        "description": description(single.rule.flows) or "always accepted",
    }


# ---- OpenStack

_OPENSTACK = "openstack_networking_secgroup_v2"


def terraform_openstack(groups: list[Group]) -> Export:
    """Return security groups, and a resource for each rule."""
    words = openstack_words()
    rules: dict[str, Data] = {}
    for name, single, version in openstack_rules(groups, words):
        rules.update(rules_by_name(name, [_openstack_entry(name, single, version)]))
    resources: Resources = {
        _OPENSTACK: {
            group.name: {"name": group.name, "description": group.title, "delete_default_rules": True}
            for group in groups
        },
        "openstack_networking_secgroup_rule_v2": rules,
    }
    warnings = [*words.gaps, *checked("openstack", {("", "both"): len(rules)})]
    return Export(document("terraform_openstack", groups, resources, {}), warnings)


def _openstack_entry(group: str, single: Single, version: int) -> Data:
    ports = openstack_ports(single)
    protocol = {"icmpv6": "ipv6-icmp"}.get(single.protocol, single.protocol)
    return {
        "security_group_id": id_of(_OPENSTACK, group),
        "direction": _DIRECTIONS[single.rule.direction],
        "ethertype": f"IPv{version}",
        **({} if protocol == ALL else {"protocol": protocol}),
        **({"port_range_min": ports[0], "port_range_max": ports[1]} if ports else {}),
        **(
            {"remote_group_id": id_of(_OPENSTACK, single.group)}
            if single.group
            else {"remote_ip_prefix": single.network}
        ),
        "description": description(single.rule.flows) or "always accepted",
    }
