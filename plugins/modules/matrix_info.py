#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: matrix_info
short_description: Say who reaches whom by the port file
version_added: 0.2.0
description:
  - Lists the ports that the flows of a plan open between classes of hosts, and those that are open to networks outside
    the inventory. A class is hosts that no rule distinguishes.
  - It has what the flows open. A host with C(firewall_mode=observe) and C(firewall_trusted_interfaces) accept more, and
    every host accepts ICMP.
  - Run it once for all hosts, with C(run_once). It touches no host.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.actiongroup_plan
  - hpc.ports.attributes.controller
  - hpc.ports.attributes.info_module
  - hpc.ports.plan
options:
  from:
    description: Only what this host reaches, or the first host of this group.
    type: str
    default: ""
  to:
    description: Only who reaches this host, or the first host of this group.
    type: str
    default: ""
  to_port:
    description: Only this port, as in the port file, such as V(6817/tcp).
    type: str
    default: ""
  by:
    description: Whether to list classes of hosts, or each host.
    type: str
    choices: [class, host]
    default: class
  files:
    description:
      - Files on the controller to write. The end of the name is the format, V(.json), V(.csv), V(.md) or V(.html).
      - The rows of a CSV or Markdown file are sorted. If a site keeps the file in its repository, a merge request shows
        what opens.
    type: list
    elements: path
    default: []
  expected:
    description:
      - A CSV or Markdown file on the controller, as O(files) writes it. If the matrix differs from it, the task fails
        and shows the rows that are new and those that are gone. A file of O(files) is written all the same.
    type: path
    default: ""
seealso:
  - module: hpc.ports.plan_info
  - module: hpc.ports.explain_info
"""

EXAMPLES = r"""
- name: Compile the plan
  hpc.ports.plan_info:
  run_once: true
  register: plan

- name: Show who reaches whom, and write it for a browser and a repository
  hpc.ports.matrix_info:
    plan: "{{ plan.key }}"
    files: [matrix.html, matrix.md]
  run_once: true
"""

RETURN = r"""
lines:
  description: The lines that the module shows.
  returned: success
  type: list
  elements: str
format:
  description: Version of the format of the other keys, which a JSON file has as well.
  returned: success
  type: int
  sample: 1
classes:
  description: The hosts of each class, by the name of the class, and whether they are managed.
  returned: success
  type: dict
  sample: {slurm_compute: {hosts: [n1, n2], managed: true}}
openings:
  description: What each flow opens from one class to another.
  returned: success
  type: list
  elements: dict
  sample:
    - {from: slurm_compute, to: slurm_controller, flow: slurm_control, services: [slurmctld], ports: [6817/tcp]}
outside:
  description: What each flow opens on a class for networks with addresses of no host in the inventory, with the
    endpoints that have these networks.
  returned: success
  type: list
  elements: dict
  sample:
    - to: control_plane
      flow: platform_https
      services: [https]
      ports: [443/tcp]
      endpoints: [users]
      networks: [10.9.0.0/16]
"""

# Implemented by the action plugin of the same name, on the controller.
