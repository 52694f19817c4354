#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_expectations
short_description: "Internal: tell each host what to listen on and what to probe"
version_added: 0.2.0
description:
  - Internal. The role verify runs this module on all hosts, as its first step after the plan.
  - Lists the connections that must pass and those that must not pass according to the plan, and returns the tasks of
    this host - where to listen, for M(hpc.ports.verify_listen), and what to probe, for M(hpc.ports.verify_probe).
  - If that takes at most O(most) connections, one host of each class probes every managed host in O(hosts). A class is
    hosts with the same policy, behind the same endpoints, in the same networks and clusters; hosts without a policy
    have classes, too.
  - Otherwise the hosts of a class share the work. Every flow is tested between every two classes that it connects. On
    every managed host the ports that the documents warn of are probed from a host that must not reach them. Other
    closed ports are probed once for every two kinds of hosts. Connections that are not tested are counted.
  - The probed ports are those of every service in the port file, whether or not a flow opens them (of a range, the
    first and the last), the edges of the ranges that broad services open on the target, and some ports that no service
    has. IP protocols without ports are not tested.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.actiongroup_plan
  - hpc.ports.attributes.controller
  - hpc.ports.attributes.info_module
  - hpc.ports.plan
  - hpc.ports.verify.pace
options:
  hosts:
    description: The hosts that take part.
    type: list
    elements: str
    required: true
  query:
    description:
      - A JMESPath expression that selects expectations. Each has C(source), C(target), C(address), C(protocol),
        C(port), C(expected) (V(open) or V(filtered)), C(flow) and C(denied_by) (V(source) or V(target)).
      - Empty selects all.
    type: str
    default: ""
  mode:
    description: With V(passive), no host starts a listener.
    type: str
    choices: [active, passive]
    default: active
  most:
    description: The maximum number of connections. Flows, and ports that the documents warn of, are tested even beyond
      it.
    type: int
    default: 50000
  firewalls:
    description:
      - Names of the variables in which hosts registered M(hpc.ports.firewall). The ports that other rules translate on
        a host, such as published ports of containers, are probed as well.
    type: list
    elements: str
    default: []
notes:
  - The play must use the strategy C(linear) without C(serial), because every host must listen before the first one
    probes.
seealso:
  - module: hpc.ports.verify_listen
  - module: hpc.ports.verify_probe
  - module: hpc.ports.verify_verdicts
"""

EXAMPLES = r"""
- name: Tell each host its tasks, for SSH only
  hpc.ports.verify_expectations:
    plan: "{{ verify_plan.key }}"
    hosts: "{{ ansible_play_hosts }}"
    query: "[?port==`22`]"
  register: verify_task
"""

RETURN = r"""
run:
  description: Name of this run, for M(hpc.ports.verify_suspects) and M(hpc.ports.verify_verdicts).
  returned: success
  type: str
  sample: verify-0f3c2a91d5b7e684
passive:
  description: Whether no host starts a listener.
  returned: success
  type: bool
key:
  description: The key that probes send to listeners; each run has its own. Empty if there are no listeners.
  returned: success
  type: str
  sample: 0123456789abcdef
nonce:
  description: The answer of the listener on this host, by which a probe recognizes the host.
  returned: success
  type: str
  sample: fedcba9876543210
progress:
  description: The option O(hpc.ports.verify_probe#module:progress).
  returned: success
  type: dict
counted:
  description: The ports that this host probes on other hosts.
  returned: success
  type: list
  elements: str
  sample: [22/tcp]
managed:
  description: Whether the plan has a policy for this host.
  returned: success
  type: bool
listen:
  description: The ports that other hosts will probe here.
  returned: success
  type: list
  elements: str
  sample: [22/tcp, 53/udp]
addresses:
  description: The addresses that they will probe.
  returned: success
  type: list
  elements: str
  sample: [10.20.0.1, "fd00:20::1"]
lifetime:
  description: Seconds to listen at most, enough for all hosts to finish.
  returned: success
  type: int
  sample: 124
probes:
  description: What to probe from this host.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: An address.
      type: str
      sample: 10.20.0.2
    ports:
      description: The ports to probe at this address.
      type: list
      elements: str
      sample: [22/tcp, 53/udp]
    names:
      description: Host names that the inventory uses for this address.
      type: list
      elements: str
containers:
  description: The option O(hpc.ports.verify_probe#module:containers). Empty if this host does not filter what its
    containers open.
  returned: success
  type: dict
  contains:
    interfaces:
      description: The interfaces of this host that lead to containers.
      type: list
      elements: str
      sample: ["docker*"]
    probes:
      description: What to probe from containers, a few of RV(probes).
      type: list
      elements: dict
"""

# Implemented by the action plugin of the same name, on the controller.
