# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: unopened_ports
short_description: "Internal: list the listeners outside the ports of their service"
version_added: 0.1.0
author:
  - The hpc.ports authors (@hpc-ports)
description:
  - Internal. The roles slurm, pbs and nfs use this filter.
  - Compares the ports on which services listen with the ports of these services in the port file, and returns a
    sentence for each listener on another port.
  - A listener whose service the port file does not have is not checked; P(hpc.ports.unchecked_ports#filter) lists it.
positional: services, settings, shipped
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
    default: {}
  settings:
    description: The variables of the site that narrow a range, C(firewall_srun_ports) and C(firewall_user_ports).
    type: dict
    default: {}
seealso:
  - plugin: hpc.ports.config_ports
    plugin_type: filter
  - plugin: hpc.ports.rpc_ports
    plugin_type: filter
  - plugin: hpc.ports.service_port
    plugin_type: filter
  - plugin: hpc.ports.unchecked_ports
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Check that the port file covers the ports of slurm.conf
  ansible.builtin.assert:
    that: wrong | length == 0
    fail_msg: "{{ wrong | join(' ') }}"
  vars:
    wrong: "{{ listeners | hpc.ports.unopened_ports(firewall_services | default({})) }}"
    listeners:
      - {what: SlurmctldPort, service: slurmctld, ports: 7817/tcp}
"""

RETURN = r"""
_value:
  description: A sentence for each listener outside the ports of its service.
  type: list
  elements: str
  sample:
    - SlurmctldPort is 7817/tcp, but service slurmctld of the port file is 6817/tcp.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.filter_errors import failed, refused
from ansible_collections.hpc.ports.plugins.plugin_utils._services.listen_ports import site_services, unopened_ports

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def unopened_ports_filter(
    listeners: Any, services: Any = _NOTHING, settings: Any = _NOTHING, shipped: Any = True
) -> list[str]:
    """Return `unopened_ports`; raises AnsibleFilterError for bad arguments."""
    if not isinstance(listeners, list):
        raise refused("input of hpc.ports.unopened_ports", listeners, "a list")
    for name, value in (("services", services), ("settings", settings)):
        if not isinstance(value, Mapping):
            raise refused(f"{name} of hpc.ports.unopened_ports", value, "a dictionary")
    try:
        return unopened_ports(listeners, site_services(services, settings, shipped))
    except PortFileError as exc:
        raise AnsibleFilterError(str(exc)) from None
    except ValueError as exc:
        raise failed(f"Invalid argument of hpc.ports.unopened_ports: {exc}") from None


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"unopened_ports": unopened_ports_filter}
