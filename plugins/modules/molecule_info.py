#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: molecule_info
short_description: "Internal: choose the hosts of a Molecule scenario"
version_added: 0.2.0
description:
  - Internal. The role P(hpc.ports.molecule#role) runs it.
  - Chooses hosts that stand for their classes. A class is hosts that no rule distinguishes, so a container for each
    class shows what happens on all hosts. It touches no host.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.actiongroup_plan
  - hpc.ports.attributes.controller
  - hpc.ports.attributes.info_module
  - hpc.ports.plan
options:
  each:
    description:
      - How many hosts of each class to choose. With 2, connections between two hosts of a class can be verified.
    type: int
    default: 1
seealso:
  - module: hpc.ports.plan_info
  - module: hpc.ports.matrix_info
"""

EXAMPLES = r"""
- name: Compile the plan
  hpc.ports.plan_info:
  run_once: true
  register: plan

- name: Choose a host of each class
  hpc.ports.molecule_info:
    plan: "{{ plan.key }}"
  run_once: true
"""

RETURN = r"""
hosts:
  description:
    - The chosen hosts, each with its class, a name for its container, the address to which Ansible connects, all its
      addresses, those by which others reach it and those from which it comes, and the backend that the inventory wants
      for it. A host without a firewall has an empty backend.
    - A host whose addresses another chosen host has is left out.
  returned: success
  type: dict
  sample:
    n1:
      class: slurm_compute
      container: n1
      address: 10.0.0.11
      addresses: [10.0.0.11]
      reached: [10.0.0.11]
      comes_from: [10.0.0.11]
      backend: auto
controller:
  description:
    - From where Ansible connects to the hosts, free C(addresses) of the endpoint C(controllers), or a C(host) in it.
    - C(port) is where sshd has to listen.
  returned: success
  type: dict
  sample: {addresses: [10.0.0.250], host: "", port: 22}
left_out:
  description: Why a class has no host among the chosen ones, by the name of the class.
  returned: success
  type: dict
  sample: {slurm_login: another container has the address 10.0.0.11 of login}
"""

# Implemented by the action plugin of the same name, on the controller.
