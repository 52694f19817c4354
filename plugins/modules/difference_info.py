#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: difference_info
short_description: Say what opens and closes since an earlier state of the inventory
version_added: 0.2.0
description:
  - Compares a plan with the plan of an earlier state of the inventory, such as that of a git ref, and says which ports
    open and close between hosts and for networks outside the inventory.
  - Ansible reads the earlier state as it reads the inventory of the run, with the same code, extra variables, secrets
    of the vault and C(ansible.cfg). For a git ref, it reads a temporary folder, which is removed at the end.
  - Run it once for all hosts, with C(run_once). It touches no host.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.actiongroup_plan
  - hpc.ports.attributes.controller
  - hpc.ports.attributes.info_module
  - hpc.ports.plan
requirements:
  - git on the controller, for a git ref
options:
  from:
    description:
      - The earlier state, as a git ref of the repository that has the inventory, such as V(main) or V(HEAD~1).
      - Or a folder with a copy of the inventory, or of a folder that contains it.
    type: str
    required: true
  files:
    description:
      - Files on the controller to write. The end of the name is the format, V(.json), or V(.md) for a comment on a
        merge request.
    type: list
    elements: path
    default: []
seealso:
  - module: hpc.ports.plan_info
  - module: hpc.ports.matrix_info
  - module: hpc.ports.plan_diff_info
"""

EXAMPLES = r"""
- name: Compile the plan
  hpc.ports.plan_info:
  run_once: true
  register: plan

- name: Say what opens and closes, and write it for a merge request
  hpc.ports.difference_info:
    plan: "{{ plan.key }}"
    from: main
    files: [changes.md]
  run_once: true
"""

RETURN = r"""
lines:
  description: The lines that the module shows.
  returned: success
  type: list
  elements: str
format:
  description: Version of the format of the other keys, which a JSON file has as well.
  returned: success
  type: int
  sample: 1
from:
  description: The earlier state, with its commit.
  returned: success
  type: str
  sample: main (0292a931ab)
hosts_added:
  description: Hosts that the earlier state does not have.
  returned: success
  type: list
  elements: str
hosts_removed:
  description: Hosts that only the earlier state has.
  returned: success
  type: list
  elements: str
settings:
  description: Settings of hosts that change. The setting C(managed) says whether they have a firewall. C(opens) is true
    if more is open by the new value than the flows say.
  returned: success
  type: list
  elements: dict
  sample: [{hosts: [head], name: mode, before: enforce, after: observe, opens: true}]
opened:
  description: Ports of each host in C(to) that each other host in C(from) can connect to now. C(flows) open them.
  returned: success
  type: list
  elements: dict
  sample: [{from: [mon], to: [c1, c2, c3], ports: [3000/tcp], flows: [grafana]}]
closed:
  description: Ports that are closed now, with the flows that opened them.
  returned: success
  type: list
  elements: dict
opened_outside:
  description: Ports of hosts that are open to networks outside the inventory now. With C(outward), ports of these
    networks that hosts with restricted egress may connect to now.
  returned: success
  type: list
  elements: dict
  sample:
    - hosts: [head]
      ports: [3000/tcp]
      networks: [10.8.0.0/16]
      endpoints: [users]
      flows: [portal]
      outward: false
closed_outside:
  description: Ports that are closed to networks outside the inventory now.
  returned: success
  type: list
  elements: dict
others:
  description: Sentences about hosts whose policies change although no port opens or closes by it.
  returned: success
  type: list
  elements: str
opens_outside:
  description: Whether more is open to networks outside the inventory, or by settings. Ssh of the controllers to a new
    host does not count.
  returned: success
  type: bool
"""

# Implemented by the action plugin of the same name, on the controller.
