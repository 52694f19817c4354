#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verdicts
short_description: Hold what hosts saw against what a plan expects, and report
version_added: 0.1.0
description:
  - Gives each expectation of M(hpc.ports.expectations) a verdict, from what the hosts registered.
  - V(right) only if it was seen - an open connection was answered; a filtered one was met by silence or by a reject,
    the source has a path to the address, and somebody listened there until the end.
  - V(wrong) if the opposite was seen.
  - V(unknown) if neither was - a host was not reached, a probe failed, a listener died, or a UDP service kept silent.
  - Shows a table for each target, every connection that is not right, and what to look at. Fails unless all is right,
    and unless every host that was compared runs its policy.
  - Runs on the controller, once for all hosts.
author:
  - The hpc.ports authors (@hpc-ports)
attributes:
  check_mode:
    support: full
    description: Tells how many connections would be tried.
  diff_mode:
    support: none
    description: Nothing but the report is written.
  platform:
    support: full
    platforms: posix
    description: Needs the Python libraries netaddr and jmespath on the controller.
options:
  plan:
    description: The key of the plan that M(hpc.ports.plan) returned.
    type: str
    required: true
  hosts:
    description: The hosts that take part, as for M(hpc.ports.expectations).
    type: list
    elements: str
    required: true
  query:
    description: The selection, as for M(hpc.ports.expectations).
    type: str
    default: ""
  probed:
    description: The name under which M(hpc.ports.probe) was registered on the hosts.
    type: str
    required: true
  stopped:
    description: The name under which M(hpc.ports.listen) with O(ignore:state=stopped) was registered.
    type: str
    required: true
  compared:
    description: The name under which M(hpc.ports.firewall) in check mode was registered, on hosts where it was.
    type: str
    required: true
  report:
    description: The file on the controller for every verdict, as JSON. Empty for none.
    type: path
    default: ""
  require_outsider:
    description: Fail when no unmanaged host took part; otherwise that is a warning.
    type: bool
    default: false
seealso:
  - module: hpc.ports.expectations
"""

EXAMPLES = r"""
- name: Hold what was seen against the plan
  hpc.ports.verdicts:
    plan: "{{ verify_plan.key }}"
    hosts: "{{ ansible_play_hosts_all }}"
    probed: verify_probed
    stopped: verify_stopped
    compared: verify_compared
    report: verify.json
  run_once: true
"""

RETURN = r"""
summary:
  description: The counts.
  returned: always
  type: dict
  contains:
    connections:
      description: How many were expected to pass or not.
      type: int
      sample: 41676
    sources:
      description: From how many hosts.
      type: int
      sample: 16
    targets:
      description: To how many.
      type: int
      sample: 14
    right:
      description: How many verdicts are right.
      type: int
      sample: 41676
    wrong:
      description: How many are wrong.
      type: int
    unknown:
      description: How many are neither.
      type: int
    not_tried:
      description: How many connections nothing could be expected of; the report says why.
      type: int
    outsiders:
      description: The sources that the plan has no policy for.
      type: list
      elements: str
      sample: [outsider]
    not_running_policy:
      description: Hosts whose ruleset is not that of their policy, or could not be read.
      type: list
      elements: str
"""

# Implemented by the action plugin of the same name, on the controller.
