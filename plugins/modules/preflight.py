#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: "Internal: read what a host says about its services, and check it"
version_added: 0.3.0
description:
  - Internal. The roles control_plane, slurm, pbs and nfs run this module.
  - Reads files and the output of commands with one shell command, which runs no Python. Then computes the values
    of variables of the role on the controller. In these variables, the result has the name that C(register) gives it.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.host
  - hpc.ports.attributes.info_module
options:
  files:
    description: The paths of files to read, by names of your choice.
    type: dict
    default: {}
  commands:
    description: Commands to run, each a list of its arguments, by names of your choice. They must change nothing.
    type: dict
    default: {}
  pins:
    description: By the name of a file in O(files), the name of a variable with options and their values. It is computed
      if the file exists. The role writes lines C(NAME=VALUE).
    type: dict
    default: {}
  pattern:
    description: The C(regexp) with which C(ansible.builtin.lineinfile) writes a pin, with C(NAME) for its option.
    type: str
    default: ^NAME=
  once:
    description: Names of variables that other variables use often. Each is computed once, in this order, before them.
    type: list
    elements: str
    default: []
  problems:
    description: Names of variables, each a list of checks. A check has a C(message), and in C(when) templates.
      The message counts if all of them are true; an empty one does not count. A template is computed if those before it
      are true. If any message counts, the task fails.
    type: list
    elements: str
    default: []
  notes:
    description: Names of variables, each a list of checks as in O(problems). The messages are only shown.
    type: list
    elements: str
    default: []
  port_needs:
    description: The name of a variable with the ports that services of the host need. It has the keys C(reserved),
      C(within) and C(fix), as a value in C(firewall_port_needs) of the role P(hpc.ports.firewall#role).
    type: str
    default: ""
seealso:
  - module: hpc.ports.firewall
"""

EXAMPLES = r"""
- name: Check the configuration against the port file
  hpc.ports.preflight:
    files:
      config: /etc/slurm/slurm.conf
    problems: [slurm_problems]
  become: true
  register: slurm_preflight
"""

RETURN = r"""
files:
  description: By name, the C(content) of each file, base64. Without C(content) if there is no file.
  returned: success
  type: dict
  sample: {config: {content: Q2x1c3Rlck5hbWU9YQo=}}
commands:
  description: By name, the exit code C(rc) of each command, and in C(stdout) what it printed to both its outputs.
  returned: success
  type: dict
  sample: {units: {rc: 0, stdout: ""}}
unwritten:
  description: The lines for O(pins) that files lack. A file that does not exist lacks none.
  returned: success
  type: list
  elements: str
  sample: [SrunPortRange=60001-60100]
port_needs:
  description: The value of the variable O(port_needs), without services that have no port.
  returned: if O(port_needs) is set
  type: dict
  sample: {reserved: [{what: lockd, ports: 32768/tcp}], within: [], fix: false}
"""

# Implemented by the action plugin of the same name, on the controller.
