# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clouds: for each what its groups can be peers of, and what writes them."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.alibaba import alibaba
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.aws import aws
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.azure import azure
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.gcp import gcp
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.groups import Group, Scope, groups_of
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.kubernetes import kubernetes
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.names import checked_prefix
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.openstack import openstack
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.terraform import terraform_aws, terraform_openstack
from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.traffic import Writer
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, listed

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan


class Written(NamedTuple):
    """The content of a file, what the user has to know about it, and the hosts of each group."""

    text: str
    warnings: list[str]
    groups: dict[str, list[str]]


class Cloud(NamedTuple):
    """A writer, and the directions in which a rule can name groups; `one_address` is that of `Scope`.

    `usual_hosts` are the groups of the inventory that are in the cloud; none stands for all managed hosts.
    """

    write: Writer
    references: tuple[str, ...] = ("in", "out")
    one_address: bool = False
    usual_hosts: tuple[str, ...] = ()


CLOUDS = {
    "aws": Cloud(aws),
    "azure": Cloud(azure),
    # Tags are peers of packets in only, and stand for the first address of a family.
    "gcp": Cloud(gcp, references=("in",), one_address=True),
    "openstack": Cloud(openstack),
    "alibaba": Cloud(alibaba),
    "terraform_aws": Cloud(terraform_aws),
    "terraform_openstack": Cloud(terraform_openstack),
    "kubernetes": Cloud(kubernetes, usual_hosts=("workspace",)),
}


def export(plan: Plan, cloud: str, hosts: Collection[str], prefix: str, references: bool = True) -> Written:
    """Return what is written for a cloud that has these hosts. Without `references`, all peers are networks.

    Raise PortFileError if none of the hosts has a policy, or if the cloud cannot have the rules.
    """
    if not any(host in plan.hosts for host in hosts):
        raise PortFileError(
            "Invalid cloud_hosts: got no host with a firewall, expected at least one. Name a group of hosts that the "
            "collection manages."
        )
    chosen = CLOUDS[cloud]
    directions = chosen.references if references else ()
    groups = groups_of(plan, Scope(frozenset(hosts), checked_prefix(prefix), directions, chosen.one_address))
    written = chosen.write(groups)
    members = {group.name: list(group.hosts) for group in groups}
    return Written(written.text, [*_warnings(groups), *written.warnings], members)


def _warnings(groups: list[Group]) -> list[str]:
    observed = [group.name for group in groups if group.mode == "observe"]
    trusting = [group.name for group in groups if group.trusted_interfaces]
    warnings = []
    if observed:
        warnings.append(
            f"A cloud has no observe mode: the rules of {listed(observed)} are enforced as soon as you apply them."
        )
    if trusting:
        warnings.append(
            f"Hosts of {listed(trusting)} accept everything on firewall_trusted_interfaces. The rules do not: attach "
            "the groups to the other interfaces only."
        )
    return warnings
