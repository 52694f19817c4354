# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: ganesha_ports
short_description: "Internal: set the ports in the configuration of NFS-Ganesha"
version_added: 0.2.0
author:
  - The hpc.ports authors (@hpc-ports)
description:
  - Internal. The role nfs uses this filter.
  - Returns the text of C(ganesha.conf) with the ports set in its block C(NFS_CORE_PARAM). The block is added if it does
    not exist. Everything else stays as it is. Names match in any case, as in NFS-Ganesha.
  - Fails for a text that it cannot edit safely - one that includes other files, which may have the block, or one that
    has the block or an option twice.
positional: path, ports
options:
  _input:
    description: The text of the configuration.
    type: str
    required: true
  path:
    description: Path of the configuration, for messages.
    type: str
    required: true
  ports:
    description: The port of each option, by the name of the option, such as C(MNT_Port).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show a configuration with the port of mountd
  ansible.builtin.debug:
    msg: "{{ 'NFS_CORE_PARAM { }' | hpc.ports.ganesha_ports('/etc/ganesha/ganesha.conf', {'MNT_Port': 20048}) }}"
"""

RETURN = r"""
_value:
  description: The text with these ports.
  type: str
  sample: "NFS_CORE_PARAM { MNT_Port = 20048; }"
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.filter_errors import failed, refused
from ansible_collections.hpc.ports.plugins.plugin_utils._services.ganesha import with_ganesha_ports


def ganesha_ports_filter(text: Any, path: str, ports: Any) -> str:
    """Return `with_ganesha_ports`; raises AnsibleFilterError for bad arguments."""
    if not isinstance(text, str):
        raise refused("input of hpc.ports.ganesha_ports", text, "a string")
    if not isinstance(ports, Mapping):
        raise refused("ports of hpc.ports.ganesha_ports", ports, "a dictionary")
    try:
        return with_ganesha_ports(text, ports)
    except ValueError as exc:
        raise failed(f"Invalid {path}: {exc}") from None


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"ganesha_ports": ganesha_ports_filter}
