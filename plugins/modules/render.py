#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: render
short_description: Write the rulesets of a plan as files on the controller, for images and cloud-init
version_added: 0.2.0
description:
  - Writes one folder for each class of hosts into a folder on the controller. A class is the hosts with the same
    policy.
  - Each folder has the files that M(hpc.ports.firewall) writes on a host, as trees to copy, and user-data for
    cloud-init. On a host that booted from them M(hpc.ports.firewall) changes nothing.
  - C(CLASS/nftables) has the ruleset, the systemd unit that loads it before the network, and the link that enables the
    unit. C(CLASS/firewalld) has the policies and ipsets that firewalld loads when it starts. C(CLASS/cloud-init.yml)
    writes the files of nftables and loads them.
  - C(classes.json) lists the classes with their hosts and files. A file that it lists is removed when no class has it
    any more; no other file in the folder is removed.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.actiongroup_plan
  - hpc.ports.attributes.controller
  - hpc.ports.plan
attributes:
  check_mode:
    support: full
    details: The result and the diff are those of the real run.
  diff_mode:
    support: full
    details: Shows each file that differs, with its mode.
options:
  folder:
    description: The folder on the controller. It is created if it does not exist.
    type: path
    required: true
  backends:
    description:
      - The backends to write files for.
      - A class whose policy firewalld cannot implement, such as one with patterns of trusted interfaces, has no files
        for firewalld; a warning says so.
    type: list
    elements: str
    choices: [nftables, firewalld]
    default: [nftables, firewalld]
  firewalld_version:
    description: The oldest version of firewalld on the hosts. Before 1.0, restricted egress needs a rule for each
      address.
    type: str
    default: "1.0"
  nft:
    description: Path of the program nft on the hosts.
    type: str
    default: /usr/sbin/nft
  watch:
    description: Whether hosts restore their rules themselves, as O(hpc.ports.firewall#module:watch).
    type: bool
    default: true
  boot_failure:
    description: What happens at boot if the ruleset cannot be loaded, as O(hpc.ports.firewall#module:boot_failure).
    type: str
    choices: [open, closed]
    default: open
notes:
  - Run it once for all hosts, with C(run_once).
seealso:
  - module: hpc.ports.firewall
"""

EXAMPLES = r"""
- name: Compile the plan
  hpc.ports.plan_info:
  run_once: true
  register: plan

- name: Write the rulesets of each class
  hpc.ports.render:
    plan: "{{ plan.key }}"
    folder: rulesets
  run_once: true
"""

RETURN = r"""
classes:
  description: The classes by name, as in C(classes.json).
  returned: success
  type: dict
  contains:
    hosts:
      description: The hosts of the class.
      type: list
      elements: str
    digest:
      description: Digest of the policy. It changes when the policy changes.
      type: str
      sample: 5f1d7a84db388d2f
    roles:
      description: The canonical groups that all hosts of the class are in.
      type: list
      elements: str
    clusters:
      description: The clusters that all hosts of the class are in.
      type: list
      elements: str
    files:
      description: The files, by their paths in the folder of the class.
      type: list
      elements: str
      sample: [nftables/etc/hpc-ports/ruleset.nft]
    lacks:
      description: Why a backend cannot implement the policy, by backend, if it cannot.
      type: dict
folder:
  description: The folder.
  returned: success
  type: str
removed:
  description: The files that were removed.
  returned: success
  type: list
  elements: str
"""

# Implemented by the action plugin of the same name, on the controller.
