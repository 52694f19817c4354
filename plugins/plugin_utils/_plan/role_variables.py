# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the variables of roles for all their hosts at once, with the argument specifications of the roles.

Ansible checks them with a task for each role and host, which took a fifth of a run with nothing to change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.option_values import check_value
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.host_arguments import host_pattern
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.hostvars import variable_of
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.nesting import check_nesting
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.variables import HOST_DEFAULTS, SITE_DEFAULTS
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.vaults import plain

# The hosts of each role, as arguments of the filter host_pattern. A test compares them with the playbooks.
ROLES: Mapping[str, tuple[str, ...]] = {
    "control_plane": ("control_plane",),
    "firewall": ("*",),
    "monitoring": ("monitoring",),
    "nfs": ("nfs_server",),
    "pbs": ("pbs_*",),
    "slurm": ("slurm_*",),
    "workspace": ("workspace",),
}
_FOLDER = Path(__file__).parents[3] / "roles"


# The plan checks these itself, with better messages.
_CHECKED_BY_THE_PLAN = frozenset((*SITE_DEFAULTS, *HOST_DEFAULTS))


def check_role_variables(roles: Iterable[str], task_vars: Mapping[str, Any], template: Callable[[Any], Any]) -> None:
    """Raise PortFileError for a value that does not fit the argument specification of a role on one of its hosts.

    `template` templates a value of the play, which all hosts have. A template that fails is no error: what it names may
    exist only later, and then a task of the role shows the error.
    """
    hostvars, first = task_vars["hostvars"], task_vars["inventory_hostname"]
    by_host = _roles_by_host(roles, task_vars["groups"])
    used = sorted({role for of_host in by_host.values() for role in of_host})
    of_inventory = hostvars.raw_get(first)
    of_play = {name for name in _names(used, task_vars) if not _is_same(name, task_vars[name], of_inventory.get(name))}
    for name in sorted(of_play):
        _check(name, name, partial(template, task_vars[name]))
    for host, of_host in by_host.items():
        raw = hostvars.raw_get(host)
        for name in _names(of_host, raw):
            if name not in of_play:
                _check(f"{name} of host {host}", name, partial(variable_of, host, name, raw, hostvars))


def _roles_by_host(roles: Iterable[str], groups: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    by_host: dict[str, list[str]] = {}
    for role in roles:
        hosts = {
            host for group in host_pattern(groups, ROLES[role]) if group in CANONICAL_GROUPS for host in groups[group]
        }
        for host in sorted(hosts):
            by_host.setdefault(host, []).append(role)
    return by_host


def _names(roles: Iterable[str], variables: Iterable[str]) -> list[str]:
    """Return those of the variables that are options of one of the roles and that the plan does not check."""
    prefixes = tuple(f"{role}_" for role in roles)
    names = [name for name in variables if name.startswith(prefixes) and name not in _CHECKED_BY_THE_PLAN]
    return sorted(name for name in names if name in _options(name))


def _check(key: str, name: str, value: Callable[[], Any]) -> None:
    try:
        got = value()
    except AnsibleError:
        return
    check_value(key, _options(name)[name], got)


def _is_same(name: str, value: Any, other: Any) -> bool:
    if value is other:
        return True
    check_nesting(name, value)
    check_nesting(name, other)
    try:
        return plain(value) == plain(other)
    except AnsibleError:  # the password of the vault is missing
        return False


def _options(name: str) -> Mapping[str, Any]:
    """Return the options of the role whose variables begin like this name."""
    return _options_of_role(next(role for role in ROLES if name.startswith(f"{role}_")))


@cache
def _options_of_role(role: str) -> Mapping[str, Any]:
    path = _FOLDER / role / "meta" / "argument_specs.yml"
    return yaml_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
