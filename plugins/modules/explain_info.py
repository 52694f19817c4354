#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: explain_info
short_description: Explain whether one host can connect to a port of another, and why
version_added: 0.2.0
description:
  - Answers from the plan, from the rules that both hosts run and, if one was sent, from a probe.
  - Without O(judged), returns the questions to ask the two hosts with M(hpc.ports.verify_judge),
    M(hpc.ports.verify_listen) and M(hpc.ports.verify_probe).
  - With O(judged), shows the answer with its reasons.
  - The playbook C(hpc.ports.explain) runs all these steps.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.actiongroup_plan
  - hpc.ports.attributes.controller
  - hpc.ports.attributes.info_module
  - hpc.ports.plan
  - hpc.ports.verify.registered
options:
  from:
    description: The host that connects - a host of the inventory, or a group for its first host.
    type: str
    required: true
  to:
    description: The host to connect to - a host of the inventory, or a group for its first host.
    type: str
    required: true
  to_port:
    description: The port to connect to, as in the port file, such as V(6817/tcp).
    type: str
    required: true
  judged:
    description: Name of the variable in which both hosts registered M(hpc.ports.verify_judge).
    type: str
    default: ""
  probe:
    description: Whether a probe was requested.
    type: bool
    default: false
  probed:
    default: ""
  stopped:
    default: ""
notes:
  - Run it once for both hosts, with C(run_once).
seealso:
  - module: hpc.ports.verify_judge
"""

EXAMPLES = r"""
- name: Compile the plan for the whole inventory
  hpc.ports.plan_info:
  run_once: true
  register: plan

- name: Find the questions to ask
  hpc.ports.explain_info:
    plan: "{{ plan.key }}"
    from: login1
    to: slurm_controller
    to_port: 6817/tcp
  run_once: true
  register: asked

- name: Ask the rules of both hosts
  hpc.ports.verify_judge:
    packets: "{{ asked.packets[inventory_hostname] }}"
  become: true
  register: judged
  when: inventory_hostname in asked.packets

- name: Explain
  hpc.ports.explain_info:
    plan: "{{ plan.key }}"
    from: login1
    to: slurm_controller
    to_port: 6817/tcp
    judged: judged
  run_once: true
  register: answer

- name: Fail unless login1 can connect
  ansible.builtin.assert:
    that: answer.code == 'yes'
    fail_msg: "{{ answer.answer }}"
  run_once: true
"""

RETURN = r"""
packets:
  description: The option O(hpc.ports.verify_judge#module:packets) for each host. A host with no question has none.
  returned: without O(judged)
  type: dict
parts:
  description: Where to listen and what to probe, by host, with the keys that M(hpc.ports.verify_expectations) returns.
  returned: without O(judged)
  type: dict
code:
  description:
    - The answer, V(yes), V(no), V(should_but_does_not) or V(should_not_but_does).
    - V(should) or V(should_not) if only the plan answers, because the hosts could not be asked; V(unknown) if the plan
      does not answer either.
    - If the addresses of the target differ, the worst answer.
  returned: with O(judged)
  type: str
  sample: should_but_does_not
answer:
  description: The answer as a sentence.
  returned: with O(judged)
  type: str
  sample: "Yes: login1 can connect to 6817/tcp of ctl by flow slurm_control."
from:
  description: The host that connects.
  returned: with O(judged)
  type: str
to:
  description: The host to connect to.
  returned: with O(judged)
  type: str
port:
  description: The port.
  returned: with O(judged)
  type: str
notes:
  description: The hosts that were chosen for names of groups.
  returned: with O(judged)
  type: list
  elements: str
plan:
  description: The answer of the plan.
  returned: with O(judged)
  type: dict
  contains:
    passes:
      description: Whether the plan allows the connection; null if the plan has no policy for the target.
      type: bool
    pairs:
      description: What the policies of both hosts do, for each pair of addresses.
      type: list
      elements: dict
    flows:
      description: Each flow to the target with this port, and whether it applies or why it does not.
      type: list
      elements: dict
    sentences:
      description: The answer of the plan as sentences.
      type: list
      elements: str
    advice:
      description: What would allow the connection.
      type: list
      elements: str
ways:
  description: One entry for each address of the target.
  returned: with O(judged)
  type: list
  elements: dict
  contains:
    address:
      description: The address.
      type: str
    sources:
      description: The addresses that the connection may come from; only one if the source reported its route.
      type: list
      elements: str
    intended:
      description: Whether the plan allows the connection; null if the plan has no policy for the target.
      type: bool
    compiled:
      description: Whether the rules of both hosts accept the packet and its answer; null if not known.
      type: bool
    sides:
      description: What the rules of each host do (C(passes)), and which rule decides (C(text)).
      type: list
      elements: dict
    listening:
      description: The addresses on which a process listens for the connection; null if not known.
      type: list
      elements: str
    unit:
      description: The systemd unit that should listen, if a service of the flow that allows the connection names it.
      type: str
    cell:
      description: The result of the probe, as in C(cells) of the report of verify; null without a probe.
      type: dict
    code:
      description: The answer for this address.
      type: str
    text:
      description: The reason.
      type: str
    diagnosis:
      description: The problem and what to do, with C(code), C(text) and C(advice); null if all is as planned.
      type: dict
silent:
  description: Why the rules of a host are not known, by host.
  returned: with O(judged)
  type: dict
advice:
  description: What to do.
  returned: with O(judged)
  type: list
  elements: str
lines:
  description: The text that was shown.
  returned: with O(judged)
  type: list
  elements: str
"""

# Implemented by the action plugin of the same name, on the controller.
