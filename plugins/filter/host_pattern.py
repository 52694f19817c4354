# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: host_pattern
short_description: Select the hosts of a play by canonical group
version_added: 0.1.0
author:
  - The hpc.ports authors (@hpc-ports)
description:
  - Returns the canonical groups of the inventory, as a pattern for C(hosts) of a play.
  - Groups that the inventory does not have are left out, so that Ansible does not warn of them. If no group is left,
    the pattern selects no host.
  - A host in no canonical group is never selected.
positional: kinds
options:
  _input:
    description: The variable C(groups).
    type: dict
    required: true
  kinds:
    description:
      - Canonical groups, or patterns of them such as V(slurm_*), each as an argument of its own. Without any, all
        canonical groups.
      - Without any, an inventory that has hosts but none in a canonical group is an error.
    type: list
    elements: str
    default: []
  among:
    description: Hosts. The pattern selects only those of them that are in one of the groups.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Every managed host
  hosts: "{{ groups | hpc.ports.host_pattern }}"
  gather_facts: false
  become: true
  roles:
    - hpc.ports.firewall

- name: Slurm clusters
  hosts: "{{ groups | hpc.ports.host_pattern('slurm_*') }}"
  gather_facts: false
  become: true
  roles:
    - hpc.ports.slurm

- name: Two hosts, if they are in a Slurm cluster
  hosts: "{{ groups | hpc.ports.host_pattern('slurm_*', among=['n17', 'n18']) }}"
  gather_facts: false
  become: true
  roles:
    - hpc.ports.slurm
"""

RETURN = r"""
_value:
  description: Groups of the inventory, in the order of the canonical groups; with O(among), hosts.
  type: list
  elements: str
  sample: [slurm_controller, slurm_compute]
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.filter_errors import failed, refused
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.host_arguments import host_pattern


def host_pattern_filter(groups: Any, *kinds: str, among: Collection[str] | None = None) -> list[str]:
    """Return `host_pattern`; raises AnsibleFilterError for bad arguments."""
    if not isinstance(groups, Mapping):
        raise refused("input of hpc.ports.host_pattern", groups, "the variable groups")
    try:
        return host_pattern(groups, kinds, among)
    except ValueError as exc:
        raise failed(f"Invalid argument of hpc.ports.host_pattern: {exc}") from None


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"host_pattern": host_pattern_filter}
