# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: service_port
short_description: Look up a port of a service in the port file
version_added: 0.2.0
author:
  - The hpc.ports authors (@hpc-ports)
description:
  - Returns a TCP port of a service of the port file, to write it into the configuration of the service.
  - Returns an empty text if the port file does not have the service, or the service does not have such a port.
positional: name, position, shipped
extends_documentation_fragment:
  - hpc.ports.port_file.shipped
options:
  _input:
    description: The variable C(firewall_services) of the site. It is merged over the shipped services as in the plan.
    type: dict
    required: true
  name:
    description: The service, such as V(slurmctld).
    type: str
    required: true
  position:
    description:
      - Which of its ports to return, counted from 0 in the order of the port file.
      - Without it, the whole first range is returned, such as V(6817) or V(6817-6820).
    type: int
seealso:
  - plugin: hpc.ports.unopened_ports
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the port of MoM for the resource manager
  ansible.builtin.debug:
    msg: "{{ firewall_services | default({}) | hpc.ports.service_port('pbs_mom', 1) }}"
"""

RETURN = r"""
_value:
  description: The port or range, without the protocol.
  type: str
  sample: "6817"
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.filter_errors import failed, refused
from ansible_collections.hpc.ports.plugins.plugin_utils._services.listen_ports import service_port, site_services


def service_port_filter(services: Any, name: str, position: Any = None, shipped: Any = True) -> str:
    """Return `service_port`; raises AnsibleFilterError for bad arguments."""
    if not isinstance(services, Mapping):
        raise refused("input of hpc.ports.service_port", services, "a dictionary")
    if position is not None and (not isinstance(position, int) or position < 0):
        raise refused("position of hpc.ports.service_port", position, "an integer of 0 or more")
    try:
        return service_port(site_services(services, shipped=shipped), name, position)
    except PortFileError as exc:
        raise AnsibleFilterError(str(exc)) from None
    except ValueError as exc:
        raise failed(f"Invalid firewall_services.{name}.ports: {exc}") from None


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"service_port": service_port_filter}
