# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the rules of security groups as the programs of AWS, Azure and OpenStack print them as JSON.

The programs are `aws ec2 describe-security-groups`, `az network nsg show` or `az network nsg rule list`, and `openstack
security group rule list -f json`.

All groups of a file are those of one host. A reference to a group says nothing about addresses, so it cannot be read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING, PortRange, common_ports, merged
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.chains import Read, Unreadable
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.protocols import protocol_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.regions import (
    Decision,
    Region,
    accepted,
    everything,
    undecided,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import parse_network

with suppress(ImportError):  # `missing_library` reports a missing netaddr
    from netaddr import IPSet

Data = Mapping[str, Any]
_BOTH = ("tcp", "udp")


def read_security_groups(text: str) -> Read | None:
    """Return what the groups accept, or None for a text that is not of a cloud."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(data, dict) and isinstance(data.get("SecurityGroups"), list):
        return _read_aws(data["SecurityGroups"])
    rules = _azure_rules(data)
    if rules is not None:
        return _read_azure(rules)
    if isinstance(data, list) and all(isinstance(rule, dict) and "IP Protocol" in rule for rule in data):
        return _read_all(map(_named_openstack, data), _openstack_regions)
    return None


def _read_all(rules: Iterable[tuple[str, Data]], regions_of: Callable[[Data], list[Region]]) -> Read:
    """Return what rules accept, each of which accepts something. The order says nothing."""
    found: list[Region] = []
    left: list[str] = []
    for name, rule in rules:
        try:
            found += [region for region in regions_of(rule) if region]
        except (Unreadable, ValueError, TypeError, KeyError, AttributeError) as exc:
            left.append(f"{name}: {_reason(exc)}")
    return Read(found, left)


def _reason(exc: Exception) -> str:
    return str(exc) if isinstance(exc, ValueError) else f"not a rule as the cloud prints it ({type(exc).__name__})"


def _sources(networks: Iterable[object]) -> IPSet:
    return IPSet([parse_network(network) for network in networks])


def _limited(ports: Iterable[PortRange], first: int, last: int) -> tuple[PortRange, ...]:
    """Return those of the ports of TCP and UDP that are in a range."""
    ranges = [PortRange(protocol, first, last) for protocol in _BOTH]
    return tuple(common_ports(list(ports), ranges))


# ---- AWS

_AWS_PEERS = ("IpRanges", "Ipv6Ranges", "UserIdGroupPairs", "PrefixListIds")


def _read_aws(groups: list[Any]) -> Read:
    return _read_all(_aws_rules(groups), _aws_regions)


def _aws_rules(groups: list[Any]) -> Iterator[tuple[str, Data]]:
    """Yield each peer of each rule with its name, so that one peer that cannot be read does not hide the others."""
    for group in map(_mapping, groups):
        name = str(group.get("GroupName") or group.get("GroupId"))
        for rule in map(_mapping, _list(group.get("IpPermissions"))):
            peers = [peer for key in _AWS_PEERS for peer in _list(rule.get(key))]
            for peer in peers or [None]:
                yield f"{name} {_aws_text(rule)}", {**rule, "peer": peer, "own": group.get("GroupId")}


def _list(value: object) -> list[Any]:
    """Return a list as it is, and another value as a list, which no rule has."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _mapping(value: object) -> Data:
    return value if isinstance(value, dict) else {}


def _aws_text(rule: Data) -> str:
    ports = f" {rule['FromPort']}-{rule.get('ToPort')}" if "FromPort" in rule else ""
    return f"{rule.get('IpProtocol')}{ports}"


def _aws_regions(rule: Data) -> list[Region]:
    peer, ports = rule["peer"], _aws_ports(rule)
    if "PrefixListId" in peer:
        raise Unreadable(f"the prefix list {peer['PrefixListId']}; write its networks as an endpoint")
    if "GroupId" in peer or "GroupName" in peer:
        raise Unreadable(_reference(peer.get("GroupName") or peer["GroupId"], peer.get("GroupId") == rule["own"]))
    return [Region(_sources([peer["CidrIp"] if "CidrIp" in peer else peer["CidrIpv6"]]), ports)]


def _aws_ports(rule: Data) -> tuple[PortRange, ...]:
    protocol = str(rule["IpProtocol"])
    if protocol == "0":
        return (PortRange("ip", 0, 0),)
    ports = EVERYTHING if protocol == "-1" else protocol_ports(protocol)
    if "FromPort" in rule and {port.protocol for port in ports} & set(_BOTH) and rule["FromPort"] != -1:
        return _limited(ports, int(rule["FromPort"]), int(rule["ToPort"]))
    return ports


def _reference(name: object, itself: bool) -> str:
    if itself:
        return "a reference to the group itself; write a flow from the groups of its hosts to themselves"
    return f"a reference to the group {name}; write a flow from the groups of its hosts"


# ---- OpenStack


def _named_openstack(rule: Data) -> tuple[str, Data]:
    return f"rule {rule.get('ID')}", rule


def _openstack_regions(rule: Data) -> list[Region]:
    direction = rule.get("Direction")
    if direction is None:
        raise Unreadable("no direction; add --long to the command")
    if direction != "ingress":
        return []
    ports = _openstack_ports(rule)
    for key in ("Remote Security Group", "Remote Address Group"):
        if rule.get(key):
            raise Unreadable(_reference(rule[key], False))
    anywhere = "::/0" if rule.get("Ethertype") == "IPv6" else "0.0.0.0/0"
    return [Region(_sources([rule.get("IP Range") or anywhere]), ports)]


def _openstack_ports(rule: Data) -> tuple[PortRange, ...]:
    protocol = str(rule["IP Protocol"] or "all").lower()
    ports = EVERYTHING if protocol == "any" else protocol_ports(protocol)
    text = str(rule.get("Port Range") or "")
    if not text or not {port.protocol for port in ports} & set(_BOTH):
        return ports
    first, _colon, last = text.partition(":")
    return _limited(ports, int(first), int(last or first))


# ---- Azure


def _azure_rules(data: Any) -> list[Any] | None:
    """Return the rules of a network security group, or None for something else."""
    group = _mapping(_mapping(data).get("properties", data))
    if isinstance(group.get("securityRules"), list):
        return [*group["securityRules"], *_list(group.get("defaultSecurityRules"))]
    if isinstance(data, list) and data and all(isinstance(rule, dict) and _is_azure(rule) for rule in data):
        return data
    return None


def _is_azure(rule: Data) -> bool:
    return {"access", "direction", "priority"} <= set(_mapping(rule.get("properties")) or rule)


def _read_azure(rules: list[Any]) -> Read:
    """Return what the rules accept: the first that matches decides."""
    found: list[Decision] = []
    left: list[str] = []
    for priority, name, rule in sorted(map(_numbered, rules), key=lambda item: item[:2]):
        if not undecided(everything(), found):
            break
        try:
            found += [Decision(region, rule["access"] == "Allow") for region in _azure_regions(rule) if region]
        except (Unreadable, ValueError, TypeError, KeyError, AttributeError) as exc:
            left.append(f"{name} (priority {priority}): {_reason(exc)}")
    return Read(accepted(found), left)


def _numbered(rule: Any) -> tuple[int, str, Data]:
    data = {**_mapping(rule), **_mapping(_mapping(rule).get("properties"))}
    priority = data.get("priority")
    return priority if isinstance(priority, int) else 0, str(data.get("name")), data


def _azure_regions(rule: Data) -> list[Region]:
    if str(rule["direction"]).lower() != "inbound":
        return []
    if rule["access"] not in ("Allow", "Deny"):
        raise Unreadable(f"access {rule['access']}")
    ports = _azure_ports(rule)
    for group in _list(rule.get("sourceApplicationSecurityGroups")):
        raise Unreadable(_reference(str(group.get("id")).rpartition("/")[2], False))
    if _values(rule, "sourcePortRange") not in ([], ["*"]):
        raise Unreadable("ports of the source")
    sources = _values(rule, "sourceAddressPrefix")
    tags = [text for text in sources if text != "*" and not text[:1].isdigit() and ":" not in text]
    if tags:
        raise Unreadable(f"the service tag {', '.join(tags)}; write its networks as an endpoint")
    networks = [network for text in sources for network in (("0.0.0.0/0", "::/0") if text == "*" else (text,))]
    return [Region(_sources(networks), ports)]


def _azure_ports(rule: Data) -> tuple[PortRange, ...]:
    protocol = str(rule["protocol"]).lower()
    ports = EVERYTHING if protocol == "*" else protocol_ports(protocol)
    texts = _values(rule, "destinationPortRange")
    if texts in ([], ["*"]):
        return ports
    found: list[PortRange] = []
    for text in texts:
        first, _hyphen, last = ("0", "-", "65535") if text == "*" else text.partition("-")
        found += _limited(ports, int(first), int(last or first))
    return tuple(merged(found))


def _values(rule: Data, key: str) -> list[str]:
    """Return a value that Azure has as one text, as a list under a name in the plural, or as both."""
    plural = f"{key}es" if key.endswith("x") else f"{key}s"
    return [str(value) for value in [rule.get(key), *_list(rule.get(plural))] if value]
