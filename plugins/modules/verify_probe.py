#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_probe
short_description: "Internal: try many connections from a host at once"
version_added: 0.2.0
description:
  - Internal. The role verify and the playbook C(hpc.ports.explain) run this module while the other hosts listen.
  - Opens real connections, over TCP and UDP, IPv4 and IPv6, and returns the outcome of each.
  - Sends an ICMP echo to each address before and after, to distinguish silence from a host that is not there.
  - Leaves no socket behind. TCP connections are closed by a reset, without sending data.
  - With O(containers), tries a few connections from running containers of this host as well. The module enters the
    network namespace of a container for this time, and changes nothing there.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.host
  - hpc.ports.verify.pace
attributes:
  check_mode:
    support: partial
    details: The task is skipped. Nothing is sent, so nothing is known about the connections.
  diff_mode:
    support: none
    details: The module changes nothing.
requirements:
  - root on the managed host, for the ICMP echo
options:
  probes:
    description: What to probe.
    type: list
    elements: dict
    required: true
    suboptions:
      address:
        description: An IPv4 or IPv6 address.
        type: str
        required: true
      ports:
        description: The ports to probe at this address, such as V(22/tcp) or V(53/udp).
        type: list
        elements: str
        required: true
      names:
        description: Names that should resolve to this address. The module checks what they resolve to on this host.
        type: list
        elements: str
        default: []
  containers:
    description:
      - What to probe from containers of this host, after all other probes.
      - A container is a process in another network namespace that a pair of virtual Ethernet interfaces (veth) connects
        with an interface of this host. One container for each interface is used, and at most 4 of them.
    type: dict
    suboptions:
      interfaces:
        description: The interfaces of this host that lead to the containers, such as V(docker*).
        type: list
        elements: str
        required: true
      probes:
        description: What to probe. A container tries only addresses of the IP versions that it has.
        type: list
        elements: dict
        required: true
        suboptions:
          address:
            description: An IPv4 or IPv6 address.
            type: str
            required: true
          ports:
            description: The ports to probe at this address, such as V(22/tcp) or V(53/udp).
            type: list
            elements: str
            required: true
  key:
    description: The O(key) of M(hpc.ports.verify_listen) on the other hosts. With it, the module waits for the answer,
      and returns the nonce in it, which proves which host has answered. Without it, a connection ends as soon as it is
      open.
    type: str
    default: ""
  progress:
    description: As M(hpc.ports.verify_expectations) returned it. With it, the action plugin shows the progress of the
      run.
    type: dict
notes:
  - A UDP port without an answer may be blocked, or its service does not answer. M(hpc.ports.verify_listen) answers.
seealso:
  - module: hpc.ports.verify_listen
"""

EXAMPLES = r"""
- name: Try to reach the Slurm controller
  hpc.ports.verify_probe:
    probes:
      - address: 10.20.0.1
        ports: [6817/tcp, 6819/tcp]
  become: true
"""

RETURN = r"""
results:
  description: One result for each address. Each port is in one of RV(results[].open), RV(results[].refused),
    RV(results[].filtered) and RV(results[].error).
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The address.
      type: str
      sample: 10.20.0.1
    reachable:
      description: Whether the address answered an echo before and after; null if no echo could be sent.
      type: bool
    open:
      description: Ports that answered.
      type: list
      elements: str
      sample: [6817/tcp]
    refused:
      description: Ports on which no process listens, as the host answered.
      type: list
      elements: str
    filtered:
      description: Ports without an answer, or with an administrative reject.
      type: list
      elements: str
      sample: [6819/tcp]
    rejected:
      description: The ports of RV(results[].filtered) that are certainly blocked, by a reject, or because this host
        itself sends nothing to them.
      type: list
      elements: str
    error:
      description: Ports for which the probe itself failed, which proves nothing about a firewall.
      type: list
      elements: str
    nonces:
      description: The ports that answered with a nonce, by nonce.
      type: dict
      sample: {6c1f3a0b9d2e4f58: [6817/tcp]}
    seconds:
      description: Seconds until the outcome was known, by port.
      type: dict
      sample: {6817/tcp: 0.0004}
    attempts:
      description: How often a port was tried, by port, if more than once.
      type: dict
    source:
      description: The source address of the connections to the address. Empty without a route.
      type: str
      sample: 10.20.0.7
    elsewhere:
      description: The names of O(probes[].names) that resolve on this host, but not to the address, with their
        addresses.
      type: dict
      sample: {ctl.example.org: [192.0.2.9]}
    details:
      description: The answer or error in words, by port, or by V(path) for the echo.
      type: dict
      sample: {6819/tcp: "Rejected by 10.20.0.254 (ICMP type 3, code 13)."}
containers:
  description: The containers of this host from which connections were tried.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The first address of the container.
      type: str
      sample: 172.17.0.2
    interface:
      description: The interface of this host that leads to the container.
      type: str
      sample: docker0
    results:
      description: As RV(results). No echo is sent, so RV(results[].reachable) is null.
      type: list
      elements: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_data
from ansible_collections.hpc.ports.plugins.module_utils._probe.from_containers import probe_from_containers
from ansible_collections.hpc.ports.plugins.module_utils._probe.prober import Pace, probe_all


def main() -> None:
    """Send the probes; in check mode send none."""
    group: dict[str, Any] = {
        "address": {"type": "str", "required": True},
        "ports": {"type": "list", "elements": "str", "required": True},
    }
    named_group = {**group, "names": {"type": "list", "elements": "str", "default": []}}
    containers = {
        "interfaces": {"type": "list", "elements": "str", "required": True},
        "probes": {"type": "list", "elements": "dict", "required": True, "options": group},
    }
    module = AnsibleModule(
        argument_spec={
            "probes": {"type": "list", "elements": "dict", "required": True, "options": named_group},
            "containers": {"type": "dict", "options": containers},
            "timeout": {"type": "float", "default": 1.0},
            "attempts": {"type": "int", "default": 2},
            "concurrency": {"type": "int", "default": 1000},
            "rate": {"type": "float", "default": 300.0},
            "key": {"type": "str", "default": "", "no_log": False},
            "progress": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    params = module.params
    for name in ("timeout", "attempts", "concurrency", "rate"):
        if params[name] <= 0:
            module.fail_json(msg=f"Invalid {name}: got {params[name]}, expected a number greater than 0.")
    if module.check_mode:
        module.exit_json(skipped=True, msg="Check mode: nothing was sent.")
    pace = Pace(**{name: params[name] for name in Pace._fields})
    try:
        results = probe_all(params["probes"], pace)
        from_containers = probe_from_containers(**params["containers"], pace=pace) if params["containers"] else []
    except ValueError as exc:
        module.fail_json(msg=f"Invalid probes: {exc}.")
    except NetlinkError as exc:
        module.fail_json(msg=shown(f"Cannot find the containers of this host: {exc}"))
    module.exit_json(changed=False, results=shown_data(results), containers=shown_data(from_containers))


if __name__ == "__main__":
    main()
