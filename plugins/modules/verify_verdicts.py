#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_verdicts
short_description: "Internal: compare the results of all hosts with the plan, and report"
version_added: 0.2.0
description:
  - Internal. The role verify runs this module once for all hosts, as its last step, and keeps RV(findings) as the fact
    C(hpc_ports_verify).
  - Gives each expectation of M(hpc.ports.verify_expectations) a verdict, from the results that the hosts registered.
  - V(right) if the expected outcome was observed. An open connection was answered, by the listener of the right host or
    by a service. A filtered one met silence or a reject, the source has a path to the address, and a process listened
    there until the end.
  - V(wrong) if the opposite was observed.
  - V(unknown) if neither was observed - a host was not reached, a probe failed, a listener ended early, or a UDP
    service did not answer.
  - A result that does not have the form of the module is not used. The report names the host and the key that cannot be
    read, and no connection from or to the host is right; all other hosts have their verdicts.
  - Follows the packets of each connection that is not right to where they end, and reports which link is broken and
    what to do.
  - Shows a table for each kind of target, and every connection that is not right. Writes all of it to files.
  - Fails unless every verdict is right, and every host that was compared runs its policy.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.actiongroup_plan
  - hpc.ports.attributes.controller
  - hpc.ports.plan
  - hpc.ports.verify
  - hpc.ports.verify.registered
attributes:
  check_mode:
    support: full
    details: Returns how many connections a run would try.
  diff_mode:
    support: none
    details: Only the report is written.
options:
  judged:
    description: Name of the variable in which hosts registered M(hpc.ports.verify_judge), if they did.
    type: str
    required: true
  report:
    description: File on the controller for every verdict, as JSON. Empty for none.
    type: path
    default: ""
  junit:
    description: File on the controller for CI, as JUnit XML. Empty for none.
    type: path
    default: ""
  page:
    description: File on the controller for people, one HTML page that needs no other file. Empty for none.
    type: path
    default: ""
  fail:
    description: Fail unless every verdict is right. With V(false), RV(failure) has the reason.
    type: bool
    default: true
  all_hosts:
    description:
      - All hosts of the play. Those that were lost before the tests are listed in RV(summary.left_out).
    type: list
    elements: str
    default: []
  require_outsider:
    description: Fail if no unmanaged host took part. Otherwise that is a warning.
    type: bool
    default: false
seealso:
  - module: hpc.ports.verify_expectations
"""

EXAMPLES = r"""
- name: Compare the results with the plan
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
      description: The number of expectations.
      type: int
      sample: 41676
    sources:
      description: The number of hosts that connections came from.
      type: int
      sample: 16
    targets:
      description: The number of hosts that connections went to.
      type: int
      sample: 14
    right:
      description: The number of verdicts that are right.
      type: int
      sample: 41676
    wrong:
      description: The number of verdicts that are wrong.
      type: int
    unknown:
      description: The number of verdicts that are unknown.
      type: int
    not_tested:
      description: The number of connections that were not tried, or proved nothing. The report has the reasons.
      type: int
    from_containers:
      description: The number of expectations that were tried from containers. Null if no host in the run has rules for
        what its containers open.
      type: int
    outsiders:
      description: The sources for which the plan has no policy.
      type: list
      elements: str
      sample: [outsider]
    left_out:
      description: Hosts of the play that took no part, because their firewall failed or they could not be reached
        before.
      type: list
      elements: str
    not_running_policy:
      description: Hosts whose rules differ from their policy, or could not be read.
      type: list
      elements: str
failure:
  description: Why the run fails. Empty if every verdict is right.
  returned: when not in check mode
  type: str
findings:
  description: The findings. The keys of their parts are those of the report; see docs/verifying.md.
  returned: when not in check mode
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
      description: The connections that are wrong or unknown, each with its diagnosis.
      type: list
      elements: dict
"""

# Implemented by the action plugin of the same name, on the controller.
