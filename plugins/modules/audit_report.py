#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: audit_report
short_description: "Internal: compare what hosts do now with the port file"
version_added: 0.2.0
description:
  - Internal. The playbook C(hpc.ports.audit) uses this module.
  - Compares the results of M(hpc.ports.audit_info) with the plan, and drafts flows for connections that no flow allows.
    A flow of the port file that is off and fits is turned on. A new flow names existing services, and groups that cover
    the hosts of a side.
  - Flows to which lint would object are left out of the draft, and named in comments.
  - If the endpoint C(controllers) is empty, the draft has it, with the addresses from which Ansible connects. Compile
    the plan with O(hpc.ports.plan_info#module:report_only) for that.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.actiongroup_plan
  - hpc.ports.attributes.controller
  - hpc.ports.attributes.info_module
  - hpc.ports.plan
options:
  audited:
    description: Name of the variable in which the hosts registered M(hpc.ports.audit_info).
    type: str
    required: true
  draft:
    description: A file on the controller for the proposed entries of the port file; empty writes none.
    type: path
    default: ""
notes:
  - Run it once for all hosts, with C(run_once).
seealso:
  - module: hpc.ports.audit_info
"""

EXAMPLES = r"""
- name: Compile the plan
  hpc.ports.plan_info:
    report_only: true
  run_once: true
  register: plan

- name: Ask each host what it does now
  hpc.ports.audit_info:
  become: true
  register: audit_host

- name: Report
  hpc.ports.audit_report:
    plan: "{{ plan.key }}"
    audited: audit_host
  run_once: true
"""

RETURN = r"""
lines:
  description: The lines that the module shows.
  returned: success
  type: list
  elements: str
draft:
  description: The proposed entries of the port file, as YAML.
  returned: success
  type: str
left_out:
  description: Flows that are left out of the draft, with the reason.
  returned: success
  type: list
  elements: str
denied:
  description: Connections that no flow allows, in groups. A run does not cut them, unless
    C(firewall_cut_established) is set, but they could not be opened again.
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
      description: The targets, like RV(denied[].from).
      type: dict
    ports:
      description: The ports.
      type: list
      elements: str
      sample: [8649/udp]
    within_cluster:
      description: Whether all connections stay within a cluster.
      type: bool
    listeners:
      description: Who listens on the targets, or publishes the port.
      type: list
      elements: str
      sample: [gmond (gmond.service)]
    connections:
      description: How many there are. If both ends have a connection, it counts once.
      type: int
unreached:
  description: Ports on which hosts listen for others, or that NAT rules publish, and that no flow opens.
  returned: success
  type: list
  elements: dict
unserved:
  description: Flows that open ports of hosts on which nothing listens. Flows with broad services are left out.
  returned: success
  type: list
  elements: dict
unused:
  description: Flows that have let no packet in to any host of their targets that counts, with the longest time that it
    can have counted, in seconds. A flow with a live connection is not in the list. None if no host has rules of this
    collection.
  returned: success
  type: list
  elements: dict
silent:
  description: Why nothing is known of a host, by host.
  returned: success
  type: dict
"""

# Implemented by the action plugin of the same name, on the controller.
