# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: ephemeral_clashes
short_description: "Internal: find conflicts between the ephemeral ports of a host and its services"
version_added: 0.2.0
author:
  - The hpc.ports authors (@hpc-ports)
description:
  - Internal. The role firewall uses this filter.
  - Compares on the controller what M(hpc.ports.ephemeral_ports) compares on the host, to save the execution of a
    module.
positional: result, declared
options:
  _input:
    description:
      - The needs of services, by the name of the role. Each is a dictionary with C(reserved) and C(within), lists as
        for M(hpc.ports.ephemeral_ports). Other keys are ignored.
    type: dict
    required: true
  result:
    description: The result of M(hpc.ports.firewall) or M(hpc.ports.ephemeral_ports) on the host.
    type: dict
    required: true
  declared:
    description: The variable C(firewall_ephemeral_ports) of the host, C(FIRST-LAST).
    type: str
seealso:
  - plugin: hpc.ports.ephemeral_ports
    plugin_type: module
"""

EXAMPLES = r"""
- name: Find out whether another connection may use the port of lockd
  ansible.builtin.debug:
    msg: "{{ needs | hpc.ports.ephemeral_clashes(firewall_result) | join(' ') }}"
  vars:
    needs:
      nfs: {reserved: [{what: lockd, ports: 32768/tcp}]}
"""

RETURN = r"""
_value:
  description: A sentence for each conflict, with what to do.
  type: list
  elements: str
  sample:
    - >-
      lockd needs 32768, but the kernel gives 32768 to any connection as an ephemeral port (ip_local_port_range is
      32768-60999). Reserve it in ip_local_reserved_ports.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._ephemeral.demands import (
    clashes,
    parsed_demands,
    parsed_described,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.filter_errors import failed, refused


def ephemeral_clashes(needs: Any, result: Any, declared: str | None = None) -> list[str]:
    """Return `clashes` of all needs together; raises AnsibleFilterError for bad arguments."""
    if not isinstance(needs, Mapping) or not all(isinstance(need, Mapping) for need in needs.values()):
        raise refused("input of hpc.ports.ephemeral_clashes", needs, "a dictionary of dictionaries")
    if not isinstance(result, Mapping) or not {"ephemeral_ports", "reserved_ports"} <= set(result):
        raise refused(
            "result of hpc.ports.ephemeral_clashes",
            result,
            "ephemeral_ports and reserved_ports, as hpc.ports.firewall returns them",
        )
    reserved, within = (
        [demand for need in needs.values() for demand in need.get(name, [])] for name in ("reserved", "within")
    )
    try:
        running = parsed_described(result["ephemeral_ports"], result["reserved_ports"])
        return clashes(running, parsed_demands(reserved, within, declared))
    except (TypeError, ValueError) as exc:
        raise failed(f"Invalid argument of hpc.ports.ephemeral_clashes: {exc}") from None


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"ephemeral_clashes": ephemeral_clashes}
