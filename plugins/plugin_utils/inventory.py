# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory as the plan needs it: each host's own variables, validated, with the plan's own defaults."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils.ports import PortRange
from ansible_collections.hpc.ports.plugins.plugin_utils.ansible_ssh import Reach, reach_of
from ansible_collections.hpc.ports.plugins.plugin_utils.checks import choice_of, range_of, texts_of
from ansible_collections.hpc.ports.plugins.plugin_utils.errors import invalid
from ansible_collections.hpc.ports.plugins.plugin_utils.groups import CANONICAL_GROUPS

# Role defaults of other hosts are not in hostvars, so the plan has its own, equal to the role's (tested).
HOST_DEFAULTS: dict[str, Any] = {
    "firewall_addresses": [],
    "firewall_source_addresses": [],
    "firewall_cluster": "default",
    "firewall_egress": "open",
    "firewall_mode": "enforce",
    "firewall_backend": "auto",
    "firewall_trusted_interfaces": [],
    "firewall_container_interfaces": [
        "br-*", "cali*", "cni*", "docker*", "incusbr*", "lxc*", "lxdbr*", "podman*", "veth*", "virbr*"],
    "firewall_ephemeral_ports": "32768-60999",
}
# A Linux interface name has up to 15 bytes; a * at the end stands for any rest.
_INTERFACE = re.compile(r"[A-Za-z0-9_.:@-]{1,15}|[A-Za-z0-9_.:@-]{1,14}\*", re.ASCII)


@dataclass(frozen=True)
class Host:
    """One host: where it is reached and comes from (addresses or names, as written), and how it is protected.

    `reach` is how Ansible gets there.
    """

    name: str
    addresses: tuple[str, ...]
    source_addresses: tuple[str, ...]
    clusters: frozenset[str]
    egress: str
    mode: str
    backend: str
    trusted_interfaces: tuple[str, ...]
    container_interfaces: tuple[str, ...]
    ephemeral_ports: PortRange
    reach: Reach


@dataclass(frozen=True)
class Inventory:
    """Hosts by name, and the members of each group."""

    hosts: Mapping[str, Host]
    groups: Mapping[str, Collection[str]]

    @cached_property
    def managed(self) -> frozenset[str]:
        """Members of the canonical groups."""
        return frozenset(host for group in CANONICAL_GROUPS for host in self.groups.get(group, ()))


def load_inventory(groups: Mapping[str, Collection[str]],
                   variables_of: Callable[[str], Mapping[str, Any]]) -> Inventory:
    """Return the inventory; `variables_of` gives a host's variables, templated. Raises PortFileError."""
    names = sorted({host for members in groups.values() for host in members})
    return Inventory({name: load_host(name, variables_of(name)) for name in names}, groups)


def load_host(name: str, variables: Mapping[str, Any]) -> Host:
    """Return one host from its variables; raises PortFileError, which names the host and the variable."""
    values = {key: variables.get(key, default) for key, default in HOST_DEFAULTS.items()}

    def key(variable: str) -> str:
        return f"{variable} of host {name}"

    def texts(variable: str) -> tuple[str, ...]:
        return texts_of(key(variable), values[variable], "addresses or names", may_be_empty=True)

    reach = reach_of(str(variables.get("ansible_host") or name), variables)
    addresses = texts("firewall_addresses") or (reach.address,)
    return Host(
        name=name,
        addresses=addresses,
        source_addresses=texts("firewall_source_addresses") or addresses,
        clusters=_clusters(key("firewall_cluster"), values["firewall_cluster"]),
        egress=choice_of(key("firewall_egress"), values["firewall_egress"], ("open", "restricted")),
        mode=choice_of(key("firewall_mode"), values["firewall_mode"], ("enforce", "observe")),
        backend=choice_of(key("firewall_backend"), values["firewall_backend"], ("auto", "nftables", "firewalld")),
        trusted_interfaces=_interfaces(key("firewall_trusted_interfaces"), values["firewall_trusted_interfaces"]),
        container_interfaces=_interfaces(key("firewall_container_interfaces"), values["firewall_container_interfaces"]),
        ephemeral_ports=range_of(key("firewall_ephemeral_ports"), values["firewall_ephemeral_ports"]),
        reach=reach,
    )


def _clusters(key: str, value: Any) -> frozenset[str]:
    names = texts_of(key, [value] if isinstance(value, str) else value, "cluster names")
    return frozenset(names)


def _interfaces(key: str, value: Any) -> tuple[str, ...]:
    names = texts_of(key, value, "interface names", may_be_empty=True)
    for name in names:
        if not _INTERFACE.fullmatch(name):
            raise invalid(key, name, "an interface name of up to 15 letters, such as 'ib0' or 'cni*'")
    return tuple(sorted(set(names)))
