#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: observed_report
short_description: "Internal: report what hosts in observe mode have recorded"
version_added: 0.2.0
description:
  - Internal. The playbook C(hpc.ports.observed) uses this module.
  - Compares the records of M(hpc.ports.observed_info) with the plan. Records that the plan allows by now are left out.
    The others are grouped like flows, with the names of hosts, groups and endpoints.
  - Drafts the entries of the port file that allow them. A flow that is off and allows all connections of a group is
    turned on. Otherwise the draft has a new flow, with existing services, the fewest groups, and new endpoints for
    other hosts and addresses.
  - A group of hpc.ports is named if at least half of its hosts were seen, another group if all were. More than 16
    addresses become networks, and more than three ephemeral ports that nobody holds become a range.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.actiongroup_plan
  - hpc.ports.attributes.controller
  - hpc.ports.attributes.info_module
  - hpc.ports.plan
options:
  observed:
    description: Name of the variable in which the hosts registered M(hpc.ports.observed_info) with C(compact=true).
    type: str
    required: true
  draft:
    description: A file on the controller for the proposed entries of the port file; empty writes none.
    type: path
    default: ""
  files:
    description: Files on the controller for the report; the end of the name, C(.json) or C(.html), is the format.
    type: list
    elements: path
    default: []
notes:
  - Run it once for all hosts, with C(run_once).
seealso:
  - module: hpc.ports.observed_info
"""

EXAMPLES = r"""
- name: Compile the plan
  hpc.ports.plan_info:
  run_once: true
  register: plan

- name: Read the records of each host
  hpc.ports.observed_info:
    compact: true
  become: true
  register: observed_host

- name: Report
  hpc.ports.observed_report:
    plan: "{{ plan.key }}"
    observed: observed_host
  run_once: true
"""

RETURN = r"""
lines:
  description: The lines that the module shows.
  returned: success
  type: list
  elements: str
draft:
  description: The proposed entries of the port file, as YAML; empty if there is nothing to allow.
  returned: success
  type: str
seen:
  description: Connections that no flow allows, in groups.
  returned: success
  type: list
  elements: dict
  contains:
    from:
      description: >-
        The sources: their V(hosts), V(groups) that cover hosts, the V(rest) of the hosts, V(endpoints) that have
        addresses in a network, and V(addresses) without a name.
      type: dict
    to:
      description: The targets, like RV(seen[].from).
      type: dict
    ports:
      description: The ports.
      type: list
      elements: str
      sample: [8649/udp]
    within_cluster:
      description: Whether all connections stayed within a cluster.
      type: bool
    listeners:
      description: Who listens on the targets.
      type: list
      elements: str
      sample: [gmond (gmond.service)]
    packets:
      description: How many packets no flow allows. If both ends recorded them, they count once.
      type: int
    last_seconds:
      description: Seconds since the last of them.
      type: int
left_out:
  description: Flows that are not in the draft, because lint objects to them, with the reason.
  returned: success
  type: list
  elements: str
allowed:
  description: Records that the port file allows by now.
  returned: success
  type: int
notes:
  description: Sentences about the hosts, such as those that do not observe, or of which nothing is known.
  returned: success
  type: list
  elements: str
format:
  description: The format of the data.
  returned: success
  type: int
"""

# Implemented by the action plugin of the same name, on the controller.
