# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: named_hosts
short_description: "Internal: select the hosts that were named on the command line"
version_added: 0.2.0
author:
  - The hpc.ports authors (@hpc-ports)
description:
  - Internal. The playbooks C(hpc.ports.add_node) and C(hpc.ports.remove_node) use this filter.
  - Returns the hosts that a value names, as a pattern for C(hosts) of a play.
  - A name that the inventory does not have is an error. So is a host that a pattern cannot name, such as one with a
    space in its name.
  - If the value is empty, returns the first host of the inventory, so that the play can report what is missing.
positional: key, value
options:
  _input:
    description: The variable C(groups).
    type: dict
    required: true
  key:
    description: Name of the variable, for messages.
    type: str
    required: true
  value:
    description: Names of hosts, as a list or as a text with commas between them.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: The hosts of -e new=n17,n18
  hosts: "{{ groups | hpc.ports.named_hosts('new', new | default('')) }}"
  gather_facts: false
  tasks: []
"""

RETURN = r"""
_value:
  description: The hosts, each once.
  type: list
  elements: str
  sample: [n17, n18]
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.filter_errors import refused
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.host_arguments import NOBODY, check_pattern, hosts_of


def named_hosts(groups: Any, key: str, value: Any) -> list[str]:
    """Return the hosts; raises AnsibleFilterError for a name that the inventory does not have."""
    if not isinstance(groups, Mapping):
        raise refused("input of hpc.ports.named_hosts", groups, "the variable groups")
    try:
        hosts = hosts_of(key, value, groups)
        for host in hosts:
            check_pattern(key, host)
        return hosts or list(groups.get("all", ()))[:1] or list(NOBODY)
    except PortFileError as exc:
        raise AnsibleFilterError(str(exc)) from None


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"named_hosts": named_hosts}
