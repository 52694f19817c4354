#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_probe
short_description: Try many connections from this host at once
version_added: 0.1.0
description:
  - Opens real connections, TCP and UDP, IPv4 and IPv6, and tells what came of each.
  - Sends an ICMP echo to each address before and after, so that silence can be told from a host that is not there.
  - Leaves no socket behind; TCP connections are closed by a reset, without a word being said.
author:
  - The hpc.ports authors (@hpc-ports)
attributes:
  check_mode:
    support: partial
    description: The task is skipped.
    details: Nothing is sent, so nothing is said about the probes.
  diff_mode:
    support: none
    description: Nothing is changed.
  platform:
    support: full
    platforms: linux
    description: Needs Python 3.9 or later on the host, and root for the echo.
options:
  probes:
    description: What to try.
    type: list
    elements: dict
    required: true
    suboptions:
      address:
        description: An IPv4 or IPv6 address.
        type: str
        required: true
      ports:
        description: The ports there, such as V(22/tcp) or V(53/udp).
        type: list
        elements: str
        required: true
      names:
        description: Names that are said to mean this address. What this host makes of them is compared.
        type: list
        elements: str
        default: []
  timeout:
    description: How many seconds an answer may take.
    type: float
    default: 1.0
  attempts:
    description: How many times a connection is tried before silence is believed, because a packet can be lost.
    type: int
    default: 2
  concurrency:
    description: How many connections are tried at a time; fewer where the host's limit of open files says so.
    type: int
    default: 1000
  rate:
    description: How many connections are begun a second, so that nobody takes it for an attack.
    type: float
    default: 300
  key:
    description: The O(key) of M(hpc.ports.verify_listen) on the other hosts. With it, what answers is waited for
      and its nonce returned, which proves which host it is. Without it a connection ends as soon as it is open.
    type: str
    default: ""
  progress:
    description: As M(hpc.ports.verify_expectations) returns it. With it, the action plugin says how far the whole run is.
    type: dict
notes:
  - A UDP port that keeps silent may be blocked, or a service may not care to answer. M(hpc.ports.verify_listen) answers.
seealso:
  - module: hpc.ports.verify_listen
"""

EXAMPLES = r"""
- name: May this host reach the Slurm controller?
  hpc.ports.verify_probe:
    probes:
      - address: 10.20.0.1
        ports: [6817/tcp, 6819/tcp]
  become: true
"""

RETURN = r"""
results:
  description: One result an address. Every port is in one of RV(results[].open), RV(results[].refused),
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
      description: Whether it answered an echo before and after; null where no echo could be sent.
      type: bool
    open:
      description: Something answered.
      type: list
      elements: str
      sample: [6817/tcp]
    refused:
      description: The host was reached and says that nobody listens.
      type: list
      elements: str
    filtered:
      description: No answer, or an administrative reject.
      type: list
      elements: str
      sample: [6819/tcp]
    rejected:
      description: Those of RV(results[].filtered) that are certain, because a reject came, or because
        this host itself lets nothing out.
      type: list
      elements: str
    error:
      description: The probe itself failed; this says nothing about a firewall.
      type: list
      elements: str
    nonces:
      description: The ports by the nonce that a listener said there.
      type: dict
      sample: {6c1f3a0b9d2e4f58: [6817/tcp]}
    seconds:
      description: By port, how many seconds it took until the outcome was known.
      type: dict
      sample: {6817/tcp: 0.0004}
    attempts:
      description: By port, how many times it was tried, where more than once.
      type: dict
    source:
      description: The address of this host that connections there come from; empty without a route.
      type: str
      sample: 10.20.0.7
    elsewhere:
      description: Those of O(probes[].names) that this host resolves, but not to the address, with what it makes of them.
      type: dict
      sample: {ctl.example.org: [192.0.2.9]}
    details:
      description: By port, or V(path) for the echo, what was said.
      type: dict
      sample: {6819/tcp: "Rejected by 10.20.0.254 (ICMP type 3, code 13)."}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import plain
from ansible_collections.hpc.ports.plugins.module_utils._probe.prober import Pace, probe_all


def main() -> None:
    """Send the probes; in check mode none."""
    groups = {
        "address": {"type": "str", "required": True},
        "ports": {"type": "list", "elements": "str", "required": True},
        "names": {"type": "list", "elements": "str", "default": []},
    }
    module = AnsibleModule(
        argument_spec={
            "probes": {"type": "list", "elements": "dict", "required": True, "options": groups},
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
            module.fail_json(msg=f"Invalid {name}: got {params[name]}, expected more than 0.")
    if module.check_mode:
        module.exit_json(skipped=True, msg="Check mode: nothing was sent.")
    try:
        results = probe_all(params["probes"], Pace(**{name: params[name] for name in Pace._fields}))
    except ValueError as exc:
        module.fail_json(msg=f"Invalid probes: {exc}.")
    module.exit_json(changed=False, results=plain(results))


if __name__ == "__main__":
    main()
