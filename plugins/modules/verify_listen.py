#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_listen
short_description: "Internal: listen for a while on ports that no service uses"
version_added: 0.2.0
description:
  - Internal. The role verify and the playbook C(hpc.ports.explain) run this module before and after
    M(hpc.ports.verify_probe).
  - Starts one detached process that listens on ports of this host, so that a probe without an answer proves that it was
    blocked. The process sends O(nonce) to each TCP client, and to each datagram of M(hpc.ports.verify_probe) that has
    O(key), and closes the connection.
  - If nftables is available, a temporary table C(inet hpc_ports_verify) counts how far packets get. It drops nothing.
  - A port that a service uses is left to the service, on the addresses on which the service uses it.
  - If systemd runs the host, the process is a transient unit, C(hpc-ports-verify-ID.scope).
  - The process ends when told to, or by itself after O(lifetime) seconds. Each network namespace of a host has at most
    one. It is found by a socket in C(/run/hpc-ports), where only root can write. A new process replaces the previous
    one, whose run then learns that its listener did not last.
  - A service that starts while the process uses its port fails to start, so keep O(lifetime) short.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.host
attributes:
  check_mode:
    support: partial
    details: The task is skipped. Nothing is started or ended, so nothing is known about the ports.
  diff_mode:
    support: none
    details: The module makes no permanent change.
requirements:
  - root on the managed host
options:
  state:
    description:
      - V(started) starts the process. The module returns when the process listens.
      - V(stopped) ends the process, and returns whether it was there until now.
    type: str
    choices: [started, stopped]
    default: started
  ports:
    description: The ports, such as V(22/tcp) or V(53/udp).
    type: list
    elements: str
    default: []
  addresses:
    description:
      - The addresses of this host that will be probed. If a service uses a port only on another address, such as
        127.0.0.1, the process listens on these.
    type: list
    elements: str
    default: []
  lifetime:
    description: Seconds after which the process ends by itself.
    type: int
    default: 300
  counted:
    description: More ports to count packets for, those that this host probes on other hosts.
    type: list
    elements: str
    default: []
  key:
    description: The key that a datagram must have to be answered.
    type: str
    default: ""
  nonce:
    description: The answer, by which a probe recognizes this host.
    type: str
    default: ""
  passive:
    description: Listen on no port. Return which of O(ports) services use, and count packets.
    type: bool
    default: false
  id:
    description: With O(state=stopped), the process to end. Empty for any process.
    type: str
    default: ""
seealso:
  - module: hpc.ports.verify_probe
"""

EXAMPLES = r"""
- name: Listen on ports that no service uses
  hpc.ports.verify_listen:
    ports: [6817/tcp, 24224/udp]
    lifetime: 60
  become: true
  register: listener

- name: Stop listening
  hpc.ports.verify_listen:
    state: stopped
    id: "{{ listener.id }}"
  become: true
"""

RETURN = r"""
id:
  description: Identifier of the process, for O(id).
  returned: when started
  type: str
  sample: 5b1f0c6a1c8b4b4d9a3c0a1f5f1f5c11
alive:
  description: Whether the process O(id) was there, and answered, until now.
  returned: when stopped
  type: bool
listening:
  description: The ports on which the process listens, by the address that they are bound to.
  returned: success
  type: dict
  sample: {"0.0.0.0": [6817/tcp, 24224/udp], "::": [6817/tcp, 24224/udp]}
in_use:
  description: The ports that services use, by address; when stopped, those that they still use.
  returned: success
  type: dict
  sample: {"0.0.0.0": [22/tcp], "::": [22/tcp]}
not_held:
  description: Why the process cannot listen on a port, by address and port.
  returned: success
  type: dict
  sample: {"::": {"6817/tcp": Address family not supported by protocol}}
own:
  description:
    - Whether each of O(addresses) is an address of this host. An address that is not, such as a public address that a
      router has for it, is translated on the way.
  returned: success
  type: dict
  sample: {10.20.0.1: true, 198.51.100.1: false}
dead_ends:
  description: Where a container proxy forwards connections to that this host cannot connect to, and why, by port.
  returned: when O(state=stopped)
  type: dict
  sample: {8888/tcp: "172.17.0.2 port 80: no answer"}
not_counted:
  description: Why packets are not counted. Empty if they are.
  returned: success
  type: str
counts:
  description:
    - How far packets got, as ports by the address of this host, the peer and the number of packets. Opening packets
      that C(left) this host for a peer, that C(arrived) from a peer before any rule, and that C(passed) all rules;
      answers C(answered) that left this host, and answers C(returned) that came back to it before any rule.
    - If this host itself translates addresses or ports, they are those from before the translation. Null if there were
      more kinds of packets than can be counted (65,535).
  returned: when stopped
  type: dict
  sample: {arrived: {10.20.0.1: {10.20.0.7: {"1": [6817/tcp]}}}}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_data
from ansible_collections.hpc.ports.plugins.module_utils._model.wire import ListenerFacts, ListenResult
from ansible_collections.hpc.ports.plugins.module_utils._probe.container_proxies import dead_ends
from ansible_collections.hpc.ports.plugins.module_utils._probe.listener import start, stop
from ansible_collections.hpc.ports.plugins.module_utils._probe.listener_process import ListenError, Orders
from ansible_collections.hpc.ports.plugins.module_utils._probe.sockets import single_port


def main() -> None:
    """Start or end the process; in check mode do neither."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "ports": {"type": "list", "elements": "str", "default": []},
            "addresses": {"type": "list", "elements": "str", "default": []},
            "lifetime": {"type": "int", "default": 300},
            "counted": {"type": "list", "elements": "str", "default": []},
            "key": {"type": "str", "default": "", "no_log": False},
            "nonce": {"type": "str", "default": ""},
            "passive": {"type": "bool", "default": False},
            "id": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    if module.params["lifetime"] <= 0:
        module.fail_json(msg=f"Invalid lifetime: got {module.params['lifetime']}, expected a number greater than 0.")
    if module.check_mode:
        module.exit_json(skipped=True, msg="Check mode: no listener was started or ended.")
    result: ListenerFacts | ListenResult
    try:
        if module.params["state"] == "started":
            result, is_changed = _started(module.params), True
        else:
            result = _stopped(module.params)
            is_changed = result["alive"]
    except ValueError as exc:
        module.fail_json(msg=f"Invalid ports: {exc}.")
    except (ListenError, NetlinkError, OSError) as exc:
        module.fail_json(msg=shown(str(exc)))
    module.exit_json(changed=is_changed, **shown_data(result))


def _started(params: dict[str, Any]) -> ListenerFacts:
    ports = {name: [single_port(text) for text in params[name]] for name in ("ports", "counted")}
    return start(Orders(**{**{name: params[name] for name in Orders._fields}, **ports}))


def _stopped(params: dict[str, Any]) -> ListenResult:
    return {**stop(params["id"]), "dead_ends": dead_ends()}


if __name__ == "__main__":
    main()
