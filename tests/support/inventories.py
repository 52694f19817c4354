# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plans of the inventories in `inventories/`, and what they do with one connection."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import NamedTuple

import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan, compile_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.hostvars import site_catalogue, site_inventory
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.merge import PORT_FILE
from ansible_collections.hpc.ports.tests.support.plays import ROOT
from ansible_collections.hpc.ports.tests.support.sites import make_resolver
from netaddr import IPAddress


class Connection(NamedTuple):
    """One connection between hosts of an inventory, or addresses outside."""

    source: str
    target: str
    port: int
    protocol: str

    def __str__(self) -> str:
        return f"{self.source} to {self.target} {self.port}/{self.protocol}"


@cache
def plan_of(name: str) -> Plan:
    """Return the plan of an inventory, from the variables that Ansible reads. No name resolves."""
    loader = DataLoader()
    inventory = InventoryManager(loader=loader, sources=[str(ROOT / "inventories" / name)])
    variables = VariableManager(loader=loader, inventory=inventory)
    task_vars = {"hostvars": HostVars(inventory, variables, loader), "groups": inventory.get_groups_dict()}
    shipped = yaml.safe_load(PORT_FILE.read_text(encoding="utf-8"))
    return compile_plan(site_catalogue(shipped, task_vars), site_inventory(task_vars), make_resolver({}))


class Judge:
    """Judges connections by a plan: out of the source, if it is managed, and into the target, if that is."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._policies = {host: parse_policy(plan.policies[key]) for host, key in plan.hosts.items()}

    def verdicts(self, connection: Connection) -> set[bool]:
        """Return whether a connection passes, for each pair of addresses of its sides: usually one verdict.

        There is none if the sides have no addresses of one IP version.
        """
        if connection.source not in self.plan.inventory.hosts:
            return self._arrivals(connection, [connection.source])
        peers = self._addresses(connection.source, source=True)
        return {
            leaves and arrives
            for address in self._addresses(connection.target, source=False)
            for leaves in [self._passes("out", connection, str(address))]
            for arrives in self._arrivals(connection, [str(peer) for peer in peers if peer.version == address.version])
        }

    def _arrivals(self, connection: Connection, peers: Collection[str]) -> set[bool]:
        """Return whether the target accepts the connection, for each of the addresses from which it may come."""
        if connection.target not in self.plan.hosts:
            return {True}
        return {self._passes("in", connection, peer) for peer in peers}

    def _passes(self, direction: str, connection: Connection, peer: str) -> bool:
        host = connection.source if direction == "out" else connection.target
        policy = self._policies.get(host)
        return not policy or evaluate(policy, Packet(direction, connection.protocol, peer, connection.port)).passes

    def _addresses(self, name: str, source: bool) -> list[IPAddress]:
        if name not in self.plan.inventory.hosts:
            return [IPAddress(name)]
        return [network.ip for network in self.plan.addresses.host_networks([name], source)]
