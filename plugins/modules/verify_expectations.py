#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_expectations
short_description: Tell each host its part in proving a plan by real connections
version_added: 0.1.0
description:
  - Works out which connections the plan says pass and which must not, and returns the part of this host - where to
    listen, for M(hpc.ports.verify_listen), and what to try, for M(hpc.ports.verify_probe).
  - Where that takes no more than O(most) connections, every managed host of O(hosts) is a target of one host of each
    class - of the same policy, behind the same endpoints, in the same networks and clusters - of the managed hosts and
    of the others.
  - Else hosts of a class share the work. Every flow is exercised between every two classes that it lets through. On
    every managed host the ports are tried that the documents warn of, from a host that must not reach them. Other
    closed ports are tried once for every two kinds of host. What is not covered is counted.
  - The ports are those of every service in the port file, both ends of a range, whether or not a flow opens it, the
    edges of what broad services open on the target, and some that no service names. IP protocols without ports are
    left out.
  - Runs on the controller and touches no host.
author:
  - The hpc.ports authors (@hpc-ports)
attributes:
  check_mode:
    support: full
    description: Nothing is changed.
  diff_mode:
    support: none
    description: Nothing is changed.
  platform:
    support: full
    platforms: posix
    description: Needs the Python libraries netaddr and jmespath on the controller.
options:
  plan:
    description: The key of the plan that M(hpc.ports.plan_info) returned.
    type: str
    required: true
  hosts:
    description: The hosts that take part.
    type: list
    elements: str
    required: true
  query:
    description:
      - A JMESPath expression that selects among the expectations, each with C(source), C(target), C(address),
        C(protocol), C(port), C(expected) (V(open) or V(filtered)), C(flow) and C(denied_by) (V(source) or V(target)).
      - Empty for all of them.
    type: str
    default: ""
  mode:
    description: V(passive) is without temporary listeners.
    type: str
    choices: [active, passive]
    default: active
  most:
    description: How many connections there may be, unless the flows and what the documents warn of need more.
    type: int
    default: 50000
  timeout:
    description: As for M(hpc.ports.verify_probe); the time to listen depends on it.
    type: float
    default: 1.0
  attempts:
    description: As for M(hpc.ports.verify_probe).
    type: int
    default: 2
  concurrency:
    description: As for M(hpc.ports.verify_probe).
    type: int
    default: 1000
  rate:
    description: As for M(hpc.ports.verify_probe).
    type: float
    default: 300
  firewalls:
    description:
      - The names under which M(hpc.ports.firewall) was registered on hosts. The ports that other rules translate there,
        such as those that containers publish, are tried besides.
    type: list
    elements: str
    default: []
notes:
  - The play must have the strategy C(linear) and no C(serial), because every host listens before the first one probes.
seealso:
  - module: hpc.ports.plan_info
  - module: hpc.ports.verify_listen
  - module: hpc.ports.verify_probe
  - module: hpc.ports.verify_verdicts
"""

EXAMPLES = r"""
- name: Tell each host its part, for SSH only
  hpc.ports.verify_expectations:
    plan: "{{ verify_plan.key }}"
    hosts: "{{ ansible_play_hosts }}"
    query: "[?port==`22`]"
  register: verify_task
"""

RETURN = r"""
run:
  description: The name of this run, for M(hpc.ports.verify_suspects) and M(hpc.ports.verify_verdicts).
  returned: success
  type: str
  sample: verify-0f3c2a91d5b7e684
passive:
  description: Whether there are no listeners.
  returned: success
  type: bool
key:
  description: What probes say to listeners, another one in each run. Empty where there are no listeners.
  returned: success
  type: str
  sample: 0123456789abcdef
nonce:
  description: What the listener of this host answers, so that a probe knows which host it was.
  returned: success
  type: str
  sample: fedcba9876543210
progress:
  description: What M(hpc.ports.verify_probe) needs to say how far the run is.
  returned: success
  type: dict
counted:
  description: The ports that this host tries elsewhere.
  returned: success
  type: list
  elements: str
  sample: [22/tcp]
managed:
  description: Whether the plan has a policy for this host.
  returned: success
  type: bool
listen:
  description: The ports that others will try here.
  returned: success
  type: list
  elements: str
  sample: [22/tcp, 53/udp]
addresses:
  description: The addresses at which they will.
  returned: success
  type: list
  elements: str
  sample: [10.20.0.1, "fd00:20::1"]
lifetime:
  description: For how many seconds to listen at most, for all hosts to be done.
  returned: success
  type: int
  sample: 124
probes:
  description: What to try from here.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: An address.
      type: str
      sample: 10.20.0.2
    ports:
      description: The ports there.
      type: list
      elements: str
      sample: [22/tcp, 53/udp]
    names:
      description: The names by which the inventory says that the host is reached.
      type: list
      elements: str
"""

# Implemented by the action plugin of the same name, on the controller.
