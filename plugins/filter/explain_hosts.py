# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: explain_hosts
short_description: "Internal: select the two hosts of the playbook explain"
version_added: 0.1.0
author:
  - The hpc.ports authors (@hpc-ports)
description:
  - Internal. The playbook C(hpc.ports.explain) uses this filter.
  - Returns the hosts that two names stand for, as a pattern for C(hosts) of a play.
  - A name that is neither a host nor a group is an error. So is a host that a pattern cannot name, such as one with a
    space in its name.
  - If a name is empty, returns the first host of the inventory, so that M(hpc.ports.explain_info) can report what is
    missing.
  - If a name is the address of a host, or of none, returns C(all), so that M(hpc.ports.explain_info) can report the
    host that has it.
positional: source, target
options:
  _input:
    description: The variable C(groups).
    type: dict
    required: true
  source:
    description: The host that connects - a host of the inventory, or a group for its first host.
    type: str
    required: true
  target:
    description: The host to connect to - a host of the inventory, or a group for its first host.
    type: str
    required: true
seealso:
  - plugin: hpc.ports.host_pattern
    plugin_type: filter
    description: The hosts of a play, by canonical group.
"""

EXAMPLES = r"""
- name: Two hosts
  hosts: "{{ groups | hpc.ports.explain_hosts('login1', 'slurm_controller') }}"
  gather_facts: false
  tasks: []
"""

RETURN = r"""
_value:
  description: The two hosts, or one if they are the same.
  type: list
  elements: str
  sample: [login1, ctl]
"""

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.filter_errors import refused
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.host_arguments import NOBODY, check_pattern, host_of


def explain_hosts(groups: Any, source: str, target: str) -> list[str]:
    """Return the two hosts; raises AnsibleFilterError for a name that stands for no host."""
    if not isinstance(groups, Mapping):
        raise refused("input of hpc.ports.explain_hosts", groups, "the variable groups")
    if not (source and target):
        return list(groups.get("all", ()))[:1] or list(NOBODY)
    if any(_is_unknown_address(name, groups) for name in (source, target)):
        return ["all"]
    try:
        hosts = {key: host_of(key, name, groups)[0] for key, name in (("from", source), ("to", target))}
        for key, host in hosts.items():
            check_pattern(key, host)
        return list(dict.fromkeys(hosts.values()))
    except PortFileError as exc:
        raise AnsibleFilterError(str(exc)) from None


def _is_unknown_address(name: Any, groups: Mapping[str, Any]) -> bool:
    """Return whether a name is an address, and neither a host nor a group. Needs no library that may be missing."""
    if not isinstance(name, str) or name in groups.get("all", ()) or groups.get(name):
        return False
    try:
        return bool(ip_address(name))
    except ValueError:
        return False


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"explain_hosts": explain_hosts}
