#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: audit_info
short_description: Say who listens on a host, who publishes ports, and which connections it has
version_added: 0.2.0
description:
  - Lists the ports that processes are bound to, with their systemd units, the ports that NAT rules publish, and the
    connections with other hosts, by peer and port. It needs no firewall on the host and no port file.
  - On a host with the firewall of this collection, returns how many packets each flow has let in.
  - Connections come from the TCP sockets and from connection tracking. Without connection tracking, UDP is missing.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.host
  - hpc.ports.attributes.info_module
requirements:
  - root on the managed host
options: {}
seealso:
  - module: hpc.ports.matrix_info
  - module: hpc.ports.import_info
"""

EXAMPLES = r"""
- name: Ask what the host does now
  hpc.ports.audit_info:
  become: true
  register: audit

- name: Show who listens to all addresses
  ansible.builtin.debug:
    msg: "{{ audit.listeners | selectattr('address', 'in', ['0.0.0.0', '::']) }}"
"""

RETURN = r"""
listeners:
  description: Ports that something is bound to, at most 5,000. The kernel has no process, such as for NFS.
  returned: success
  type: list
  elements: dict
  contains:
    protocol:
      description: V(tcp) or V(udp).
      type: str
    address:
      description: The address, V(0.0.0.0) or V(::) for all.
      type: str
    port:
      description: The port.
      type: int
    process:
      description: The name of the process, or empty.
      type: str
      sample: sshd
    unit:
      description: Its systemd unit, or empty.
      type: str
      sample: ssh.service
published:
  description: Ports that NAT rules of containers or others publish, at most 1,000 ranges.
  returned: success
  type: list
  elements: dict
  contains:
    protocol:
      description: V(tcp) or V(udp).
      type: str
    first:
      description: The first port.
      type: int
    last:
      description: The last port.
      type: int
    by:
      description: The container program, as far as the names of its chains tell, or the table and chain of the rule.
      type: str
      sample: Docker
connections:
  description: Connections with other hosts, by peer and port, at most 5,000 groups, the largest ones.
  returned: success
  type: list
  elements: dict
  contains:
    direction:
      description: V(in) if the peer opened them, or V(out).
      type: str
    peer:
      description: The address of the other host.
      type: str
    protocol:
      description: V(tcp), V(udp), or V(ip) for others.
      type: str
    port:
      description: The port that the client connected to, or the number of the IP protocol.
      type: int
    count:
      description: How many there are.
      type: int
connections_left_out:
  description: Connections of further groups.
  returned: success
  type: int
counters:
  description: What the rules of this collection have counted. None on a host without them.
  returned: success
  type: dict
  contains:
    packets:
      description: By flow, how many packets it has let in. Packets of established connections are not counted.
      type: dict
      sample: {slurm_control: 12}
    seconds:
      description: For how many seconds the rules can have counted at most, since the boot or the last change of the
        ruleset. If something deletes the rules and the watch restores them, they count anew.
      type: int
ansible_from:
  description: The address from which Ansible connects over ssh, as the host sees it. Empty without ssh.
  returned: success
  type: str
  sample: 10.0.0.5
problems:
  description: What could not be read, as sentences.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.ports.plugins.module_utils._apply.audit import audit_of
from ansible_collections.hpc.ports.plugins.module_utils._backends.selection import check_user
from ansible_collections.hpc.ports.plugins.module_utils._linux.errors import HostError, failure_text
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_result


def main() -> None:
    """Return what the host does now."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        check_user()
        module.exit_json(**shown_result({"changed": False, **audit_of()}))
    except HostError as exc:
        module.fail_json(msg=shown(str(exc)))
    except (NetlinkError, OSError) as exc:
        module.fail_json(msg=shown(failure_text(exc)))


if __name__ == "__main__":
    main()
