# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From Ansible's variables to the catalogue and the inventory of a plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError

from ansible_collections.hpc.ports.plugins.plugin_utils.ansible_ssh import REACH_VARIABLES, Unread
from ansible_collections.hpc.ports.plugins.plugin_utils.catalogue import SITE_DEFAULTS, Catalogue, load_catalogue
from ansible_collections.hpc.ports.plugins.plugin_utils.errors import PortFileError, invalid, nearest
from ansible_collections.hpc.ports.plugins.plugin_utils.inventory import HOST_DEFAULTS, Inventory, load_inventory

PORT_FILE = Path(__file__).parents[2] / "roles" / "firewall" / "vars" / "port_file.yml"
_MARKS = ("{{", "{%", "{#")


def site_catalogue(shipped: Mapping[str, Any], task_vars: Mapping[str, Any]) -> Catalogue:
    """Return the catalogue that all hosts of the inventory share. Raises PortFileError where two see different ones."""
    hostvars, groups = task_vars["hostvars"], task_vars["groups"]
    hosts = sorted(groups["all"])
    first = hostvars.raw_get(hosts[0])
    for host in hosts[1:]:
        _check_equal(hosts[0], first, host, hostvars.raw_get(host))
    site = templated(hosts[0], first, hostvars, SITE_DEFAULTS)
    return load_catalogue(shipped, site, groups)


def site_inventory(task_vars: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> Inventory:
    """Return the inventory with each host's own variables; `settings` of Ansible are for hosts without a variable."""
    hostvars = task_vars["hostvars"]
    wanted = (*HOST_DEFAULTS, "ansible_host")

    def variables_of(host: str) -> dict[str, Any]:
        raw = hostvars.raw_get(host)
        return {**(settings or {}), **_reach(host, raw, hostvars), **templated(host, raw, hostvars, wanted)}

    return load_inventory(task_vars["groups"], variables_of)


def _reach(host: str, raw: Mapping[str, Any], hostvars: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables of Ansible's connection. A play may give a template its value; that is no error here."""
    result: dict[str, Any] = {}
    for name in set(REACH_VARIABLES) & raw.keys():
        try:
            value = templated(host, raw, hostvars, [name])[name]
        except AnsibleError:
            value = raw[name]
        result[name] = Unread(value) if _has_template(value) else value
    return result


def without_hosts(task_vars: Mapping[str, Any], hosts: Sequence[str]) -> Mapping[str, Any]:
    """Return the variables as if these hosts were not in the inventory. Raises PortFileError for a name it lacks."""
    groups = task_vars["groups"]
    for host in hosts:
        if host not in groups["all"]:
            raise invalid("without", host, "a host of the inventory", nearest(host, groups["all"]))
    if not set(groups["all"]) - set(hosts):
        raise invalid("without", list(hosts), "at least one host of the inventory left")
    return {**task_vars, "groups": {group: [host for host in members if host not in hosts]
                                    for group, members in groups.items()}}


def check_play(host: str, task_vars: Mapping[str, Any]) -> None:
    """Raise PortFileError for a setting of this play that the inventory lacks: the plan could not see it elsewhere."""
    raw = task_vars["hostvars"].raw_get(host)
    for name, default in {**SITE_DEFAULTS, **HOST_DEFAULTS}.items():
        known = raw.get(name, default)
        if name in task_vars and task_vars[name] != known:
            raise PortFileError(
                f"Invalid {name} of this play for host {host}: got {task_vars[name]!r}, expected what the inventory "
                f"says, {known!r}. A plan is for all hosts, whichever play runs: set it in group_vars or host_vars, "
                "or with -e."
            )


def templated(host: str, raw: Mapping[str, Any], hostvars: Mapping[str, Any],
              names: Collection[str]) -> dict[str, Any]:
    """Return the named variables of a host; only those that hold a template cost templating."""
    return {name: hostvars[host][name] if _has_template(raw[name]) else raw[name] for name in names if name in raw}


def _check_equal(first: str, values: Mapping[str, Any], host: str, others: Mapping[str, Any]) -> None:
    for name in SITE_DEFAULTS:
        if values.get(name) != others.get(name):
            raise PortFileError(
                f"Invalid {name}: hosts {first} and {host} see different values, expected one for the whole inventory. "
                "Set it in group_vars/all."
            )


def _has_template(value: Any) -> bool:
    if isinstance(value, str):
        return any(mark in value for mark in _MARKS)
    if isinstance(value, Mapping):
        return any(_has_template(item) for pair in value.items() for item in pair)
    return isinstance(value, (list, tuple)) and any(map(_has_template, value))
