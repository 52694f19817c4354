#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_info
short_description: Write the plan as the security groups of a cloud
version_added: 0.2.0
description:
  - Writes what the flows of a plan open as the rules of a cloud. Each class of hosts with the same policy is one group,
    and a rule names groups instead of addresses where exactly their hosts are meant.
  - The result is a file for the tools of the cloud, such as variables for their modules. This module talks to no cloud.
    The page C(docs/cloud.md) of the collection has a play for each cloud.
  - Warnings name what the rules do not say, and quotas that do not suffice.
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
  cloud:
    description:
      - The cloud, and what is written for it.
      - V(aws) writes variables for C(amazon.aws.ec2_security_group), V(azure) for
        C(azure.azcollection.azure_rm_securitygroup), V(gcp) for C(google.cloud.gcp_compute_firewall), and V(openstack)
        for C(openstack.cloud.security_group).
      - V(terraform_aws), V(terraform_openstack) and V(alibaba) write Terraform JSON, and V(kubernetes) writes
        NetworkPolicy.
    type: str
    required: true
    choices: [aws, azure, gcp, openstack, alibaba, terraform_aws, terraform_openstack, kubernetes]
  hosts:
    description:
      - The hosts in the cloud, by their names or groups of the inventory. Other hosts are addresses in the rules. By
        default, all hosts with a firewall are in the cloud; with V(kubernetes), those of the group C(workspace).
    type: list
    elements: str
    default: []
  prefix:
    description:
      - The beginning of the names of all groups. Use another one for each site in the same account or network.
    type: str
    default: hpc-ports
  references:
    description:
      - Whether rules name groups. Without, they have addresses only, which works between networks and regions, too.
    type: bool
    default: true
  file:
    description: The file on the controller to write. Without it, the content is shown.
    type: path
    default: ""
seealso:
  - module: hpc.ports.plan_info
  - module: hpc.ports.render
"""

EXAMPLES = r"""
- name: Compile the plan
  hpc.ports.plan_info:
  run_once: true
  register: plan

- name: Write the security groups
  hpc.ports.cloud_info:
    plan: "{{ plan.key }}"
    cloud: aws
    file: aws.yml
  run_once: true
"""

RETURN = r"""
text:
  description: The content of the file.
  returned: success
  type: str
groups:
  description: The hosts of each group, by its name.
  returned: success
  type: dict
  sample: {hpc-ports-slurm-compute: [n1, n2]}
"""

# Implemented by the action plugin of the same name, on the controller.
