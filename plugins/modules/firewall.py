#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall
short_description: Apply the policy of a host to its firewall
version_added: 0.1.0
description:
  - Makes a host accept and open exactly what the plan allows, with nftables or, if it runs, with firewalld.
  - With nftables the module changes the table C(inet hpc_ports), C(/etc/hpc-ports) and its own systemd units, and
    nothing else of the firewall. A change is one transaction. New objects are loaded before it, and obsolete ones are
    deleted after it.
  - With firewalld the module changes its own policies and ipsets, whose names begin with C(hpc_ports_), and the table
    C(inet hpc_ports_published) beside firewalld, with its file in C(/etc/hpc-ports) and its unit, and nothing else - no
    zone, and no configuration of the user. Addresses and ports of a flow change while firewalld runs. Only if
    flows are added or removed, a flow gets its first IPv6 address or loses its last one, or egress changes, is
    firewalld reloaded, once. The module refuses this reload if it would discard runtime settings of the user that are
    not saved.
  - Compares the rules in the kernel with the policy, not only files. If nothing differs, nothing is reloaded.
  - Refuses a policy that would lock out the ssh connection of the task. With the connection plugin C(local), the
    connection is the one from which Ansible was started.
  - The host undoes a change by itself unless a new connection confirms it. The action plugin makes this connection in
    the same task, and runs M(hpc.ports.firewall_confirm). If the host reboots before the change is confirmed, it starts
    with the last confirmed rules. With C(local) no new connection can be made, so nothing proves that anybody can still
    log in; a warning says so.
  - Judges connections to a port that a container publishes as connections to this port of the host, whoever publishes
    it. Warns of published ports that no flow opens, and names the peers that use them now.
  - When the rules change, warns of connections from and to containers that exist now and that the policy does not allow
    to be opened again, and names their ports and peers. Before this host filters forwarded packets for the first time,
    the warning names the interfaces of its containers, in check mode also without such connections.
  - Warns of addresses of the host that the plan does not know, because other hosts treat connections from them as
    connections of unknown hosts.
  - One run at a time changes a host. A second run waits until the change of the first one is confirmed or undone.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.actiongroup_plan
  - hpc.ports.attributes.host
attributes:
  check_mode:
    support: full
    details:
      - Stops just before the change is applied. The result and the diff are those of the real run.
      - With O(install), a host that lacks a package has only a warning that names it.
  diff_mode:
    support: full
    details:
      - Shows each object that differs, one address per line. An object with the same difference on several hosts is
        shown for the first one, and named for the others.
      - The rules of a new file for the next boot are not shown again. They are those of the new chains.
requirements:
  - nft 0.9.8 or later, and if it runs firewalld 0.9 or later (before 1.0 with the program ipset), on the managed host
options:
  plan:
    description:
      - Key of the plan, as M(hpc.ports.plan_info) returned it.
      - The action plugin replaces it on the controller by O(policy), the part of the plan for this host.
    type: str
  policy:
    description: The policy of this host as plain data. Set by the action plugin from O(plan).
    type: dict
  state:
    description:
      - V(present) applies the policy.
      - V(absent) removes the table, files and units, and leaves the host as it was.
    type: str
    choices: [present, absent]
    default: present
  install:
    description:
      - Install the packages that the backend needs and the host lacks, as C(ansible.builtin.package) does, and go on.
        The package lists of the host are updated before. The variable C(ansible_package_use) applies.
      - Otherwise such a host fails, and RV(missing_packages) names the packages.
    type: bool
    default: false
    version_added: 0.3.0
  backend:
    description:
      - The program that carries the rules.
      - V(auto) uses firewalld if it runs, and nftables otherwise. It refuses a host on which firewalld is enabled and
        does not run, because that host would have the rules of both after a reboot.
      - Rules of this collection in the other backend are removed once the change is confirmed, so that a host never
        keeps both.
      - With firewalld there is no pattern of trusted interfaces. Before firewalld 1.0 there are no trusted interfaces
        at all, and restricted egress covers only TCP, UDP, DCCP, SCTP and UDP-Lite. In observe mode firewalld has no
        rules of this collection.
    type: str
    choices: [auto, nftables, firewalld]
    default: auto
  confirm_within:
    description:
      - Seconds after which the host undoes a change that no new connection has confirmed.
      - A warning says so if it is less than three times the time that a login to the host took.
    type: int
    default: 30
  lockout_guard:
    description:
      - Refuse a policy that would not accept a new ssh connection like the one of this task.
      - Without the guard, the host still undoes a change that is not confirmed. With the connection plugin C(local) it
        does not, because nothing has to confirm the change.
    type: bool
    default: true
  watch:
    description:
      - Let the host restore its rules by itself, within two seconds, when they are flushed. A small program,
        C(hpc-ports-watch.service), waits for events of the kernel, and writes to the journal which process flushed
        them.
      - Hosts without systemd have no watch.
    type: bool
    default: true
  boot_failure:
    description:
      - What happens at boot if the ruleset cannot be loaded. C(hpc-ports.service) fails in both cases, or
        C(hpc-ports-published.service) for the table beside firewalld.
      - V(open) leaves the host without rules.
      - V(closed) loads fallback rules, which accept ssh from the controllers, replies and ICMP, and nothing else. With
        firewalld the watch loads them.
    type: str
    choices: [open, closed]
    default: open
  cut_established:
    description:
      - After a change is confirmed, cut established connections that the new policy would not accept as new ones.
      - Otherwise these connections continue until they end.
    type: bool
    default: false
  port_needs:
    description:
      - Ports of the host that must not be ephemeral ports, as in C(firewall_port_needs) of the role
        P(hpc.ports.firewall#role).
      - The action plugin compares them with what the host reports. A conflict is a warning, or is fixed as
        M(hpc.ports.ephemeral_ports) does, if C(fix) of the role is true.
    type: dict
    version_added: 0.3.0
  declared_range:
    description: The range of ephemeral ports that the inventory declares. With O(port_needs), another one is a warning.
    type: str
    version_added: 0.3.0
  transport:
    description: Connection plugin of the task. Set by the action plugin.
    type: str
    default: ''
  token:
    description: Name of the change, 32 hexadecimal digits. Set by the action plugin.
    type: str
  key:
    description:
      - Digest of the policy, the options and this version of the collection. Set by the action plugin.
      - If nothing had to be changed, the host keeps a record under this key. The next run with the same key asks the
        host for the record with a shell script, and runs the module only if anything has changed since.
    type: str
    version_added: 0.3.0
seealso:
  - module: hpc.ports.plan_info
"""

EXAMPLES = r"""
- name: Compile the plan, once for all hosts
  hpc.ports.plan_info:
  run_once: true
  register: firewall_plan

- name: Apply the policy of each host
  hpc.ports.firewall:
    plan: "{{ firewall_plan.key }}"
  become: true

- name: Apply it on hosts with slow logins, and cut connections that are no longer allowed
  hpc.ports.firewall:
    plan: "{{ firewall_plan.key }}"
    confirm_within: 120
    cut_established: true
  become: true

- name: Remove it
  hpc.ports.firewall:
    state: absent
  become: true
"""

RETURN = r"""
backend:
  description: The program that carries the rules.
  returned: success
  type: str
  sample: nftables
changes:
  description: What differs. The name of a flow includes its direction, as the name of its nftables counter does.
  returned: success
  type: dict
  contains:
    flows_added:
      description: Flows that were missing on the host.
      type: list
      elements: str
      sample: [in_slurm_control]
    flows_removed:
      description: Flows on the host that the policy does not have.
      type: list
      elements: str
    ports_changed:
      description: Ports that were added and removed, by flow.
      type: dict
      sample: {in_srun: {added: [60001-63000/tcp], removed: [8192-60999/tcp]}}
    addresses_changed:
      description: Addresses that were added and removed, by flow.
      type: dict
      sample: {in_slurm_control: {added: [10.20.0.7], removed: []}}
    objects:
      description: Each chain, set, map, counter, policy, ipset and file that differs.
      type: list
      elements: str
      sample: [chain input, file /etc/hpc-ports/ruleset.nft]
confirmed_from:
  description:
    - The new connection that confirmed the change, as the host saw it. Empty if it was no ssh connection, or if Ansible
      ran on the host itself.
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
    - How other rules on the host affect the flows, by the names of their tables and chains.
    - Up to 2,000 rules and jumps are read; of larger tables only the base chains are named.
  returned: success
  type: dict
  contains:
    dropping:
      description: Chains that may drop connections that a flow allows.
      type: list
      elements: str
    bypassing:
      description: Traffic that the flows do not cover, such as packets that are forwarded between hosts.
      type: list
      elements: str
    published:
      description:
        - Ports that other rules translate, at most 1000; of a range, the first and the last port.
        - Flows cover them as ports of this host, whether a container or a process of the host answers.
      type: list
      elements: str
      sample: [8080/tcp]
    translating:
      description: Chains that translate incoming traffic, with the ports that they publish.
      type: list
      elements: str
      sample: ["table ip nat, chain PREROUTING translates 8080/tcp to 172.17.0.2:80"]
filtered_interfaces:
  description:
    - Interfaces of this host from and to which the policy filters forwarded packets, at most 100. They match
      C(firewall_filtered_containers).
  returned: when there are any
  type: list
  elements: str
  sample: [br-1a2b3c4d5e6f, docker0]
ephemeral_ports:
  description: The range of ephemeral ports of the host, as M(hpc.ports.ephemeral_ports) returns it.
  returned: when the kernel reports it
  type: str
  sample: 32768-60999
ports_fixed:
  description: A sentence for each conflict of O(port_needs) with the ephemeral ports that was fixed.
  returned: when the ephemeral ports changed
  type: list
  elements: str
reserved_ports:
  description: Ports that the kernel does not use as ephemeral ports, as it writes them. Empty if there are none.
  returned: when the kernel reports it
  type: str
  sample: 8080,32765-32768
client:
  description: The address that the policy does not accept.
  returned: when the guard refuses the policy, or the host has undone it for that reason
  type: str
  sample: 10.0.0.9
missing_packages:
  description: Packages that the backend needs and the host lacks. Nothing was changed.
  returned: when a package is missing
  type: list
  elements: str
  sample: [nftables]
"""

import re
import time
import uuid
from contextlib import suppress
from functools import lru_cache
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.ports.plugins.module_utils._apply import uncut
from ansible_collections.hpc.ports.plugins.module_utils._apply.ensure import (
    FirewallResult,
    Options,
    ensure_absent,
    ensure_present,
)
from ansible_collections.hpc.ports.plugins.module_utils._apply.lockout_guard import LockoutError
from ansible_collections.hpc.ports.plugins.module_utils._apply.unchanged import beginning, keep
from ansible_collections.hpc.ports.plugins.module_utils._backends.change import Change
from ansible_collections.hpc.ports.plugins.module_utils._backends.selection import check_user, chosen_backend
from ansible_collections.hpc.ports.plugins.module_utils._ephemeral.demands import described
from ansible_collections.hpc.ports.plugins.module_utils._ephemeral.sysctl import present_running
from ansible_collections.hpc.ports.plugins.module_utils._linux import conntrack
from ansible_collections.hpc.ports.plugins.module_utils._linux.errors import HostError, failure_text
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.own_addresses import (
    other_bridges,
    own_addresses,
    shared_interfaces,
)
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import PolicyError, is_named, parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_result
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.container_warnings import (
    KernelViews,
    container_warnings,
    filtered_interfaces,
)
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.other_rules import OtherRules, other_rules, warnings_of
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.published_ports import (
    ends_of,
    listed,
    published_warnings,
)

ARGUMENTS = {
    "plan": {"type": "str"},
    "install": {"type": "bool", "default": False},
    "policy": {"type": "dict"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "backend": {"type": "str", "choices": ["auto", "nftables", "firewalld"], "default": "auto"},
    "confirm_within": {"type": "int", "default": 30},
    "lockout_guard": {"type": "bool", "default": True},
    "cut_established": {"type": "bool", "default": False},
    "port_needs": {"type": "dict"},
    "declared_range": {"type": "str"},
    "transport": {"type": "str", "default": ""},
    "token": {"type": "str", "no_log": False},
    "key": {"type": "str", "no_log": False},
    "watch": {"type": "bool", "default": True},
    "boot_failure": {"type": "str", "choices": ["open", "closed"], "default": "open"},
}
_TOO_WIDE = (
    "{0} leads to other hosts, but its name is one of an interface of containers: {1}. List only interfaces of "
    "containers in firewall_container_interfaces and firewall_filtered_containers of this host."
)
_SERVED = "hosts behind it may ask this host for names and addresses (DNS, DHCP)"
_UNJUDGED = "restricted egress does not apply on it"
_CUT_OFF = "packets that this host forwards to it from others are dropped"
_UNFILTERED = (
    "Forwarded packets of {0} are not filtered: only containers or guests are behind it, but its name is not in "
    "firewall_filtered_containers. Add it there and to firewall_container_interfaces of this host, or, to leave it as "
    "it is, to firewall_container_interfaces alone."
)
_MOST_INTERFACES = 100
_TOKEN = re.compile(r"[0-9a-f]{32}", re.ASCII)


def main() -> None:
    """Compare the host with its policy, and apply the policy unless in check mode."""
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
        key = module.params["key"]
        begun = beginning(key) if present and key and not module.check_mode else None
        # Before the change, because many rules take seconds to read, and a change then waits for its confirmation.
        backend = chosen_backend(module.params["backend"]) if present else ""
        others = other_rules(backend) if present else None
        outcome = _outcome(module, backend)
        result = shown_result(_result(module, outcome, others, began))
        warnings = [*outcome.warnings, *(_warnings(module, outcome.change, others) if others else [])]
        for text in warnings:
            module.warn(shown(text))
        if begun and others and _is_kept(module, outcome.change, others):
            keep(key, begun, {**result, "warnings": warnings})
        module.exit_json(**result)
    except HostError as exc:
        module.fail_json(msg=shown(str(exc)), missing_packages=exc.missing_packages)
    except LockoutError as exc:
        module.fail_json(msg=shown(str(exc)), client=exc.client)
    except (PolicyError, OSError, RuntimeError) as exc:
        module.fail_json(msg=shown(failure_text(exc)))


def _check(module: AnsibleModule, is_valid: object, name: str, expected: str) -> None:
    if not is_valid:
        module.fail_json(msg=f"Invalid {name}: got {module.params[name]!r}, expected {expected}.")


def _is_kept(module: AnsibleModule, change: Change, others: OtherRules) -> bool:
    """Return whether the next run has the same result if the host stays as it is.

    In observe mode packets fill our sets, and warnings about published ports name the peers that use them now.
    """
    is_plain = not others.published and module.params["policy"]["mode"] == "enforce"
    return is_plain and not change.is_needed and not _is_uncut(module)


def _outcome(module: AnsibleModule, backend: str) -> FirewallResult:
    if module.params["state"] == "absent":
        return ensure_absent(module.check_mode)
    options = Options(**{name: module.params[name] for name in Options._fields})
    return ensure_present(backend, module.params["policy"], options, module.check_mode)


def _result(module: AnsibleModule, outcome: FirewallResult, others: OtherRules | None, began: float) -> dict[str, Any]:
    result = {"backend": outcome.change.backend, **outcome.change.described()}
    if others:
        result["other_rules"] = {name: list(rules) for name, rules in others._asdict().items()}
        result["other_rules"]["published"] = ends_of(others.published)
        result.update(_ephemeral_ports())
        # For the action plugin, which knows the plan.
        result["own_addresses"] = _own_addresses(module.params["policy"]["trusted_interfaces"])
        result.update(_filtered_interfaces(module.params["policy"]))
    if outcome.pending:
        # For the action plugin, which confirms the change; the rest of the time it needed to connect to the host.
        result["pending"] = {"token": outcome.pending.token, "ran_for": time.monotonic() - began}
    elif _is_uncut(module):
        # For the action plugin, which finishes an earlier run.
        result["cuts"] = True
    return result


def _is_uncut(module: AnsibleModule) -> bool:
    """Return whether an earlier run ended before it had cut connections, and this one is to cut them."""
    return bool(module.params["cut_established"]) and not module.check_mode and uncut.is_noted()


def _warnings(module: AnsibleModule, change: Change, others: OtherRules) -> list[str]:
    """Return the warnings about rules of other programs, and about containers."""
    data, policy = module.params["policy"], parse_policy(module.params["policy"])
    # Both read the tracked connections, which may be many.
    entries = lru_cache(maxsize=None)(lambda: tuple(conntrack.entries()))
    unopened = published_warnings(others, policy, entries) if others.published else []
    is_new = not any(name.endswith("chain forward") for name in change.running)
    containers = (
        container_warnings(policy, is_new, module.check_mode, module.params["cut_established"], KernelViews(entries))
        if change.procedure
        else []
    )
    return [*warnings_of(others), *unopened, *containers, *_too_wide(change.backend, data), *_unfiltered(data)]


def _filtered_interfaces(policy: dict[str, Any]) -> dict[str, list[str]]:
    """Return the interfaces of containers, for the result."""
    names = filtered_interfaces(parse_policy(policy))
    return {"filtered_interfaces": names[:_MOST_INTERFACES]} if names else {}


def _ephemeral_ports() -> dict[str, str]:
    """Return the ephemeral ports of the kernel; nothing if they cannot be read, as the firewall does not need them."""
    with suppress(OSError, ValueError):
        return described(present_running())
    return {}


def _too_wide(backend: str, policy: dict[str, Any]) -> list[str]:
    """Return a warning for each interface that has the name of a container interface, but leads to other hosts."""
    own, filtered = policy.get("container_interfaces", []), policy.get("filtered_containers", [])
    # firewalld matches their networks in place of their names, and leaves out those that lead to other hosts.
    by_name = backend == "nftables"
    effects = (
        (_SERVED, [*own, *filtered] if by_name else []),
        (_UNJUDGED, own if by_name and policy["egress"] == "restricted" else []),
        (_CUT_OFF, filtered),
    )
    with suppress(NetlinkError):
        return [
            _TOO_WIDE.format(name, "; ".join(text for text, patterns in effects if is_named(name, patterns)))
            for name in shared_interfaces([*own, *filtered] if by_name else filtered)
        ]
    return []


def _unfiltered(policy: dict[str, Any]) -> list[str]:
    """Return a warning for bridges of containers that no variable names; none where nothing is filtered at all."""
    filtered = policy.get("filtered_containers", [])
    named = [*filtered, *policy.get("container_interfaces", []), *policy["trusted_interfaces"]]
    with suppress(NetlinkError):
        bridges = other_bridges(named) if filtered else []
        return [_UNFILTERED.format(listed(bridges, _MOST_INTERFACES))] if bridges else []
    return []


def _own_addresses(trusted: list[str]) -> list[dict[str, str]]:
    """Return the addresses of this host as plain data; none if the kernel does not report them."""
    with suppress(NetlinkError):
        return [address._asdict() for address in own_addresses(trusted)]
    return []


if __name__ == "__main__":
    main()
