#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: observed_info
short_description: List whom a host in observe mode would have dropped
version_added: 0.2.0
description:
  - With C(firewall_mode=observe) the kernel of a host records the packets that no flow allows, and accepts them. This
    module lists the records.
  - A record is kept for 30 days after its last packet, also when flows change. A boot, and a change of
    C(firewall_mode), delete all records.
  - Reads only the records from the kernel, so it is fast, and works in check mode.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.host
  - hpc.ports.attributes.info_module
requirements:
  - root on the managed host
options:
  most:
    description: How many records to return at most, those with the most recent packets.
    type: int
    default: 10000
  compact:
    description:
      - Return RV(ports) instead of RV(records), and who listens. The playbook C(hpc.ports.observed) uses it, because
        the records of hundreds of hosts are millions of dictionaries.
    type: bool
    default: false
seealso:
  - module: hpc.ports.firewall
"""

EXAMPLES = r"""
- name: List whom the policy would drop
  hpc.ports.observed_info:
  become: true
  register: observed

- name: Show the ports and peers
  ansible.builtin.debug:
    msg: "{{ item.direction }} {{ item.peer }} {{ item.port }}/{{ item.protocol }}: {{ item.packets }} packets"
  loop: "{{ observed.records }}"
  loop_control:
    label: "{{ item.peer }}"
"""

RETURN = r"""
observes:
  description: Whether this host records, as it does with C(firewall_mode=observe).
  returned: success
  type: bool
seconds:
  description: For how many seconds the host has recorded. None if it does not record.
  returned: success
  type: int
  sample: 86400
records:
  description: One entry for each peer, protocol and port. The entry with the most recent packet comes first.
  returned: O(compact=false)
  type: list
  elements: dict
  contains:
    direction:
      description: Whether the packets came in to this host (V(in)), went out from it (V(out)), or came from or went to
        one of its containers and another host (V(forward)).
      type: str
    peer:
      description: The address of the peer. If RV(records[].direction=forward), the address that the packets came from.
      type: str
      sample: 10.20.0.7
    target:
      description: The address that forwarded packets went to. Otherwise empty, as it is this host or the peer.
      type: str
    protocol:
      description: V(tcp), V(udp), or V(ip) for another IP protocol.
      type: str
    port:
      description: The port to which the connection was opened. If RV(records[].protocol=ip), the number of the IP
        protocol. The port of incoming packets is the one that the peer used, also if a container publishes it.
      type: int
      sample: 8649
    packets:
      description: Packets that no flow allows. Once a connection is answered, its further packets are not counted.
      type: int
    last_seconds:
      description: Seconds since the last of these packets.
      type: int
ports:
  description: The records of each direction, protocol and port.
  returned: O(compact=true)
  type: list
  elements: dict
  contains:
    direction:
      description: As in RV(records).
      type: str
    protocol:
      description: As in RV(records).
      type: str
    port:
      description: As in RV(records).
      type: int
    peers:
      description: A line for each record, with the peer, the target if RV(ports[].direction=forward), the packets, and
        the seconds since the last one.
      type: str
      sample: 10.20.0.7 12 340
listeners:
  description: Who listens, as M(hpc.ports.audit_info) returns it.
  returned: O(compact=true)
  type: list
  elements: dict
published:
  description: Ports that NAT rules publish, as M(hpc.ports.audit_info) returns them.
  returned: O(compact=true)
  type: list
  elements: dict
problems:
  description: What could not be read, as sentences.
  returned: O(compact=true)
  type: list
  elements: str
container_networks:
  description: The networks of bridges with the usual names of container programs.
  returned: O(compact=true)
  type: list
  elements: str
left_out:
  description: How many records were left out because of O(most).
  returned: success
  type: int
unrecorded:
  description: Packets by direction that no flow allows and that are in no record, because the host has as many records
    as it can hold.
  returned: success
  type: dict
  sample: {in: 0, out: 0, forward: 0}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.observed import Observed, observed
from ansible_collections.hpc.ports.plugins.module_utils._linux.listeners import listeners
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.own_addresses import USUAL_NAMES, container_networks
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_data
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.publishers import published_ports

_ARGUMENTS = {"most": {"type": "int", "default": 10000}, "compact": {"type": "bool", "default": False}}
_MOST_LISTENERS = 5000


def main() -> None:
    """List the records; check mode makes no difference."""
    module = AnsibleModule(argument_spec=_ARGUMENTS, supports_check_mode=True)
    if module.params["most"] < 0:
        module.fail_json(msg="Invalid most: got {}, expected 0 or more.".format(module.params["most"]))
    try:
        result = observed(module.params["most"])
        data = _compact(result) if module.params["compact"] else result.as_data()
    except (NetlinkError, OSError) as exc:
        module.fail_json(msg=shown(f"Cannot read the records of this host: {exc}"))
    module.exit_json(changed=False, **data)


def _compact(result: Observed) -> dict[str, Any]:
    """Return the records by port, and who holds ports. Raises NetlinkError, OSError."""
    data = {key: value for key, value in result.as_data().items() if key != "records"}
    held = [listener._asdict() for listener in listeners()[:_MOST_LISTENERS]]
    published = published_ports()
    more = {
        "listeners": held,
        "published": published.as_data(),
        "container_networks": list(map(str, container_networks(USUAL_NAMES))),
        "problems": list(published.problems),
    }
    return {**data, "ports": result.by_port(), **shown_data(more)}


if __name__ == "__main__":
    main()
