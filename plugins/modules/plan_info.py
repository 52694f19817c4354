#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: plan_info
short_description: Compile the port file and the inventory into a policy for every host
version_added: 0.1.0
description:
  - Validates the port file, resolves its names, and compiles what every managed host accepts and may open.
  - Runs on the controller and touches no host. Bad input ends here, with one message that names the key.
  - The plan covers the inventory as a whole, also with C(--limit). It is kept until the end of the run.
  - Advice that lint has about the plan is shown as warnings, what would keep Ansible's own ssh out among it.
  - Hosts with restricted egress that Ansible's ssh goes out from may open it - jump hosts, by their names in
    C(ansible_ssh_common_args) and the like, and hosts in a network of the endpoint C(controllers).
author:
  - The hpc.ports authors (@hpc-ports)
attributes:
  check_mode:
    support: full
    description: The plan changes nothing.
  diff_mode:
    support: none
    description: The plan changes nothing.
  platform:
    support: full
    platforms: posix
    description: Needs the Python libraries netaddr and jmespath on the controller.
options:
  lint:
    description: Return the findings of lint instead of showing them as warnings.
    type: bool
    default: false
  without:
    description:
      - Hosts of the inventory. The plan is as if they were not in it, nor in any of its groups.
      - A template in a variable that reads C(groups) or C(hostvars) still sees them.
    type: list
    elements: str
    default: []
notes:
  - Set the variables of the port file in the inventory or with C(-e), never in one play - the plan is for all hosts,
    and must be the same whichever play asks for it.
seealso:
  - module: hpc.ports.firewall
  - module: hpc.ports.plan_diff_info
  - module: hpc.ports.render
"""

EXAMPLES = r"""
- name: Compile the plan, once for all hosts
  hpc.ports.plan_info:
  run_once: true
  register: firewall_plan

- name: Give the host its firewall
  hpc.ports.firewall:
    plan: "{{ firewall_plan.key }}"
  become: true

- name: The plan that there will be when a node has left the inventory
  hpc.ports.plan_info:
    without: [n17]
  run_once: true
  register: plan_without
"""

RETURN = r"""
key:
  description: What stands for the plan in this run; give it to M(hpc.ports.firewall).
  returned: success
  type: str
  sample: 0f3c6f0d7a3b4a61a9c2d8de1b2f6f52
findings:
  description: What lint found.
  returned: when O(lint) is true
  type: list
  elements: dict
  contains:
    rule:
      description: The rule of lint.
      type: str
      sample: docker-without-encryption
    severity:
      description: V(error), V(warning), or V(note) for what is to be known, and no warning of a run.
      type: str
    subject:
      description: The flow, service, endpoint or host.
      type: str
    message:
      description: What is wrong, and what to do.
      type: str
"""

# Implemented by the action plugin of the same name, on the controller.
