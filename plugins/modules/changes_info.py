#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: changes_info
short_description: "Internal: say what opens and closes on the hosts of a play"
version_added: 0.2.0
description:
  - Internal. The role P(hpc.ports.firewall#role) runs this module after M(hpc.ports.firewall), once for all hosts.
  - Says in words what opens and closes, once for all hosts with equal changes. Hosts and endpoints stand for their
    addresses.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.actiongroup_plan
  - hpc.ports.attributes.controller
  - hpc.ports.attributes.info_module
  - hpc.ports.plan
options:
  registered:
    description: The variable that has the result of M(hpc.ports.firewall) on each host.
    type: str
    default: firewall_result
seealso:
  - module: hpc.ports.firewall
  - module: hpc.ports.difference_info
"""

EXAMPLES = r"""
- name: Apply the policy of each host
  hpc.ports.firewall:
    plan: "{{ firewall_plan.key }}"
  become: true
  register: firewall_result

- name: Say what changes
  hpc.ports.changes_info:
    plan: "{{ firewall_plan.key }}"
  run_once: true
"""

RETURN = r"""
lines:
  description: The lines that the module shows.
  returned: success
  type: list
  elements: str
  sample: ["c1, c2, c3: in_grafana: mon may now connect to 3000/tcp"]
changes:
  description: Each change in words, with the hosts that have it.
  returned: success
  type: list
  elements: dict
  sample: [{hosts: [c1, c2, c3], text: "in_grafana: mon may now connect to 3000/tcp"}]
"""

# Implemented by the action plugin of the same name, on the controller.
