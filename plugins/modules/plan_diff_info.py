#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: plan_diff_info
short_description: Tell whose policy two plans differ in, and how
version_added: 0.1.0
description:
  - Holds two plans of one run against each other, such as those with and without a node, and returns the hosts that get
    another policy.
  - Runs on the controller, once for all hosts, and touches no host.
author:
  - The hpc.ports authors (@hpc-ports)
attributes:
  check_mode:
    support: full
    description: Nothing is changed.
  diff_mode:
    support: none
    description: Nothing is changed.
  platform:
    support: full
    platforms: posix
    description: Needs the Python library netaddr on the controller.
options:
  before:
    description: The key of a plan that M(hpc.ports.plan_info) returned.
    type: str
    required: true
  after:
    description: The key of the other one.
    type: str
    required: true
  sample:
    description: Also return a host of each class of O(after), for M(hpc.ports.verify_expectations).
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

- name: See who needs that node
  hpc.ports.plan_diff_info:
    before: "{{ plan_without.key }}"
    after: "{{ plan.key }}"
  run_once: true
  register: compared

- name: Show it
  ansible.builtin.debug:
    msg: "{{ compared.reasons }}"
  run_once: true
"""

RETURN = r"""
hosts_added:
  description: Managed hosts that O(after) alone has.
  returned: success
  type: list
  elements: str
hosts_removed:
  description: Managed hosts that O(before) alone has.
  returned: success
  type: list
  elements: str
hosts_changed:
  description: Managed hosts of both whose policies differ.
  returned: success
  type: list
  elements: str
  sample: [head, n1, n2]
changes:
  description: By host, what changes, in the words of M(hpc.ports.firewall).
  returned: success
  type: dict
  contains:
    flows_added:
      description: Flows that come.
      type: list
      elements: str
    flows_removed:
      description: Flows that go.
      type: list
      elements: str
    ports_changed:
      description: By flow, the ports that come and go.
      type: dict
    addresses_changed:
      description: By flow, the addresses that come and go.
      type: dict
      sample: {in_slurm_control: {added: [10.20.0.7], removed: []}}
    settings:
      description: Other parts of the policy, such as V(egress).
      type: list
      elements: str
reasons:
  description: The same for people, hosts that change alike in one sentence.
  returned: success
  type: list
  elements: str
  sample: ["head: flow slurm_control (in) gains 10.20.0.7."]
sample:
  description: A host of each class that has others than the added ones; empty unless O(sample) is true.
  returned: success
  type: list
  elements: str
"""

# Implemented by the action plugin of the same name, on the controller.
