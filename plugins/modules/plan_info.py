#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: plan_info
short_description: Compile the port file and the inventory into a policy for every host
version_added: 0.2.0
description:
  - Validates the port file, resolves its names, and compiles what every managed host accepts and may open.
  - Invalid input fails here, with one message that names the key.
  - The plan covers the whole inventory, also with C(--limit). It is kept until the end of the run.
  - Shows the advice of lint about the plan as warnings, for example about a plan that would block the ssh connections
    of Ansible.
  - Two kinds of hosts with restricted egress may open the ssh connections of Ansible - jump hosts, by their names in
    C(ansible_ssh_common_args) and similar variables, and hosts in a network of the endpoint C(controllers).
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.controller
  - hpc.ports.attributes.info_module
options:
  lint:
    description: Return the findings of lint instead of showing them as warnings.
    type: bool
    default: false
  warn:
    description:
      - Show the advice of lint as warnings. If neither O(lint) nor O(warn) is true, lint does not run.
    type: bool
    default: true
  report_only:
    description:
      - Compile a plan that no module applies or renders. Its endpoint C(controllers) may be empty. The playbook
        C(hpc.ports.audit) uses it on a site that has no port file yet.
    type: bool
    default: false
  roles:
    description:
      - Roles of the collection. Their variables are checked on all hosts of the inventory on which the role runs, with
        the argument specification of the role. The playbooks of the collection run the roles without the check of
        Ansible, which is a task for each role and host.
      - A template that names facts, or other variables that do not exist yet, is not checked.
    type: list
    elements: str
    choices: [control_plane, firewall, monitoring, nfs, pbs, slurm, workspace]
    default: [firewall]
    version_added: 0.3.0
  variables_of:
    description:
      - Playbooks of the collection, and the role V(verify), that run in this play. A variable that C(-e) sets, and that
        begins with one of these names, has to be one of their variables. If its name is close to one, as in
        C(matrix_file), the task fails. Otherwise it warns.
    type: list
    elements: str
    choices: [audit, cloud, difference, explain, import, init, lint, matrix, observed, render, verify]
    default: []
  without:
    description:
      - Hosts of the inventory to leave out. The plan is compiled as if they were in none of its groups.
      - A template in a variable that reads C(groups) or C(hostvars) still sees these hosts.
    type: list
    elements: str
    default: []
notes:
  - Set the variables of the port file in the inventory or with C(-e), never in one play. The plan is for all hosts, and
    must be the same in every play.
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

- name: Apply the policy of each host
  hpc.ports.firewall:
    plan: "{{ firewall_plan.key }}"
  become: true

- name: Compile the plan as it will be without a node
  hpc.ports.plan_info:
    without: [n17]
  run_once: true
  register: plan_without
"""

RETURN = r"""
key:
  description: Key of the plan in this run, for the option O(hpc.ports.firewall#module:plan).
  returned: success
  type: str
  sample: 0f3c6f0d7a3b4a61a9c2d8de1b2f6f52
managed:
  description: How many hosts of the inventory get a firewall, and the hosts that do not. A long list is cut.
  returned: success
  type: str
  sample: "9 hosts get a firewall, 1 does not: jhub (in no group of hpc.ports)."
findings:
  description: The findings of lint.
  returned: when O(lint) is true
  type: list
  elements: dict
  contains:
    rule:
      description: The rule of lint.
      type: str
      sample: docker-without-encryption
    severity:
      description:
        - V(error), V(warning), or V(note) for information. V(accepted) for an error, a warning or a note that the flow
          or service accepts.
        - Runs show neither notes nor accepted findings as warnings.
      type: str
    subject:
      description: The flow, service, endpoint or host that the finding is about.
      type: str
    message:
      description: The problem, and what to do.
      type: str
"""

# Implemented by the action plugin of the same name, on the controller.
