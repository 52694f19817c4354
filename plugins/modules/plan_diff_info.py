#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: plan_diff_info
short_description: List the hosts whose policies differ between two plans
version_added: 0.2.0
description:
  - Compares two plans of one run, such as the plans with and without a node, and returns the hosts whose policy
    changes.
  - Run it once for all hosts, with C(run_once).
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.controller
  - hpc.ports.attributes.info_module
options:
  before:
    description: Key of the first plan, as M(hpc.ports.plan_info) returned it.
    type: str
    required: true
  after:
    description: Key of the second plan.
    type: str
    required: true
  sample:
    description: Also return one host of each class of the plan O(after), for a run of verify that covers all classes.
    type: bool
    default: false
seealso:
  - module: hpc.ports.plan_info
"""

EXAMPLES = r"""
- name: Compile the plan
  hpc.ports.plan_info:
  run_once: true
  register: plan

- name: Compile the plan without a node
  hpc.ports.plan_info:
    without: [n17]
    lint: true
  run_once: true
  register: plan_without

- name: Find the hosts whose policy needs the node
  hpc.ports.plan_diff_info:
    before: "{{ plan_without.key }}"
    after: "{{ plan.key }}"
  run_once: true
  register: compared

- name: Show the changes
  ansible.builtin.debug:
    msg: "{{ compared.reasons }}"
  run_once: true
"""

RETURN = r"""
hosts_added:
  description: Managed hosts that only the plan O(after) has.
  returned: success
  type: list
  elements: str
hosts_removed:
  description: Managed hosts that only the plan O(before) has.
  returned: success
  type: list
  elements: str
hosts_changed:
  description: Managed hosts in both plans whose policies differ.
  returned: success
  type: list
  elements: str
  sample: [head, n1, n2]
changes:
  description: What changes, by host, with the keys that M(hpc.ports.firewall) returns.
  returned: success
  type: dict
  contains:
    flows_added:
      description: Flows that are added.
      type: list
      elements: str
    flows_removed:
      description: Flows that are removed.
      type: list
      elements: str
    ports_changed:
      description: Ports that are added and removed, by flow.
      type: dict
    addresses_changed:
      description: Addresses that are added and removed, by flow.
      type: dict
      sample: {in_slurm_control: {added: [10.20.0.7], removed: []}}
    settings:
      description: Other parts of the policy that change, such as V(egress).
      type: list
      elements: str
reasons:
  description: The changes as sentences, one for all hosts that change in the same way.
  returned: success
  type: list
  elements: str
  sample: ["head: flow slurm_control (in) gains 10.20.0.7."]
sample:
  description: One host of each class that has hosts besides the added ones. Empty unless O(sample) is true.
  returned: success
  type: list
  elements: str
"""

# Implemented by the action plugin of the same name, on the controller.
