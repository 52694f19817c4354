#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_judge
short_description: What would the rules of this host do with these packets?
version_added: 0.1.0
description:
  - Reads the whole ruleset of the kernel once, the rules of this collection and all others, and walks packets through
    it as the kernel would. Tells which table, chain and rule decides.
  - Sends nothing. Looks up the routes of the packets and of their answers, and who listens.
  - Where a verdict hangs on what cannot be told, such as on the user of a process or on rules of iptables-legacy,
    it is V(unknown), with the reason. Limits of rate count as not exceeded.
author:
  - The hpc.ports authors (@hpc-ports)
attributes:
  check_mode:
    support: full
    description: The module only reads.
  diff_mode:
    support: none
    description: Nothing is changed.
  platform:
    support: full
    platforms: linux
    description: Needs Python 3.9 or later on the host, root, and libnftables or nft.
options:
  packets:
    description: The packets, each the first of a connection.
    type: list
    elements: dict
    required: true
    suboptions:
      direction:
        description: Whether it comes to this host or goes out from it.
        type: str
        choices: [in, out]
        required: true
      protocol:
        description: V(tcp), V(udp) or the number of an IP protocol.
        type: str
        default: tcp
      source:
        description: The address that it comes from; of what goes out, empty for the one that the kernel chooses.
        type: str
        default: ""
      destination:
        description: The address that it goes to; of what comes in, one of this host's.
        type: str
        required: true
      port:
        description: The port that it goes to.
        type: int
        default: 0
      source_port:
        description: The port that it comes from.
        type: int
        default: 49152
      interface:
        description:
          - The interface that it comes or goes over.
          - By default the one of the route, to the source of what comes in; where there is none, the one that has the
            destination.
        type: str
        default: ""
      reply:
        description: Whether to judge the answer to it, too.
        type: bool
        default: false
notes:
  - Tables of the family bridge are not judged; where one may drop the packet, the verdict is V(unknown).
  - Addresses of IPv6 with a scope, such as V(fe80::1%eth0), are refused; name the interface instead.
seealso:
  - module: hpc.ports.verify_probe
  - module: hpc.ports.verify_listen
"""

EXAMPLES = r"""
- name: What becomes of a connection from a login node to the Slurm controller?
  hpc.ports.verify_judge:
    packets:
      - direction: in
        source: 10.20.0.7
        destination: 10.20.0.1
        port: 6817
        reply: true
  become: true
  register: judged
"""

RETURN = r"""
judgements:
  description: One judgement a packet, in their order.
  returned: success
  type: list
  elements: dict
  contains:
    verdict:
      description: V(accept), V(drop), V(reject) or V(unknown).
      type: str
      sample: drop
    table:
      description: The table of the rule that decides. Of V(unknown), of the last rule that may stop the packet, if any.
      type: str
      sample: inet site
    chain:
      description: Its chain.
      type: str
      sample: input
    rule:
      description: The rule as nft prints it, or the policy of the chain.
      type: str
      sample: tcp dport 6817 drop
    is_ours:
      description: Whether the rule is of this collection, in its own table or in its policies of firewalld.
      type: bool
    unknown:
      description: What cannot be told; empty unless the verdict is V(unknown).
      type: str
    notes:
      description: What is done to the packet, such as a translation of addresses, and which limits were not counted.
      type: list
      elements: str
    interface:
      description: The interface that the packet comes over.
      returned: direction is in
      type: str
      sample: eth0
    route:
      description: Where the kernel sends the packet or, where it comes in, the answer to it.
      type: dict
      contains:
        interface:
          description: The interface.
          type: str
          sample: eth0
        source:
          description: The address that the kernel would choose to send from.
          type: str
          sample: 10.20.0.1
        gateway:
          description: The next hop, empty for a neighbour.
          type: str
        kind:
          description: The type of the route, V(local) for this host itself.
          type: str
          sample: unicast
        error:
          description: Why there is no route, or empty.
          type: str
          sample: no route (Network is unreachable)
    reverse_path:
      description: Whether the kernel drops the packet for its source, see rp_filter in the kernel's documentation.
      returned: direction is in
      type: dict
      contains:
        mode:
          description: The filter on the interface. V(0) is none, V(1) strict, V(2) loose.
          type: int
        is_dropped:
          description: Whether it drops the packet.
          type: bool
    listening:
      description: The addresses on which somebody listens for the packet; none where nobody does.
      returned: direction is in
      type: list
      elements: str
      sample: [0.0.0.0]
    reply:
      description: The judgement on the answer, with the same keys from RV(judgements[].verdict) to
        RV(judgements[].notes).
      returned: asked for, and the packet has a route
      type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import plain, shown
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.judge import Host, parse_asked

PACKET: dict[str, Any] = {
    "direction": {"type": "str", "choices": ["in", "out"], "required": True},
    "protocol": {"type": "str", "default": "tcp"},
    "source": {"type": "str", "default": ""},
    "destination": {"type": "str", "required": True},
    "port": {"type": "int", "default": 0},
    "source_port": {"type": "int", "default": 49152},
    "interface": {"type": "str", "default": ""},
    "reply": {"type": "bool", "default": False},
}


def main() -> None:
    """Judge the packets; check mode makes no difference."""
    module = AnsibleModule(
        argument_spec={"packets": {"type": "list", "elements": "dict", "required": True, "options": PACKET}},
        supports_check_mode=True,
    )
    try:
        asked = [parse_asked(packet) for packet in module.params["packets"]]
    except ValueError as exc:
        module.fail_json(msg=f"Invalid packets: {exc}.")
    try:
        host = Host()
        judgements = [host.judged(packet) for packet in asked]
    except (OSError, RuntimeError, ValueError) as exc:
        module.fail_json(msg=shown(f"Cannot judge packets on this host: {exc}"))
    module.exit_json(changed=False, judgements=plain(judgements))


if __name__ == "__main__":
    main()
