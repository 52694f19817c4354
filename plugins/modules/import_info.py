#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: import_info
short_description: Draft a port file from the rules of other firewall programs
version_added: 0.2.0
description:
  - Reads what the rules of a host accept by source and port, and drafts flows of the port file that accept the same.
    Existing services and endpoints are used by name; new ones are part of the draft.
  - Rules that a port file cannot express, such as limits or interfaces, are listed and not drafted. A rule of this kind
    that drops packets may make the draft accept more than the host did.
  - Only rules for incoming packets are read. Replies, loopback and ICMP are accepted by every policy.
  - Run it once for all hosts, with C(run_once). It touches no host.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.actiongroup_plan
  - hpc.ports.attributes.controller
  - hpc.ports.attributes.info_module
  - hpc.ports.plan
options:
  files:
    description:
      - Files on the controller with rules of one host. Each is the output of C(nft -j list ruleset), C(iptables-save)
        or C(ip6tables-save), or C(/etc/ufw/user.rules) or C(/etc/ufw/user6.rules).
      - From a cloud, a file has the groups of one host as JSON - the output of C(aws ec2 describe-security-groups),
        C(az network nsg show) or C(openstack security group rule list -f json). A rule that names another group is
        listed and not drafted.
      - A folder with copies of C(etc/firewalld) and C(usr/lib/firewalld) has the zones of firewalld. The default zone
        decides about all packets that are from no source of another zone; other zones of interfaces are listed.
    type: list
    elements: path
    required: true
  interfaces:
    description:
      - The interfaces by which other hosts reach the host, such as V(eth0). A rule for one of them is read as a rule
        for all packets. A rule for any other interface is listed and not drafted.
    type: list
    elements: str
    default: []
  to:
    description: The groups or endpoints that the flows lead to - those of the host.
    type: list
    elements: str
    required: true
  draft:
    description: A file on the controller for the draft; empty writes none.
    type: path
    default: ""
seealso:
  - module: hpc.ports.plan_info
"""

EXAMPLES = r"""
- name: Compile the plan
  hpc.ports.plan_info:
  run_once: true
  register: plan

- name: Draft flows from the rules of a login node
  hpc.ports.import_info:
    plan: "{{ plan.key }}"
    files: [login1.rules.json]
    to: [slurm_login]
    draft: draft.yml
  run_once: true
"""

RETURN = r"""
services:
  description: New services, as in C(firewall_services).
  returned: success
  type: dict
  sample: {port_8649_udp: {ports: [8649/udp]}}
endpoints:
  description: New endpoints, as in C(firewall_endpoints).
  returned: success
  type: dict
  sample: {net_10_20_0_0_16: {cidrs: [10.20.0.0/16]}}
flows:
  description: The flows, as in C(firewall_flows).
  returned: success
  type: dict
  sample: {imported_ssh: {from: [net_10_20_0_0_16], to: [slurm_login], services: [ssh], need: recommended}}
left:
  description: Rules that are not in the draft, each with its file and the reason.
  returned: success
  type: list
  elements: str
"""

# Implemented by the action plugin of the same name, on the controller.
