# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: config_ports
short_description: The ports of a service, by its configuration
version_added: 0.1.0
author:
  - The hpc.ports authors (@hpc-ports)
description:
  - Reads a configuration of lines C(OPTION=VALUE), such as C(slurm.conf) or C(pbs.conf), and returns the ports it sets.
  - Names of options match in any case, comments do not count, and the last value does.
  - An option that is absent has its default, except where the file includes others, which are not seen.
positional: path, options
options:
  _input:
    description: The text of the configuration.
    type: str
    required: true
  path:
    description: Where the text comes from, for messages.
    type: str
    required: true
  options:
    description: By the name of an option, its C(service) in the port file and its C(default), a port or a range.
    type: dict
    required: true
seealso:
  - plugin: hpc.ports.unopened_ports
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Where slurmctld listens
  ansible.builtin.debug:
    msg: "{{ text | hpc.ports.config_ports('/etc/slurm/slurm.conf', options) }}"
  vars:
    text: |
      SlurmctldPort=6817
    options:
      SlurmctldPort: {service: slurmctld, default: "6817"}
"""

RETURN = r"""
_value:
  description: Each place where something listens.
  type: list
  elements: dict
  contains:
    what:
      description: What says so.
      type: str
      sample: SlurmctldPort of /etc/slurm/slurm.conf
    service:
      description: The service of the port file that it belongs to.
      type: str
      sample: slurmctld
    ports:
      description: Where it listens.
      type: str
      sample: 6817/tcp
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.filter_errors import refused
from ansible_collections.hpc.ports.plugins.plugin_utils._services.listen_ports import Listener, config_ports


def config_ports_filter(text: Any, path: str, options: Any) -> list[Listener]:
    """Return `config_ports`; raises AnsibleFilterError for bad arguments."""
    if not isinstance(text, str):
        raise refused("input of hpc.ports.config_ports", text, "a text")
    if not isinstance(options, Mapping):
        raise refused("options of hpc.ports.config_ports", options, "a dictionary")
    return config_ports(text, path, options)


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return it by name."""
        return {"config_ports": config_ports_filter}
