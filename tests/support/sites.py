# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small sites for tests: a port file, hosts with their groups, and a name service, all as plain data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet, evaluate
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.address_book import Resolver
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan, compile_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Catalogue, load_catalogue
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.inventory import Inventory, load_inventory

CONTROLLER = "192.0.2.1"
# The least that a port file has.
SHIPPED: dict[str, Any] = {
    "firewall_services": {"ssh": {"ports": ["22/tcp"]}},
    "firewall_endpoints": {
        "controllers": {"cidrs": [f"{CONTROLLER}/32"]},
        "managed_hosts": {"groups": [*CANONICAL_GROUPS]},
    },
    "firewall_flows": {
        "management_ssh": {"from": ["controllers"], "to": ["managed_hosts"], "services": ["ssh"], "need": "required"}
    },
}


def make_catalogue(site: Mapping[str, Any] | None = None, groups: tuple[str, ...] = (), **settings: Any) -> Catalogue:
    """Return the catalogue of a site: `site` has services, endpoints and flows, `settings` the other variables."""
    sections = {f"firewall_{name}": value for name, value in (site or {}).items()}
    return load_catalogue(SHIPPED, {**sections, **settings}, groups)


def make_inventory(hosts: Mapping[str, Mapping[str, Any]]) -> Inventory:
    """Return an inventory; each host has its `groups`, its variables without the prefix `firewall_`, and Ansible's."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, host in hosts.items():
        for group in ("all", *host["groups"]):
            groups[group].append(name)
    variables = {
        name: {
            key if key.startswith("ansible_") else f"firewall_{key}": value
            for key, value in host.items()
            if key != "groups"
        }
        for name, host in hosts.items()
    }
    return load_inventory(groups, variables.__getitem__)


def make_resolver(names: Mapping[str, list[str]]) -> Resolver:
    """Return a name service that knows these names only."""

    def lookup(name: str) -> list[str]:
        if name not in names:
            raise OSError("Name or service not known")
        return names[name]

    return Resolver(lookup)


def make_plan(
    site: Mapping[str, Any],
    hosts: Mapping[str, Mapping[str, Any]],
    names: Mapping[str, list[str]] | None = None,
    **settings: Any,
) -> Plan:
    """Return the plan of a site."""
    inventory = make_inventory(hosts)
    return compile_plan(
        make_catalogue(site, tuple(inventory.groups), **settings), inventory, make_resolver(names or {})
    )


def accepts(plan: Plan, host: str, peer: str, port: int, protocol: str = "tcp") -> bool:
    """Return whether a host accepts a connection from an address."""
    return evaluate(parse_policy(plan.policies[plan.hosts[host]]), Packet("in", protocol, peer, port)).passes


def opens(plan: Plan, host: str, peer: str, port: int, protocol: str = "tcp") -> bool:
    """Return whether a host may open a connection to an address."""
    return evaluate(parse_policy(plan.policies[plan.hosts[host]]), Packet("out", protocol, peer, port)).passes


def rules(plan: Plan, host: str, direction: str = "in") -> dict[str, list[tuple[str, str]]]:
    """Return the rules of a host by flow: its ports and its peers, each as one text."""
    policy = plan.policies[plan.hosts[host]]
    result: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for rule in policy["rules"]:
        if rule["direction"] == direction:
            result[rule["flow"]].append((" ".join(rule["ports"]), " ".join(policy["networks"][rule["peers"]])))
    return dict(result)
