# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of a plan: the variables of each host, validated, with defaults."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import shown_value
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.nesting import check_nesting
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.ssh_variables import REACH_VARIABLES, Reach, reach_of
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.validators import (
    choice_of,
    interface_patterns_of,
    list_of,
    name_of,
    range_of,
    text_of,
    texts_of,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.variables import HOST_DEFAULTS, unknown_variables


@dataclass(frozen=True)
class Host:
    """One host of the inventory.

    Other hosts reach it at `addresses`. Its connections come from `source_addresses`. Both are addresses or names, as
    written. Another host may also have the `shared_addresses`. `reach` is how Ansible connects. `addressed_by` is the
    variable that `addresses` come from: `firewall_addresses`, `ansible_host`, or `name` if neither is set.
    `unknown_variables` begin with `firewall_` but are not variables of the collection.
    """

    name: str
    addresses: tuple[str, ...]
    source_addresses: tuple[str, ...]
    shared_addresses: tuple[str, ...]
    clusters: frozenset[str]
    egress: str
    mode: str
    backend: str
    trusted_interfaces: tuple[str, ...]
    container_interfaces: tuple[str, ...]
    filtered_containers: tuple[str, ...]
    ephemeral_ports: PortRange
    reach: Reach
    addressed_by: str = "firewall_addresses"
    unknown_variables: tuple[str, ...] = ()

    @property
    def address_key(self) -> str:
        """Return the name of the variable with the addresses, for messages."""
        return f"{self.addressed_by} of host {self.name}"

    @property
    def source_key(self) -> str:
        """Return the name of the variable with the source addresses, for messages."""
        is_own = self.source_addresses != self.addresses
        return f"firewall_source_addresses of host {self.name}" if is_own else self.address_key


@dataclass(frozen=True)
class Inventory:
    """Hosts by name, and the members of each group."""

    hosts: Mapping[str, Host]
    groups: Mapping[str, Collection[str]]

    @cached_property
    def managed(self) -> frozenset[str]:
        """Return the hosts in canonical groups."""
        return frozenset(host for group in CANONICAL_GROUPS for host in self.groups.get(group, ()))


def load_inventory(
    groups: Mapping[str, Collection[str]], variables_of: Callable[[str], Mapping[str, Any]]
) -> Inventory:
    """Return the inventory. `variables_of` returns the templated variables of a host. Raises PortFileError."""
    check_names(groups)
    names = sorted({host for members in groups.values() for host in members})
    return Inventory({name: load_host(name, variables_of(name)) for name in names}, groups)


def check_names(groups: Mapping[str, Collection[str]]) -> None:
    """Raise PortFileError for a host or a group with unprintable characters in its name."""
    for name in {host for members in groups.values() for host in members}:
        name_of("name of a host in the inventory", name)
    for name in groups:
        name_of("name of a group in the inventory", name)


def load_host(name: str, variables: Mapping[str, Any]) -> Host:
    """Return one host from its variables. Raises PortFileError, which names the host and the variable."""
    values = {key: variables.get(key, default) for key, default in HOST_DEFAULTS.items()}

    def key(variable: str) -> str:
        return f"{variable} of host {name}"

    for variable in (*HOST_DEFAULTS, *REACH_VARIABLES):
        check_nesting(key(variable), variables.get(variable))

    def texts(variable: str) -> tuple[str, ...]:
        return texts_of(key(variable), values[variable], "addresses or names", may_be_empty=True)

    def interfaces(variable: str) -> tuple[str, ...]:
        return interface_patterns_of(key(variable), values[variable])

    ansible_host = _text_or_number(key("ansible_host"), variables.get("ansible_host"))
    reach = reach_of(ansible_host or name, variables)
    addresses = texts("firewall_addresses")
    addressed_by = "firewall_addresses" if addresses else "ansible_host" if ansible_host else "name"
    addresses = addresses or (reach.address,)
    return Host(
        name=name,
        addresses=addresses,
        source_addresses=texts("firewall_source_addresses") or addresses,
        shared_addresses=texts("firewall_shared_addresses"),
        clusters=_clusters(key("firewall_cluster"), values["firewall_cluster"]),
        egress=choice_of(key("firewall_egress"), values["firewall_egress"], ("open", "restricted")),
        mode=choice_of(key("firewall_mode"), values["firewall_mode"], ("enforce", "observe")),
        backend=choice_of(key("firewall_backend"), values["firewall_backend"], ("auto", "nftables", "firewalld")),
        trusted_interfaces=interfaces("firewall_trusted_interfaces"),
        container_interfaces=interfaces("firewall_container_interfaces"),
        filtered_containers=interfaces("firewall_filtered_containers"),
        ephemeral_ports=range_of(key("firewall_ephemeral_ports"), values["firewall_ephemeral_ports"]),
        reach=reach,
        addressed_by=addressed_by,
        unknown_variables=unknown_variables(variables),
    )


def _text_or_number(key: str, value: Any) -> str:
    """Return the value as a string; Ansible also accepts a number. Empty for None."""
    if value is None:
        return ""
    return shown_value(value) if isinstance(value, (int, float)) else text_of(key, value)


def _clusters(key: str, value: Any) -> frozenset[str]:
    names = list_of(key, [value] if isinstance(value, str) else value, "cluster names")
    return frozenset(name_of(key, name) for name in names)
