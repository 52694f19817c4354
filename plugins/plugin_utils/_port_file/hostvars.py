# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the catalogue and the inventory of a plan from Ansible's variables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Catalogue, load_catalogue
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import (
    PortFileError,
    invalid,
    nearest,
    printable,
    shown_value,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.inventory import (
    Inventory,
    check_names,
    load_inventory,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.nesting import check_nesting
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.ssh_variables import REACH_VARIABLES, Unread
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.variables import (
    HOST_DEFAULTS,
    SITE_DEFAULTS,
    unknown_variables,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.vaults import plain

# Ansible's own variables that a plan reads.
_OTHERS = frozenset((*REACH_VARIABLES, "ansible_host"))
_MARKS = ("{{", "{%", "{#")
# Maximum number of characters that a message shows of the reason why a template failed.
_LONGEST_REASON = 600


class ReadOnce(Mapping[str, Any]):
    """The `hostvars` of Ansible with `raw_get`, which asks Ansible once for each host: it takes up to a millisecond.

    Only the variables that a plan reads are kept.
    """

    def __init__(self, hostvars: Any, roles: Iterable[str]) -> None:
        """Take the `hostvars` of Ansible, and the roles whose variables are kept."""
        self._hostvars, self._prefixes = hostvars, tuple(f"{role}_" for role in roles)
        self._read: dict[str, dict[str, Any]] = {}

    def raw_get(self, host: str) -> dict[str, Any]:
        """Return the variables of a host, not templated, that a plan reads."""
        if host not in self._read:
            self._read[host] = {
                name: value
                for name, value in self._hostvars.raw_get(host).items()
                if name.startswith(self._prefixes) or name in _OTHERS
            }
        return self._read[host]

    def __getitem__(self, host: str) -> Any:
        """Return the templated variables of a host."""
        return self._hostvars[host]

    def __iter__(self) -> Iterator[str]:
        """Yield the hosts."""
        return iter(self._hostvars)

    def __len__(self) -> int:
        """Return how many hosts there are."""
        return len(self._hostvars)


def site_catalogue(shipped: Mapping[str, Any], task_vars: Mapping[str, Any]) -> Catalogue:
    """Return the catalogue of the inventory. Raises PortFileError if two hosts have different values for it."""
    hostvars, groups = task_vars["hostvars"], task_vars["groups"]
    check_names(groups)
    hosts = sorted(groups["all"])
    first = hostvars.raw_get(hosts[0])
    for name in SITE_DEFAULTS:
        check_nesting(f"{name} of host {hosts[0]}", first.get(name))
    for host in hosts[1:]:
        _check_equal(hosts[0], first, host, hostvars.raw_get(host))
    site = templated(hosts[0], first, hostvars, SITE_DEFAULTS)
    return load_catalogue(shipped, site, groups)


def site_inventory(task_vars: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> Inventory:
    """Return the inventory with the variables of each host. `settings` of Ansible are their defaults."""
    hostvars = task_vars["hostvars"]
    wanted = (*HOST_DEFAULTS, "ansible_host")

    def variables_of(host: str) -> dict[str, Any]:
        raw = hostvars.raw_get(host)
        # The values of unknown variables are not read: another role may define them by facts.
        unknown = dict.fromkeys(unknown_variables(raw))
        return {**(settings or {}), **unknown, **_reach(host, raw, hostvars), **templated(host, raw, hostvars, wanted)}

    return load_inventory(task_vars["groups"], variables_of)


def _reach(host: str, raw: Mapping[str, Any], hostvars: Mapping[str, Any]) -> dict[str, Any]:
    """Return Ansible's connection variables. A template that fails here is no error: a play may define its values."""
    connection_variables: dict[str, Any] = {}
    for name in set(REACH_VARIABLES) & raw.keys():
        try:
            value = variable_of(host, name, raw, hostvars)
        except AnsibleError:
            value = raw[name]
        connection_variables[name] = Unread(value) if _has_template(value) else value
    return connection_variables


def without_hosts(task_vars: Mapping[str, Any], hosts: Sequence[str]) -> Mapping[str, Any]:
    """Return the variables without these hosts. Raises PortFileError for a host that is not in the inventory."""
    groups = task_vars["groups"]
    for host in hosts:
        if host not in groups["all"]:
            raise invalid("without", host, "an inventory host", nearest(host, groups["all"]))
    if not set(groups["all"]) - set(hosts):
        raise invalid("without", list(hosts), "at least one host left in the inventory")
    return {
        **task_vars,
        "groups": {group: [host for host in members if host not in hosts] for group, members in groups.items()},
    }


def check_play(host: str, task_vars: Mapping[str, Any]) -> None:
    """Raise PortFileError for a variable that this play overrides: the plan would not see the value for other hosts."""
    check_names({"all": [host]})
    raw = task_vars["hostvars"].raw_get(host)
    for name, default in {**SITE_DEFAULTS, **HOST_DEFAULTS}.items():
        inventory_value = raw.get(name, default)
        if name in task_vars and task_vars[name] is not inventory_value:
            _check_same(name, host, task_vars[name], inventory_value)


def _check_same(name: str, host: str, value: Any, inventory_value: Any) -> None:
    key = f"{name} of host {host}"
    check_nesting(key, value)
    check_nesting(key, inventory_value)
    value, inventory_value = _plain(key, value), _plain(key, inventory_value)
    if value != inventory_value:
        raise PortFileError(
            f"Invalid {name} of this play for host {host}: got {shown_value(value)}, expected the value from the "
            f"inventory, {shown_value(inventory_value)}. The plan covers all hosts and does not see variables of a "
            "single play. Set it in group_vars or host_vars, or with -e."
        )


def templated(host: str, raw: Mapping[str, Any], hostvars: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return the named variables of a host. Only values that contain a template are templated, which is slow.

    Raises PortFileError for a template that fails.
    """
    variables: dict[str, Any] = {}
    for name in (name for name in names if name in raw):
        try:
            variables[name] = variable_of(host, name, raw, hostvars)
        except AnsibleError as exc:
            raise _failed(f"{name} of host {host}", exc) from exc
    return variables


def variable_of(host: str, name: str, raw: Mapping[str, Any], hostvars: Mapping[str, Any]) -> Any:
    """Return one variable of a host, templated and decrypted. Raises AnsibleError."""
    check_nesting(f"{name} of host {host}", raw[name])
    if not _has_template(raw[name]):
        return plain(raw[name])
    try:
        return plain(hostvars[host][name])
    except AnsibleError:
        raise
    except Exception as exc:  # pylint: disable=broad-exception-caught # ansible-core 2.16 does not wrap what a template raises
        raise AnsibleError(f"{type(exc).__name__}: {exc}") from exc


def _plain(key: str, value: Any) -> Any:
    try:
        return plain(value)
    except AnsibleError as exc:
        raise _failed(key, exc) from exc


def _failed(key: str, exc: AnsibleError) -> PortFileError:
    reason = printable(" ".join(str(exc).split()).rstrip("."), _LONGEST_REASON)
    return PortFileError(
        f"Invalid {key}: got no value ({reason}), expected a value from the inventory. The plan does not see facts or "
        "variables of a single play."
    )


def _check_equal(first: str, values: Mapping[str, Any], host: str, others: Mapping[str, Any]) -> None:
    for name in SITE_DEFAULTS:
        value, other = values.get(name), others.get(name)
        if value is other:
            continue
        check_nesting(f"{name} of host {host}", other)
        # Two encryptions of one string differ until they are decrypted, which is slow.
        if _plain(f"{name} of host {first}", value) != _plain(f"{name} of host {host}", other):
            raise PortFileError(
                f"Invalid {name}: hosts {first} and {host} have different values, expected one value for the whole "
                "inventory. Set it in group_vars/all."
            )


def _has_template(value: Any) -> bool:
    if isinstance(value, str):
        return any(mark in value for mark in _MARKS)
    if isinstance(value, Mapping):
        return any(_has_template(member) for pair in value.items() for member in pair)
    return isinstance(value, (list, tuple)) and any(map(_has_template, value))
