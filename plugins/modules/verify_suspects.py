#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_suspects
short_description: "Internal: choose the packets to judge on hosts after the probes"
version_added: 0.2.0
description:
  - Internal. The role verify runs this module once for all hosts, after the probes.
  - Returns, by host, the packets of connections whose verdict is wrong or unknown, and all packets of hosts that do not
    run their policy, for M(hpc.ports.verify_judge).
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.actiongroup_plan
  - hpc.ports.attributes.controller
  - hpc.ports.plan
  - hpc.ports.verify
  - hpc.ports.verify.registered
attributes:
  check_mode:
    support: full
    details: Returns no packets.
  diff_mode:
    support: none
    details: The module changes nothing.
options: {}
seealso:
  - module: hpc.ports.verify_judge
  - module: hpc.ports.verify_verdicts
"""

EXAMPLES = r"""
- name: Find the connections that did not end as expected
  hpc.ports.verify_suspects:
    plan: "{{ verify_plan.key }}"
    run: "{{ verify_task.run }}"
    probed: verify_probed
    stopped: verify_stopped
    compared: verify_compared
  register: suspects
  run_once: true

- name: Ask the rules of their hosts for the reason
  hpc.ports.verify_judge:
    packets: "{{ suspects.packets[inventory_hostname] }}"
  become: true
  when: inventory_hostname in suspects.packets
"""

RETURN = r"""
packets:
  description: The option O(hpc.ports.verify_judge#module:packets) for each host.
  returned: success
  type: dict
"""

# Implemented by the action plugin of the same name, on the controller.
