# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plans of the inventories in `inventories/`, and what they do with one connection."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan, compile_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.hostvars import site_catalogue, site_inventory
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.merge import PORT_FILE
from ansible_collections.hpc.ports.tests.support.plays import ROOT
from ansible_collections.hpc.ports.tests.support.sites import accepts, make_resolver, opens
from netaddr import IPAddress


class Connection(NamedTuple):
    """One connection between hosts of an inventory, or addresses outside."""

    source: str
    target: str
    port: int
    protocol: str


@cache
def plan_of(name: str) -> Plan:
    """Return the plan of an inventory, from the variables that Ansible reads. No name resolves."""
    loader = DataLoader()
    inventory = InventoryManager(loader=loader, sources=[str(ROOT / "inventories" / name)])
    variables = VariableManager(loader=loader, inventory=inventory)
    task_vars = {"hostvars": HostVars(inventory, variables, loader), "groups": inventory.get_groups_dict()}
    shipped = yaml.safe_load(PORT_FILE.read_text(encoding="utf-8"))
    return compile_plan(site_catalogue(shipped, task_vars), site_inventory(task_vars), make_resolver({}))


def verdicts(plan: Plan, connection: Connection) -> set[bool]:
    """Return whether a connection passes, for each pair of addresses of its two sides: usually one verdict."""
    if connection.source not in plan.inventory.hosts:
        return _arrivals(plan, connection, [IPAddress(connection.source)])
    peers = _addresses(plan, connection.source, source=True)
    return {
        leaves and arrives
        for address in _addresses(plan, connection.target, source=False)
        for leaves in [_leaves(plan, connection, str(address))]
        for arrives in _arrivals(plan, connection, [peer for peer in peers if peer.version == address.version])
    }


def _leaves(plan: Plan, connection: Connection, address: str) -> bool:
    if connection.source not in plan.hosts:
        return True
    return opens(plan, connection.source, address, connection.port, connection.protocol)


def _arrivals(plan: Plan, connection: Connection, peers: list[IPAddress]) -> set[bool]:
    """Return whether the target accepts the connection, for each of the addresses from which it may come."""
    if connection.target not in plan.hosts:
        return {True}
    return {accepts(plan, connection.target, str(peer), connection.port, connection.protocol) for peer in peers}


def _addresses(plan: Plan, name: str, source: bool) -> list[IPAddress]:
    if name not in plan.inventory.hosts:
        return [IPAddress(name)]
    return [network.ip for network in plan.addresses.host_networks([name], source)]
