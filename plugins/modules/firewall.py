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
  - Makes one host accept and open exactly what the plan says, with nftables or, where it runs, with firewalld.
  - With nftables it touches the table C(inet hpc_ports), C(/etc/hpc-ports) and a systemd unit of its own, and nothing
    else. A change is one transaction, with what comes loaded before it and what goes deleted after it.
  - With firewalld it touches policies and ipsets of its own, whose names begin with C(hpc_ports_), and nothing else, no
    zone and nothing of the user's. Other peers and ports of a flow are changed while firewalld runs on. Only when flows
    come or go, or egress changes, is it reloaded, once; that is refused where the user has settings that a reload
    would change, because they are not saved.
  - Compares what the kernel runs, not only files; where nothing differs, nothing is reloaded.
  - Refuses a policy that would lock out the ssh connection that it comes over; with the connection plugin C(local), the
    one that Ansible was started over.
  - Has the host undo a changed ruleset by itself unless a new connection confirms it. The action plugin makes that
    connection in the same task, by M(hpc.ports.firewall_confirm); until then a reboot brings the last confirmed ruleset.
    With C(local) there is no new connection to be made, so that nothing proves that anybody gets in; it is warned of.
  - Warns of addresses of the host that the plan does not know; other hosts take what comes from them for a stranger's.
  - One run at a time changes a host; another waits until the first is confirmed or undone.
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
    description: Needs nft 0.9.8 or firewalld 0.9 (with the program ipset, before 1.0) or later, and Python 3.9 or later
      on the host.
options:
  plan:
    description:
      - The key of the plan that M(hpc.ports.plan_info) returned.
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
      - V(auto) takes firewalld where it runs, else nftables. A host where firewalld is enabled and does not run is
        refused, as it would have both after a reboot.
      - What the other backend has of ours goes once the change is confirmed, so that a host never keeps both.
      - With firewalld there is no observe mode, and no pattern of trusted interfaces; before 1.0 no trusted interfaces
        at all, and restricted egress judges TCP, UDP, DCCP, SCTP and UDP-Lite alone.
    type: str
    choices: [auto, nftables, firewalld]
    default: auto
  confirm_within:
    description:
      - The host undoes a change that no new connection has confirmed after so many seconds.
      - A warning says so where it is less than three times as long as a login to the host took.
    type: int
    default: 30
  lockout_guard:
    description:
      - Refuse a policy that would not let in a new ssh connection like the one that this task runs over.
      - Without the guard the host still undoes a change that nobody confirms. With the connection plugin C(local) it does
        not, as nothing has to confirm it.
    type: bool
    default: true
  watch:
    description:
      - Have the host put its rules back by itself, within two seconds, when something flushes them. A small program of
        ours, C(hpc-ports-watch.service), sleeps until the kernel tells of it, and says in the journal who did it.
      - On hosts without systemd there is none.
    type: bool
    default: true
  boot_failure:
    description:
      - What a boot does that cannot load the ruleset. C(hpc-ports.service) has failed then, in either case.
      - V(open) leaves the host without rules.
      - V(closed) loads others, which let in ssh from the controllers, replies and ICMP, and nothing else. With firewalld
        the watch does it.
    type: str
    choices: [open, closed]
    default: open
  cut_established:
    description:
      - Once a change is confirmed, cut the connections which live and which the new policy would not let be opened.
      - Without it they live until they end.
    type: bool
    default: false
  transport:
    description: The connection plugin that the task uses. Set by the action plugin.
    type: str
    default: ''
  token:
    description: A name for the change, 32 hexadecimal digits. Set by the action plugin.
    type: str
seealso:
  - module: hpc.ports.plan_info
  - module: hpc.ports.firewall_confirm
"""

EXAMPLES = r"""
- name: Compile the plan, once for all hosts
  hpc.ports.plan_info:
  run_once: true
  register: firewall_plan

- name: Give the host its firewall
  hpc.ports.firewall:
    plan: "{{ firewall_plan.key }}"
  become: true

- name: The same, on hosts whose ssh takes long to come back, and cut what is not allowed any more
  hpc.ports.firewall:
    plan: "{{ firewall_plan.key }}"
    confirm_within: 120
    cut_established: true
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
    - What differs, in words. A flow is named with its direction, as its counter is in nftables.
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
      description: Every chain, set, map, counter, policy, ipset and file that differs.
      type: list
      elements: str
      sample: [chain input, file /etc/hpc-ports/ruleset.nft]
confirmed_from:
  description:
    - The new connection that confirmed the change, as the host saw it. Empty where it was no ssh connection, or where
      Ansible ran on the host itself.
  returned: when the running ruleset changed
  type: str
  sample: 10.0.0.9 port 51234
connections_cut:
  description: The connections that were cut.
  returned: when the running ruleset changed and O(cut_established) is set
  type: list
  elements: str
  sample: ["tcp 10.64.9.9:51000 -> 10.20.0.2:6817"]
other_rules:
  description:
    - What other rules of the host mean for the flows, by the names of their tables and chains.
    - Up to 2,000 rules and jumps of others are read; larger tables are told of by their base chains.
  returned: success
  type: dict
  contains:
    dropping:
      description: Chains that may drop what a flow allows.
      type: list
      elements: str
    bypassing:
      description: Traffic that no flow judges, such as published ports of containers.
      type: list
      elements: str
    published:
      description: Ports that other rules translate, at most 200, of a range its first and last.
      type: list
      elements: str
      sample: [8080/tcp]
ephemeral_ports:
  description: The range of ephemeral ports of the host, for P(hpc.ports.ephemeral_clashes#filter).
  returned: when the host tells it
  type: str
  sample: 32768-60999
reserved_ports:
  description: Ports that the kernel gives to nobody who did not ask for them, as it writes them; empty for none.
  returned: when the host tells it
  type: str
  sample: 8080,32765-32768
client:
  description: The address that the policy would not let in, or does not.
  returned: when the guard refuses the policy, or the host has undone it because of that
  type: str
  sample: 10.0.0.9
missing_packages:
  description: Packages that the backend needs and the host lacks; nothing was done.
  returned: when a package is missing
  type: list
  elements: str
  sample: [nftables]
"""

import re
import time
import uuid
from contextlib import suppress
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.ports.plugins.module_utils._apply.ensure import (
    Options,
    Outcome,
    ensure_absent,
    ensure_present,
)
from ansible_collections.hpc.ports.plugins.module_utils._apply.lockout_guard import LockoutError
from ansible_collections.hpc.ports.plugins.module_utils._backends.selection import check_user, chosen_backend
from ansible_collections.hpc.ports.plugins.module_utils._ephemeral.demands import described
from ansible_collections.hpc.ports.plugins.module_utils._ephemeral.sysctl import present_running
from ansible_collections.hpc.ports.plugins.module_utils._linux.errors import HostError, worded
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.own_addresses import leading_outside, own_addresses
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import PolicyError
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import returned, shown
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.other_rules import OtherRules, other_rules, warnings_of

ARGUMENTS = {
    "plan": {"type": "str"},
    "policy": {"type": "dict"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "backend": {"type": "str", "choices": ["auto", "nftables", "firewalld"], "default": "auto"},
    "confirm_within": {"type": "int", "default": 30},
    "lockout_guard": {"type": "bool", "default": True},
    "cut_established": {"type": "bool", "default": False},
    "transport": {"type": "str", "default": ""},
    "token": {"type": "str", "no_log": False},
    "watch": {"type": "bool", "default": True},
    "boot_failure": {"type": "str", "choices": ["open", "closed"], "default": "open"},
}
_TOO_WIDE = (
    "Restricted egress does not hold on {0}: its name matches firewall_container_interfaces, and other hosts are behind "
    "it. Write the interfaces of containers alone into firewall_container_interfaces of this host."
)
_TOKEN = re.compile(r"[0-9a-f]{32}", re.ASCII)


def main() -> None:
    """Compare, and apply unless in check mode."""
    began = time.monotonic()
    module = AnsibleModule(
        argument_spec=ARGUMENTS, required_if=[("state", "present", ("policy",))], supports_check_mode=True
    )
    _check(module, 1 <= module.params["confirm_within"] <= 3600, "confirm_within", "seconds from 1 to 3600")
    module.params["token"] = module.params["token"] or uuid.uuid4().hex
    _check(module, _TOKEN.fullmatch(module.params["token"]), "token", "32 hexadecimal digits")
    present = module.params["state"] == "present"
    try:
        check_user()
        # Before the apply: where there are many rules it takes seconds, and then a change awaits its confirmation.
        backend = chosen_backend(module.params["backend"]) if present else ""
        others = other_rules(backend) if present else None
        module.exit_json(**returned(_result(module, _outcome(module, backend), others, began)))
    except HostError as exc:
        module.fail_json(msg=shown(str(exc)), missing_packages=exc.missing_packages)
    except LockoutError as exc:
        module.fail_json(msg=shown(str(exc)), client=exc.client)
    except (PolicyError, OSError, RuntimeError) as exc:
        module.fail_json(msg=shown(worded(exc)))


def _check(module: AnsibleModule, is_valid: object, name: str, expected: str) -> None:
    if not is_valid:
        module.fail_json(msg=f"Invalid {name}: got {module.params[name]!r}, expected {expected}.")


def _outcome(module: AnsibleModule, backend: str) -> Outcome:
    if module.params["state"] == "absent":
        return ensure_absent(module.check_mode)
    options = Options(**{name: module.params[name] for name in Options._fields})
    return ensure_present(backend, module.params["policy"], options, module.check_mode)


def _result(module: AnsibleModule, outcome: Outcome, others: OtherRules | None, began: float) -> dict[str, Any]:
    result = {"backend": outcome.change.backend, **outcome.change.described()}
    if others:
        result["other_rules"] = {name: list(found) for name, found in others._asdict().items()}
        result.update(_ephemeral_ports())
        # For the action plugin, which knows the plan.
        result["own_addresses"] = _own_addresses(module.params["policy"]["trusted_interfaces"])
    too_wide = _too_wide(outcome.change.backend, module.params["policy"]) if others else []
    for text in (*outcome.warnings, *(warnings_of(others) if others else []), *too_wide):
        module.warn(shown(text))
    if outcome.pending:
        # For the action plugin, which confirms; the rest of its time it needed to get here.
        result["pending"] = {"token": outcome.pending.token, "ran_for": time.monotonic() - began}
    return result


def _ephemeral_ports() -> dict[str, str]:
    """Return what the kernel says of them; it is no matter of the firewall if it cannot be read."""
    with suppress(OSError, ValueError):
        return described(present_running())
    return {}


def _too_wide(backend: str, policy: dict[str, Any]) -> list[str]:
    """Return a warning for each interface that nftables takes for one of containers by its name, and that is none."""
    names = policy.get("container_interfaces", []) if backend == "nftables" else []
    with suppress(NetlinkError):
        return [_TOO_WIDE.format(name) for name in leading_outside(names)]
    return []


def _own_addresses(trusted: list[str]) -> list[dict[str, str]]:
    """Return them as plain data; nothing is compared where the kernel does not tell them."""
    with suppress(NetlinkError):
        return [found._asdict() for found in own_addresses(trusted)]
    return []


if __name__ == "__main__":
    main()
