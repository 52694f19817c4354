# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security groups in the API of EC2: bring them to the state that is written, as `ec2_security_group` does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.tests.support.printed_groups import permissions

_PEERS = {"IpRanges": "CidrIp", "Ipv6Ranges": "CidrIpv6", "UserIdGroupPairs": "GroupId"}


class Permission(NamedTuple):
    """One permission with one peer: its kind, and its network or the id of its group."""

    protocol: str
    first: int | None
    last: int | None
    kind: str
    peer: str

    def as_data(self) -> dict[str, Any]:
        ports = {} if self.first is None else {"FromPort": self.first, "ToPort": self.last}
        return {"IpProtocol": self.protocol, **ports, self.kind: [{_PEERS[self.kind]: self.peer}]}


def single(entries: Iterable[Mapping[str, Any]]) -> set[Permission]:
    """Return what the API takes or gives as permissions with one peer each."""
    return {
        Permission(entry["IpProtocol"], entry.get("FromPort"), entry.get("ToPort"), kind, peer[key])
        for entry in entries
        for kind, key in _PEERS.items()
        for peer in entry.get(kind, [])
    }


class Groups:
    """The security groups of one VPC."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.vpc = client.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]

    def described(self) -> dict[str, Any]:
        """Return the groups by name, without the one that every VPC has."""
        found = self.client.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])
        return {group["GroupName"]: group for group in found["SecurityGroups"] if group["GroupName"] != "default"}

    def apply(self, groups: Iterable[Mapping[str, Any]]) -> int:
        """Create groups and change their rules; return the number of changes."""
        groups = list(groups)
        changes, described = 0, self.described()
        for group in groups:
            if group["name"] not in described:
                names = {"GroupName": group["name"], "Description": group["description"]}
                self.client.create_security_group(**names, VpcId=self.vpc)
                changes += 1
        described = self.described()
        ids = {name: group["GroupId"] for name, group in described.items()}
        return changes + sum(self._change(group, described[group["name"]], ids) for group in groups)

    def _change(self, group: Mapping[str, Any], present: Mapping[str, Any], ids: Mapping[str, str]) -> int:
        changes = 0
        for key, rules, word in (
            ("IpPermissions", "rules", "ingress"),
            ("IpPermissionsEgress", "rules_egress", "egress"),
        ):
            wanted, found = single(permissions(group[rules], ids)), single(present[key])
            for call, difference in (("revoke", found - wanted), ("authorize", wanted - found)):
                if difference:
                    data = [permission.as_data() for permission in sorted(difference, key=str)]
                    change = getattr(self.client, f"{call}_security_group_{word}")
                    change(GroupId=present["GroupId"], IpPermissions=data)
                    changes += len(difference)
        return changes

    def variables(self) -> list[dict[str, Any]]:
        """Return the groups as the variables from which they come."""
        described = self.described()
        names = {group["GroupId"]: name for name, group in described.items()}
        return [
            {
                "name": name,
                "rules": [_rule(permission, names) for permission in single(group["IpPermissions"])],
                "rules_egress": [_rule(permission, names) for permission in single(group["IpPermissionsEgress"])],
            }
            for name, group in described.items()
        ]


def _rule(permission: Permission, names: Mapping[str, str]) -> dict[str, Any]:
    key = {"IpRanges": "cidr_ip", "Ipv6Ranges": "cidr_ipv6", "UserIdGroupPairs": "group_name"}[permission.kind]
    peer = names.get(permission.peer, permission.peer)
    ports = {} if permission.first is None else {"ports": [f"{permission.first}-{permission.last}"]}
    return {"proto": permission.protocol, **(ports if permission.protocol in ("tcp", "udp") else {}), key: [peer]}
