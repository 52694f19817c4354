# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: unchecked_ports
short_description: "Internal: list the listeners whose service the port file does not have"
version_added: 0.2.0
author:
  - The hpc.ports authors (@hpc-ports)
description:
  - Internal. The roles slurm, pbs and nfs use this filter.
  - Returns a sentence for each listener that P(hpc.ports.unopened_ports#filter) cannot check, because the port file
    does not have its service. This happens if a site deletes a service with null.
positional: services, shipped
extends_documentation_fragment:
  - hpc.ports.port_file.services
  - hpc.ports.port_file.shipped
options:
  _input:
    description: The listeners, as P(hpc.ports.config_ports#filter) and P(hpc.ports.rpc_ports#filter) return them.
    type: list
    elements: dict
    required: true
  services:
    required: true
seealso:
  - plugin: hpc.ports.unopened_ports
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show what is not checked
  ansible.builtin.debug:
    msg: "{{ listeners | hpc.ports.unchecked_ports(firewall_services | default({})) | join(' ') }}"
  vars:
    listeners:
      - {what: SlurmctldPort, service: slurmctld, ports: 7817/tcp}
"""

RETURN = r"""
_value:
  description: A sentence for each listener that cannot be checked.
  type: list
  elements: str
  sample:
    - "SlurmctldPort is 7817/tcp, and nothing checks that: the port file has no service slurmctld."
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.filter_errors import refused
from ansible_collections.hpc.ports.plugins.plugin_utils._services.listen_ports import site_services, unchecked_ports


def unchecked_ports_filter(listeners: Any, services: Any, shipped: Any = True) -> list[str]:
    """Return `unchecked_ports`; raises AnsibleFilterError for bad arguments."""
    if not isinstance(listeners, list):
        raise refused("input of hpc.ports.unchecked_ports", listeners, "a list")
    if not isinstance(services, Mapping):
        raise refused("services of hpc.ports.unchecked_ports", services, "a dictionary")
    try:
        return unchecked_ports(listeners, site_services(services, shipped=shipped))
    except PortFileError as exc:
        raise AnsibleFilterError(str(exc)) from None


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"unchecked_ports": unchecked_ports_filter}
