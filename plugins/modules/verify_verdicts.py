#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_verdicts
short_description: Hold what hosts saw against what a plan expects, and report
version_added: 0.1.0
description:
  - Gives each expectation of M(hpc.ports.verify_expectations) a verdict, from what the hosts registered.
  - V(right) only if it was seen - an open connection was answered, by the listener of the very host or by a service; a
    filtered one was met by silence or by a reject, the source has a path to the address, and somebody listened there
    until the end.
  - V(wrong) if the opposite was seen.
  - V(unknown) if neither was - a host was not reached, a probe failed, a listener died, or a UDP service kept silent.
  - What a host says that is not what a module says is not believed. The host is named with the key that cannot be read, and
    no connection from or to it is right; all others have their verdicts.
  - Follows the packets of each connection that is not right to where they end, and says which link is broken and what
    to do.
  - Shows a table for each kind of target, every connection that is not right, and writes all of it to files. Sets the
    fact C(hpc_ports_verify).
  - Fails unless all is right, and unless every host that was compared runs its policy.
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
  judged:
    description: The name under which M(hpc.ports.verify_judge) was registered, on hosts where it was.
    type: str
    required: true
  report:
    description: The file on the controller for every verdict, as JSON. Empty for none.
    type: path
    default: ""
  junit:
    description: The file on the controller for CI, as JUnit XML. Empty for none.
    type: path
    default: ""
  page:
    description: The file on the controller to look at, one HTML page that needs nothing else. Empty for none.
    type: path
    default: ""
  fail:
    description: Fail unless all is right. A task that fails sets no fact, so a role may rather look at RV(failure).
    type: bool
    default: true
  all_hosts:
    description:
      - The hosts of the play, with those that it has lost before the tests, which are named in RV(summary.left_out).
    type: list
    elements: str
    default: []
  require_outsider:
    description: Fail when no unmanaged host took part; otherwise that is a warning.
    type: bool
    default: false
seealso:
  - module: hpc.ports.verify_expectations
"""

EXAMPLES = r"""
- name: Hold what was seen against the plan
  hpc.ports.verify_verdicts:
    plan: "{{ verify_plan.key }}"
    run: "{{ verify_task.run }}"
    probed: verify_probed
    stopped: verify_stopped
    compared: verify_compared
    judged: verify_judged
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
    not_tested:
      description: How many connections were not tried, or proved nothing; the report says why.
      type: int
    outsiders:
      description: The sources that the plan has no policy for.
      type: list
      elements: str
      sample: [outsider]
    left_out:
      description: Hosts of the play that took no part, because their firewall failed or they were not reached before.
      type: list
      elements: str
    not_running_policy:
      description: Hosts whose ruleset is not that of their policy, or could not be read.
      type: list
      elements: str
failure:
  description: Why not all is right. Empty where it is.
  returned: always
  type: str
ansible_facts:
  description: Facts for later tasks.
  returned: always
  type: dict
  contains:
    hpc_ports_verify:
      description: What was found. The keys of its parts are those of the report; see the README of the role.
      type: dict
      contains:
        summary:
          description: As RV(summary).
          type: dict
        hosts:
          description: What is known of each host that took part.
          type: dict
        open:
          description: The connections that were answered, and whether they came C(from_outside).
          type: list
          elements: dict
        not_right:
          description: The connections that were wrong or unknown, each with its diagnosis.
          type: list
          elements: dict
"""

# Implemented by the action plugin of the same name, on the controller.
