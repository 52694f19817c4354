#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_suspects
short_description: Tell which packets to judge on which hosts, because a connection was not as expected
version_added: 0.1.0
description:
  - Returns, by host, the packets of connections that are wrong or unknown, and all packets of hosts that do not run
    their policy, for M(hpc.ports.verify_judge).
  - Runs on the controller, once for all hosts.
author:
  - The hpc.ports authors (@hpc-ports)
attributes:
  check_mode:
    support: full
    description: Returns no packets.
  diff_mode:
    support: none
    description: Nothing is changed.
  platform:
    support: full
    platforms: posix
    description: Needs the Python library netaddr on the controller.
options:
  plan:
    description: The key of the plan that M(hpc.ports.plan_info) returned.
    type: str
    required: true
  run:
    description: The name of the run that M(hpc.ports.verify_expectations) returned.
    type: str
    required: true
  probed:
    description: The name under which M(hpc.ports.verify_probe) was registered on the hosts.
    type: str
    required: true
  stopped:
    description: The name under which M(hpc.ports.verify_listen) with O(ignore:state=stopped) was registered.
    type: str
    required: true
  compared:
    description: The name under which M(hpc.ports.firewall) in check mode was registered, on hosts where it was.
    type: str
    required: true
seealso:
  - module: hpc.ports.verify_judge
  - module: hpc.ports.verify_verdicts
"""

EXAMPLES = r"""
- name: See which connections were not as expected
  hpc.ports.verify_suspects:
    plan: "{{ verify_plan.key }}"
    run: "{{ verify_task.run }}"
    probed: verify_probed
    stopped: verify_stopped
    compared: verify_compared
  register: suspects
  run_once: true

- name: Ask the rulesets of their hosts why
  hpc.ports.verify_judge:
    packets: "{{ suspects.packets[inventory_hostname] }}"
  become: true
  when: inventory_hostname in suspects.packets
"""

RETURN = r"""
packets:
  description: By host, the O(hpc.ports.verify_judge#module:packets) to judge there.
  returned: success
  type: dict
"""

# Implemented by the action plugin of the same name, on the controller.
