#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall
short_description: Give a host the firewall of its policy
version_added: 0.1.0
description:
  - Makes one host accept and open exactly what the plan says, with nftables, in one transaction.
  - Touches the table C(inet hpc_ports), C(/etc/hpc-ports) and a systemd unit of its own, and nothing else.
  - Compares what the kernel runs, not only files; where nothing differs, nothing is reloaded.
author:
  - The hpc.ports authors (@hpc-ports)
attributes:
  check_mode:
    support: full
    description: Stops just before it applies; result and diff are those of the real run.
  diff_mode:
    support: full
    description: Shows every object that differs, one address a line.
  platform:
    support: full
    platforms: linux
    description: Needs nft 0.9.8 or later and Python 3.9 or later on the host.
options:
  plan:
    description:
      - The key of the plan that M(hpc.ports.plan) returned.
      - On the controller it is replaced by O(policy), the part of the plan that concerns this host.
    type: str
  policy:
    description: The policy of this host as plain data. Set by the action plugin from O(plan).
    type: dict
  state:
    description:
      - V(present) gives the host its policy.
      - V(absent) removes table, files and unit, and leaves the host as it was.
    type: str
    choices: [present, absent]
    default: present
  backend:
    description:
      - What carries the rules.
      - V(auto) takes firewalld where it runs, else nftables. The firewalld backend is still to come, so for now
        such a host is refused and left as it is.
    type: str
    choices: [auto, nftables, firewalld]
    default: auto
seealso:
  - module: hpc.ports.plan
"""

EXAMPLES = r"""
- name: Compile the plan, once for all hosts
  hpc.ports.plan:
  run_once: true
  register: firewall_plan

- name: Give the host its firewall
  hpc.ports.firewall:
    plan: "{{ firewall_plan.key }}"
  become: true

- name: Take it away again
  hpc.ports.firewall:
    state: absent
  become: true
"""

RETURN = r"""
backend:
  description: What carries the rules.
  returned: success
  type: str
  sample: nftables
changes:
  description:
    - What differs, in words. A flow is named with its direction, as its counter is.
  returned: success
  type: dict
  contains:
    flows_added:
      description: Flows that the host did not carry.
      type: list
      elements: str
      sample: [in_slurm_control]
    flows_removed:
      description: Flows that the host carried and should not.
      type: list
      elements: str
    ports_changed:
      description: By flow, the ports that came and went.
      type: dict
      sample: {in_srun: {added: [60001-63000/tcp], removed: [8192-60000/tcp]}}
    addresses_changed:
      description: By flow, the addresses that came and went.
      type: dict
      sample: {in_slurm_control: {added: [10.20.0.7], removed: []}}
    objects:
      description: Every chain, set, map, counter and file that differs.
      type: list
      elements: str
      sample: [chain input, file /etc/hpc-ports/ruleset.nft]
missing_packages:
  description: Packages that the backend needs and the host lacks; nothing was done.
  returned: when a package is missing
  type: list
  elements: str
  sample: [nftables]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.ports.plugins.module_utils.apply import (
    absent_change,
    make_absent,
    make_present,
    present_change,
)
from ansible_collections.hpc.ports.plugins.module_utils.host import (
    HostError,
    check_host,
    worded,
)
from ansible_collections.hpc.ports.plugins.module_utils.policy import PolicyError, parse_policy


def main() -> None:
    """Compare, and apply unless in check mode."""
    module = AnsibleModule(
        argument_spec={
            "plan": {"type": "str"},
            "policy": {"type": "dict"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "backend": {"type": "str", "choices": ["auto", "nftables", "firewalld"], "default": "auto"},
        },
        required_if=[("state", "present", ("policy",))],
        supports_check_mode=True,
    )
    present = module.params["state"] == "present"
    try:
        check_host(module.params["backend"], present)
        change = present_change(parse_policy(module.params["policy"])) if present else absent_change()
        if change.is_needed and not module.check_mode:
            (make_present if present else make_absent)(change)
    except HostError as exc:
        module.fail_json(msg=str(exc), missing_packages=exc.missing_packages)
    except (PolicyError, OSError, RuntimeError) as exc:
        module.fail_json(msg=worded(exc))
    module.exit_json(backend="nftables", **change.described())


if __name__ == "__main__":
    main()
