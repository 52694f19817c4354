#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_judge
short_description: "Internal: find out what the rules of a host do with given packets"
version_added: 0.2.0
description:
  - Internal. The role verify and the playbook C(hpc.ports.explain) run this module on the hosts at both ends of a
    connection.
  - Reads all rules of the kernel once, those of this collection and all others, and follows packets through them as the
    kernel would, also where they send a packet to a container. Returns the table, chain and rule that decides.
  - Sends nothing. Looks up the routes of the packets and of their answers, and the processes that listen.
  - If a verdict depends on what the module cannot know, such as the user of a process, or on rules of iptables-legacy,
    it is V(unknown), with the reason. Rate limits count as not exceeded.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.host
  - hpc.ports.attributes.info_module
requirements:
  - libnftables or nft on the managed host
  - root on the managed host
options:
  packets:
    description: The packets, each the first packet of a connection.
    type: list
    elements: dict
    required: true
    suboptions:
      direction:
        description: Whether the packet comes in to this host, goes out from it, or goes through it, as a packet from a
          container to another host does.
        type: str
        choices: [in, out, through]
        required: true
      protocol:
        description: V(tcp), V(udp) or the number of an IP protocol.
        type: str
        default: tcp
      source:
        description: The source address. For an outgoing packet, empty for the address that the kernel chooses.
        type: str
        default: ""
      destination:
        description: The destination address. For an incoming packet, an address by which others know this host.
        type: str
        required: true
      port:
        description: The destination port.
        type: int
        default: 0
      source_port:
        description: The source port.
        type: int
        default: 49152
      interface:
        description:
          - The interface over which the packet comes or goes.
          - By default the interface of the route; for an incoming packet, of the route to its source or, if there is
            none, the interface that has the destination address.
        type: str
        default: ""
      reply:
        description: Whether to judge the answer to the packet as well. Not for packets that go through this host.
        type: bool
        default: false
notes:
  - Tables of the family bridge are not followed. If one of them may drop the packet, the verdict is V(unknown).
  - Programs that take packets before all rules, such as the eBPF programs of Cilium, are not seen.
  - IPv6 addresses with a scope, such as V(fe80::1%eth0), are refused. Give O(packets[].interface) instead.
seealso:
  - module: hpc.ports.verify_probe
  - module: hpc.ports.verify_listen
"""

EXAMPLES = r"""
- name: Find out what happens to a connection from a login node to the Slurm controller
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
  description: One judgement for each packet, in the order of the packets.
  returned: success
  type: list
  elements: dict
  contains:
    verdict:
      description: V(accept), V(drop), V(reject) or V(unknown).
      type: str
      sample: drop
    table:
      description: The table of the rule that decides. For V(unknown), of the last rule that may stop the packet, if
        any.
      type: str
      sample: inet site
    chain:
      description: The chain of the rule.
      type: str
      sample: input
    rule:
      description: The rule as nft prints it, or the policy of the chain.
      type: str
      sample: tcp dport 6817 drop
    is_ours:
      description: Whether the rule belongs to this collection, in its own table or in its firewalld policies.
      type: bool
    unknown:
      description: What the module cannot know. Empty unless the verdict is V(unknown).
      type: str
    notes:
      description:
        - Changes to the packet, such as a translation of addresses, and rate limits that were not counted.
        - If the packet is dropped before a rule that would change its destination, this rule is noted as well.
      type: list
      elements: str
    interface:
      description: The interface over which the packet comes in.
      returned: direction is in or through
      type: str
      sample: eth0
    route:
      description: The route of the packet or, if it comes in or goes through, of the answer.
      type: dict
      contains:
        interface:
          description: The interface.
          type: str
          sample: eth0
        source:
          description: The source address that the kernel would choose.
          type: str
          sample: 10.20.0.1
        gateway:
          description: The next hop. Empty for a neighbour.
          type: str
        kind:
          description: The type of the route, V(local) for this host itself.
          type: str
          sample: unicast
        error:
          description: Why there is no route. Empty if there is one.
          type: str
          sample: no route (Network is unreachable)
    reverse_path:
      description: Whether the kernel drops the packet because of its source; see rp_filter in the kernel documentation.
      returned: direction is in
      type: dict
      contains:
        mode:
          description: The filter on the interface, V(0) for none, V(1) for strict, V(2) for loose.
          type: int
        is_dropped:
          description: Whether the filter drops the packet.
          type: bool
    listening:
      description: The addresses on which a process listens for the packet. Empty if there is none.
      returned: direction is in, and rules do not send the packet elsewhere
      type: list
      elements: str
      sample: [0.0.0.0]
    reply:
      description: The judgement on the answer, with the same keys from RV(judgements[].verdict) to
        RV(judgements[].notes).
      returned: when requested, the packet has a route, and direction is in or out
      type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_data
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.judge import PacketJudge, parse_query

PACKET: dict[str, Any] = {
    "direction": {"type": "str", "choices": ["in", "out", "through"], "required": True},
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
        queries = [parse_query(packet) for packet in module.params["packets"]]
    except ValueError as exc:
        module.fail_json(msg=f"Invalid packets: {exc}.")
    try:
        judge = PacketJudge()
        judgements = [judge.judge(query) for query in queries]
    except (OSError, RuntimeError, ValueError) as exc:
        module.fail_json(msg=shown(f"Cannot judge packets on this host: {exc}"))
    module.exit_json(changed=False, judgements=shown_data(judgements))


if __name__ == "__main__":
    main()
