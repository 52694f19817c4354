#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_listen
short_description: Listen for a while on ports where nobody listens
version_added: 0.1.0
description:
  - Starts one detached process that holds ports of this host, so that a probe which gets no answer is known to have
    been blocked. It says O(nonce) to who connects, and to the datagrams of M(hpc.ports.verify_probe) that know O(key), and
    closes.
  - Where nftables is there, a temporary table C(inet hpc_ports_verify) counts how far packets come. It drops nothing.
  - A port that a service has is left to it, on the very addresses where it has it.
  - Where systemd runs the host the process is a transient unit, C(hpc-ports-verify-ID.scope).
  - The process ends when told to, or by itself after O(lifetime) seconds. There is one at a time in each network
    namespace of a host, found by a socket in C(/run/hpc-ports), where only root can write; a new one takes the place of
    the one before, whose run is then told that its listener did not last.
  - A service that is started meanwhile on a port held here fails to start, so keep O(lifetime) short.
author:
  - The hpc.ports authors (@hpc-ports)
attributes:
  check_mode:
    support: partial
    description: The task is skipped.
    details: Nothing is started or ended, so nothing is said about the ports.
  diff_mode:
    support: none
    description: Nothing that lasts is changed.
  platform:
    support: full
    platforms: linux
    description: Needs Python 3.9 or later on the host, and root.
options:
  state:
    description:
      - V(started) starts the process; the module returns when it listens.
      - V(stopped) ends it, and tells whether it was there until now.
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
      - This host's own addresses that will be probed. Where a service has a port on some other address only,
        such as 127.0.0.1, the port is held on these.
    type: list
    elements: str
    default: []
  lifetime:
    description: After how many seconds the process ends by itself.
    type: int
    default: 300
  counted:
    description: More ports to count at, those that this host probes elsewhere.
    type: list
    elements: str
    default: []
  key:
    description: What a datagram has to say to be answered.
    type: str
    default: ""
  nonce:
    description: What is answered, so that a probe knows which host it was.
    type: str
    default: ""
  passive:
    description: Hold nothing; tell which of O(ports) services have, and count.
    type: bool
    default: false
  id:
    description: With O(state=stopped), the process to end; none is given to end whichever there is.
    type: str
    default: ""
seealso:
  - module: hpc.ports.verify_probe
"""

EXAMPLES = r"""
- name: Listen where nobody listens
  hpc.ports.verify_listen:
    ports: [6817/tcp, 24224/udp]
    lifetime: 60
  become: true
  register: listener

- name: End it
  hpc.ports.verify_listen:
    state: stopped
    id: "{{ listener.id }}"
  become: true
"""

RETURN = r"""
id:
  description: What stands for the process, to end it by.
  returned: when started
  type: str
  sample: 5b1f0c6a1c8b4b4d9a3c0a1f5f1f5c11
alive:
  description: Whether the process that O(id) names was there, and answered, until now.
  returned: when stopped
  type: bool
listening:
  description: The ports that the process holds, by the address that they are bound to.
  returned: success
  type: dict
  sample: {"0.0.0.0": [6817/tcp, 24224/udp], "::": [6817/tcp, 24224/udp]}
in_use:
  description: The ports that a service has, by the address; when stopped, those that it still has.
  returned: success
  type: dict
  sample: {"0.0.0.0": [22/tcp], "::": [22/tcp]}
not_held:
  description: By address and port, why it could not be held.
  returned: success
  type: dict
  sample: {"::": {"6817/tcp": Address family not supported by protocol}}
own:
  description:
    - Of each of O(addresses), whether it is one of this host's own. One that is not, such as a public address that a router
      has for it, is translated on the way.
  returned: success
  type: dict
  sample: {10.20.0.1: true, 198.51.100.1: false}
dead_ends:
  description: By port, what a proxy of a container takes connections for that this host cannot connect to, and why.
  returned: when O(state=stopped)
  type: dict
  sample: {8888/tcp: "172.17.0.2 port 80: no answer"}
not_counted:
  description: Why packets are not counted; empty where they are.
  returned: success
  type: str
counts:
  description:
    - How far packets came, by the address of this host, by peer and by number of packets, the ports. Opening packets that
      C(left) this host for a peer, C(arrived) from one before any rule and C(passed) all rules; answers C(answered) that
      left this host, and C(returned) that came back to it before any rule.
    - Where this host itself translates addresses or ports, they are those from before that. Null where more packets were
      to be told apart than can be counted (65,535).
  returned: when stopped
  type: dict
  sample: {arrived: {10.20.0.1: {10.20.0.7: {"1": [6817/tcp]}}}}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import plain, shown
from ansible_collections.hpc.ports.plugins.module_utils._probe.container_proxies import dead_ends
from ansible_collections.hpc.ports.plugins.module_utils._probe.listener import ListenError, Orders, start, stop
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
        module.fail_json(msg=f"Invalid lifetime: got {module.params['lifetime']}, expected more than 0.")
    if module.check_mode:
        module.exit_json(skipped=True, msg="Check mode: no listener was started or ended.")
    try:
        result = _started(module.params) if module.params["state"] == "started" else _stopped(module.params)
    except ValueError as exc:
        module.fail_json(msg=f"Invalid ports: {exc}.")
    except (ListenError, NetlinkError, OSError) as exc:
        module.fail_json(msg=shown(str(exc)))
    module.exit_json(**plain(result))


def _started(params: dict[str, Any]) -> dict[str, Any]:
    ports = {name: [single_port(text) for text in params[name]] for name in ("ports", "counted")}
    return {"changed": True, **start(Orders(**{**{name: params[name] for name in Orders._fields}, **ports}))}


def _stopped(params: dict[str, Any]) -> dict[str, Any]:
    result = stop(params["id"])
    return {"changed": result["alive"], **result, "dead_ends": dead_ends()}


if __name__ == "__main__":
    main()
