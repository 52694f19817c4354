#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: explain_info
short_description: Can one host connect to a port of another, and why, or why not?
version_added: 0.1.0
description:
  - Without O(judged), tells what to ask the two hosts with M(hpc.ports.verify_judge), M(hpc.ports.verify_listen) and
    M(hpc.ports.verify_probe).
  - With it, shows the answer and the reasons by the plan, by the rulesets that both hosts run, and by the probe where
    there was one.
  - Runs on the controller, once for both hosts. The playbook C(hpc.ports.explain) does it all.
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
    description: Needs the Python libraries netaddr and jmespath on the controller.
options:
  plan:
    description: The key of the plan that M(hpc.ports.plan_info) returned.
    type: str
    required: true
  from:
    description: Who connects, a host of the inventory or a group, which stands for its first host.
    type: str
    required: true
  to:
    description: To whom, a host of the inventory or a group, which stands for its first host.
    type: str
    required: true
  to_port:
    description: The port as in the port file, such as V(6817/tcp).
    type: str
    required: true
  judged:
    description: The name under which M(hpc.ports.verify_judge) was registered on both hosts.
    type: str
    default: ""
  probe:
    description: Whether a probe was asked for.
    type: bool
    default: false
  probed:
    description: The name under which M(hpc.ports.verify_probe) was registered.
    type: str
    default: ""
  stopped:
    description: The name under which M(hpc.ports.verify_listen) with O(ignore:state=stopped) was registered.
    type: str
    default: ""
seealso:
  - module: hpc.ports.verify_judge
  - module: hpc.ports.verify_verdicts
"""

EXAMPLES = r"""
- name: Compile the plan for the whole inventory
  hpc.ports.plan_info:
  run_once: true
  register: plan

- name: See what to ask
  hpc.ports.explain_info:
    plan: "{{ plan.key }}"
    from: login1
    to: slurm_controller
    to_port: 6817/tcp
  run_once: true
  register: asked

- name: Ask the rulesets of both
  hpc.ports.verify_judge:
    packets: "{{ asked.packets[inventory_hostname] }}"
  become: true
  register: judged
  when: inventory_hostname in asked.packets

- name: Answer
  hpc.ports.explain_info:
    plan: "{{ plan.key }}"
    from: login1
    to: slurm_controller
    to_port: 6817/tcp
    judged: judged
  run_once: true
  register: answer

- name: Fail unless it can
  ansible.builtin.assert:
    that: answer.code == 'yes'
    fail_msg: "{{ answer.answer }}"
  run_once: true
"""

RETURN = r"""
packets:
  description: By host, the O(hpc.ports.verify_judge#module:packets) to judge there; none where there is nothing to ask.
  returned: without O(judged)
  type: dict
parts:
  description: By host, what M(hpc.ports.verify_expectations) returns - what to listen on and what to probe.
  returned: without O(judged)
  type: dict
code:
  description:
    - The answer, V(yes), V(no), V(should_but_does_not) or V(should_not_but_does).
    - V(should) and V(should_not) where the plan says so, and what the hosts do could not be learnt; V(unknown) where
      the plan does not say either.
    - Where addresses of the target differ, that of the worst.
  returned: with O(judged)
  type: str
  sample: should_but_does_not
answer:
  description: The answer in a sentence.
  returned: with O(judged)
  type: str
  sample: "Yes: login1 can connect to 6817/tcp of ctl by flow slurm_control."
from:
  description: The host that connects.
  returned: with O(judged)
  type: str
to:
  description: The host to which.
  returned: with O(judged)
  type: str
port:
  description: The port.
  returned: with O(judged)
  type: str
notes:
  description: What was made of names of groups.
  returned: with O(judged)
  type: list
  elements: str
plan:
  description: What the plan says.
  returned: with O(judged)
  type: dict
  contains:
    passes:
      description: Whether it may; null where the plan does not say.
      type: bool
    pairs:
      description: What the policies of both say of each two addresses.
      type: list
      elements: dict
    flows:
      description: Each flow with this port to this target, and why it does not apply, or that it does.
      type: list
      elements: dict
    sentences:
      description: All of it in words.
      type: list
      elements: str
    advice:
      description: What would open it.
      type: list
      elements: str
ways:
  description: One entry an address of the target.
  returned: with O(judged)
  type: list
  elements: dict
  contains:
    address:
      description: The address.
      type: str
    sources:
      description: The addresses that it may come from, one where the source told.
      type: list
      elements: str
    intended:
      description: Whether it may by the plan; null where the plan does not say.
      type: bool
    compiled:
      description: Whether the rules of both let it and its answer through; null where that is not known.
      type: bool
    sides:
      description: What the rules of each host do (C(passes)), and which rule does it
        (C(text)).
      type: list
      elements: dict
    listening:
      description: The addresses on which somebody listens for it; null where that is not known.
      type: list
      elements: str
    unit:
      description: The unit of systemd that should listen, where the port file says so.
      type: str
    cell:
      description: What the probe saw, as in C(cells) of the report of verify; null without a probe.
      type: dict
    code:
      description: The answer for this address.
      type: str
    text:
      description: The reason.
      type: str
    diagnosis:
      description: What is wrong and what to do, with C(code), C(text) and C(advice); null where all is as planned.
      type: dict
silent:
  description: By host, why its rules are not known.
  returned: with O(judged)
  type: dict
advice:
  description: What to do.
  returned: with O(judged)
  type: list
  elements: str
lines:
  description: What was shown.
  returned: with O(judged)
  type: list
  elements: str
"""

# Implemented by the action plugin of the same name, on the controller.
