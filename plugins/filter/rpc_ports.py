# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: rpc_ports
short_description: "Internal: find the ports of the RPC services of NFS version 3"
version_added: 0.1.0
author:
  - The hpc.ports authors (@hpc-ports)
description:
  - Internal. The role nfs uses this filter.
  - Reads the output of C(rpcinfo -p), and returns where mountd, statd, lockd and rquotad listen.
  - Programs with a fixed port, NFS itself and rpcbind, are left out.
options:
  _input:
    description: The output of C(rpcinfo -p).
    type: str
    required: true
seealso:
  - plugin: hpc.ports.unopened_ports
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show where mountd listens
  ansible.builtin.debug:
    msg: "{{ '100005 3 tcp 20048 mountd' | hpc.ports.rpc_ports }}"
"""

RETURN = r"""
_value:
  description: The listeners, one for each program and port.
  type: list
  elements: dict
  contains:
    what:
      description: The program.
      type: str
      sample: RPC program 100005 (mountd)
    service:
      description: The service of the port file.
      type: str
      sample: mountd
    ports:
      description: The port on which the program listens.
      type: str
      sample: 20048/tcp
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.filter_errors import refused
from ansible_collections.hpc.ports.plugins.plugin_utils._services.listen_ports import Listener, rpc_ports


def rpc_ports_filter(text: Any) -> list[Listener]:
    """Return `rpc_ports`; raises AnsibleFilterError for other input than text."""
    if not isinstance(text, str):
        raise refused("input of hpc.ports.rpc_ports", text, "a string")
    return rpc_ports(text)


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"rpc_ports": rpc_ports_filter}
