# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: config_ports
short_description: "Internal: find the ports of a service in its configuration"
version_added: 0.1.0
author:
  - The hpc.ports authors (@hpc-ports)
description:
  - Internal. The roles slurm and pbs use this filter.
  - Reads a configuration of lines C(OPTION=VALUE), such as C(slurm.conf) or C(pbs.conf), and returns the ports that it
    sets.
  - Names of options match in any case, comments are ignored, and the last value of an option counts.
  - An option that is not set has its default, unless the file includes other files, because the filter does not read
    them.
positional: path, options
options:
  _input:
    description: The text of the configuration.
    type: str
    required: true
  path:
    description: Path of the configuration, for messages.
    type: str
    required: true
  options:
    description: The C(service) in the port file and the C(default) of each option, a port or a range, by the name of
      the option.
    type: dict
    required: true
seealso:
  - plugin: hpc.ports.unopened_ports
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show where slurmctld listens
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
  description: The listeners, one for each option.
  type: list
  elements: dict
  contains:
    what:
      description: The option and the file that set the ports.
      type: str
      sample: SlurmctldPort of /etc/slurm/slurm.conf
    service:
      description: The service of the port file.
      type: str
      sample: slurmctld
    ports:
      description: The ports on which the service listens.
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
        raise refused("input of hpc.ports.config_ports", text, "a string")
    if not isinstance(options, Mapping):
        raise refused("options of hpc.ports.config_ports", options, "a dictionary")
    return config_ports(text, path, options)


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"config_ports": config_ports_filter}
