# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: enabled_flows
short_description: "Internal: list the flows of the port file that are enabled"
version_added: 0.2.0
author:
  - The hpc.ports authors (@hpc-ports)
description:
  - Internal. The roles control_plane, nfs and pbs use this filter.
  - Returns the names of the flows that are enabled by V(enabled) or by their need, in alphabetical order.
  - Conditional flows, and flows with V(unless), are included. Only the plan knows whether there are hosts on both
    sides.
positional: shipped
extends_documentation_fragment:
  - hpc.ports.port_file.shipped
options:
  _input:
    description: The variable C(firewall_flows) of the site. It is merged over the shipped flows as in the plan.
    type: dict
    required: true
seealso:
  - plugin: hpc.ports.service_port
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Check that the flow of NFS version 3 is enabled
  ansible.builtin.assert:
    that: "'nfs_v3' in firewall_flows | default({}) | hpc.ports.enabled_flows(firewall_shipped | default(true))"
"""

RETURN = r"""
_value:
  description: The names of the flows.
  type: list
  elements: str
  sample: [management_ssh, nfs_v3]
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.filter_errors import refused
from ansible_collections.hpc.ports.plugins.plugin_utils._services.listen_ports import enabled_flows


def enabled_flows_filter(flows: Any, shipped: Any = True) -> list[str]:
    """Return `enabled_flows`; raises AnsibleFilterError for bad arguments."""
    if not isinstance(flows, Mapping):
        raise refused("input of hpc.ports.enabled_flows", flows, "a dictionary")
    try:
        return enabled_flows(flows, shipped)
    except PortFileError as exc:
        raise AnsibleFilterError(str(exc)) from None


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"enabled_flows": enabled_flows_filter}
