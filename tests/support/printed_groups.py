# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of groups as the programs of a cloud print them, from the variables that are written for its modules."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Data = Mapping[str, Any]


def permissions(rules: list[Data], ids: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield what the API of EC2 takes and gives for rules of `ec2_security_group`, one peer each."""
    for rule in rules:
        ports = [text.split("-") for text in rule.get("ports", [])] or [[]]
        for bounds in ports:
            both = (int(bounds[0]), int(bounds[-1])) if bounds else (rule.get("from_port"), rule.get("to_port"))
            head: dict[str, Any] = {"IpProtocol": rule["proto"]}
            if both[0] is not None:
                head["FromPort"], head["ToPort"] = both
            yield from ({**head, "IpRanges": [{"CidrIp": network}]} for network in rule.get("cidr_ip", []))
            yield from ({**head, "Ipv6Ranges": [{"CidrIpv6": network}]} for network in rule.get("cidr_ipv6", []))
            for name in rule.get("group_name", []):
                yield {**head, "UserIdGroupPairs": [{"GroupId": (ids or {}).get(name, name)}]}


def aws(group: Data) -> str:
    """Return the output of `aws ec2 describe-security-groups`."""
    printed = {"GroupId": "sg-1", "GroupName": group["name"], "IpPermissions": list(permissions(group["rules"]))}
    return json.dumps({"SecurityGroups": [printed]})


_PLURALS = {
    "source_address_prefix": ("sourceAddressPrefix", "sourceAddressPrefixes"),
    "destination_address_prefix": ("destinationAddressPrefix", "destinationAddressPrefixes"),
    "destination_port_range": ("destinationPortRange", "destinationPortRanges"),
}
# What every network security group of Azure has.
DEFAULT_RULES = [
    ("AllowVnetInBound", 65000, "Allow", "VirtualNetwork"),
    ("AllowAzureLoadBalancerInBound", 65001, "Allow", "AzureLoadBalancer"),
    ("DenyAllInBound", 65500, "Deny", "*"),
]


def azure(group: Data) -> str:
    """Return the output of `az network nsg show`."""
    rules = []
    for rule in group["rules"]:
        printed = {key: rule[key] for key in ("name", "priority", "access", "direction", "protocol")}
        for key, (one, several) in _PLURALS.items():
            value = rule.get(key)
            printed |= {one: None, several: value} if isinstance(value, list) else {one: value, several: []}
        rules.append({**printed, "sourcePortRange": "*", "sourcePortRanges": []})
    default = [
        {"name": name, "priority": priority, "access": access, "direction": "Inbound", "protocol": "*"}
        | {"sourceAddressPrefix": source, "sourcePortRange": "*", "destinationPortRange": "*"}
        for name, priority, access, source in DEFAULT_RULES
    ]
    return json.dumps({"name": group["name"], "securityRules": rules[::-1], "defaultSecurityRules": default})


def openstack(group: Data) -> str:
    """Return the output of `openstack security group rule list -f json`."""
    return json.dumps(
        [
            {
                "ID": str(number),
                "IP Protocol": None if rule["protocol"] == "any" else rule["protocol"],
                "Ethertype": rule["ether_type"],
                "IP Range": rule.get("remote_ip_prefix"),
                "Port Range": f"{rule['port_range_min']}:{rule['port_range_max']}" if "port_range_min" in rule else "",
                "Direction": rule["direction"],
                "Remote Security Group": rule.get("remote_group"),
            }
            for number, rule in enumerate(group["security_group_rules"])
        ]
    )


PRINTED: dict[str, Callable[[Data], str]] = {"aws": aws, "azure": azure, "openstack": openstack}
