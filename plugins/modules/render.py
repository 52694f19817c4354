#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: render
short_description: Write the rulesets of a plan on the controller, for hosts that Ansible never sees
version_added: 0.1.0
description:
  - Writes one folder a class of hosts, which are those with the same policy, into a folder on the controller.
  - Each has the files that M(hpc.ports.firewall) writes on a host, in trees as they go on one, and user-data for
    cloud-init. On a host that booted from them M(hpc.ports.firewall) changes nothing.
  - C(CLASS/nftables) has the ruleset, the unit of systemd that loads it before the network, and the link that enables
    the unit. C(CLASS/firewalld) has the policies and ipsets that firewalld loads when it starts.
    C(CLASS/cloud-init.yml) writes the files of nftables and loads them.
  - C(classes.json) lists the classes with their hosts and files. Files that it lists and that no class has any more are
    removed; nothing else in the folder is.
  - Runs on the controller, once for all hosts, and touches no host.
author:
  - The hpc.ports authors (@hpc-ports)
attributes:
  check_mode:
    support: full
    description: Result and diff are those of the real run.
  diff_mode:
    support: full
    description: Shows every file that differs, with its mode.
  platform:
    support: full
    platforms: posix
    description: Needs the Python library netaddr on the controller.
options:
  plan:
    description: The key of the plan that M(hpc.ports.plan_info) returned.
    type: str
    required: true
  folder:
    description: The folder on the controller. It is made where there is none.
    type: path
    required: true
  backends:
    description:
      - What carries the rules on the hosts.
      - A class whose policy firewalld cannot carry, such as one in observe mode, has no files of it, with a warning.
    type: list
    elements: str
    choices: [nftables, firewalld]
    default: [nftables, firewalld]
  firewalld_version:
    description: The oldest firewalld on the hosts. Before 1.0 restricted egress takes a rule for every address.
    type: str
    default: "1.0"
  nft:
    description: Where the hosts have the program nft.
    type: str
    default: /usr/sbin/nft
  watch:
    description: Whether hosts put their rules back by themselves, as O(hpc.ports.firewall#module:watch).
    type: bool
    default: true
  boot_failure:
    description: What a boot does that cannot load the ruleset, as O(hpc.ports.firewall#module:boot_failure).
    type: str
    choices: [open, closed]
    default: open
seealso:
  - module: hpc.ports.plan_info
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
      description: What stands for the policy; another one is another policy.
      type: str
      sample: 5f1d7a84db388d2f
    roles:
      description: The canonical groups that all of the hosts are in.
      type: list
      elements: str
    clusters:
      description: The clusters that all of the hosts are in.
      type: list
      elements: str
    files:
      description: The files, by their paths in the folder of the class.
      type: list
      elements: str
      sample: [nftables/etc/hpc-ports/ruleset.nft]
    lacks:
      description: By backend why it cannot carry the policy, where it cannot.
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
