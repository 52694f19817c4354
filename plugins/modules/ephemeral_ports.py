#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ephemeral_ports
short_description: Tell and mend where the ephemeral ports of a host are in the way of services
version_added: 0.1.0
description:
  - Linux gives a connection without a port of its own one of C(net.ipv4.ip_local_port_range), except those of
    C(net.ipv4.ip_local_reserved_ports). A service that comes later does not get that port.
  - Says which ports of O(reserved) may be taken so, and whether a service that takes ephemeral ports itself may get one
    outside of O(within), where the firewall is closed.
  - With O(fix) it reserves the former and narrows the range to the latter, in the kernel that runs and in
    C(/etc/sysctl.d/zz-hpc-ports.conf) for the next boot.
  - It only adds to what is reserved, and only narrows the range, so several tasks on one host, each with the needs of
    its own services, end with the needs of all.
author:
  - The hpc.ports authors (@hpc-ports)
attributes:
  check_mode:
    support: full
    description: Stops just before it writes; result and diff are those of the real run.
  diff_mode:
    support: full
    description: Shows both settings of the kernel, and the file.
  platform:
    support: full
    platforms: linux
    description: Needs Python 3.9 or later on the host, and root for O(fix).
options:
  reserved:
    description: Ports on which a service must be able to listen.
    type: list
    elements: dict
    default: []
    suboptions:
      what:
        description: What needs them, for messages.
        type: str
        required: true
      ports:
        description: The ports, such as V(32768/tcp) or V(60001-63000/tcp). The settings know no protocols.
        type: str
        required: true
  within:
    description: Ports among which every ephemeral port has to be, because a service takes one and only these are open.
    type: list
    elements: dict
    default: []
    suboptions:
      what:
        description: What takes them, for messages.
        type: str
        required: true
      ports:
        description: The ports, such as V(8192-60000/tcp).
        type: str
        required: true
  declared:
    description:
      - What C(firewall_ephemeral_ports) says of this host, C(FIRST-LAST). The playbook C(lint) judges by it, so it is
        told where the host has another range.
    type: str
  fix:
    description:
      - Change the settings so that nothing clashes. Fails where fewer than 1024 ephemeral ports would be left.
      - To take it back, remove the file and restart the host.
    type: bool
    default: false
seealso:
  - plugin: hpc.ports.unopened_ports
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Tell whether lockd may find its port taken
  hpc.ports.ephemeral_ports:
    reserved:
      - {what: lockd, ports: 32768/tcp}
  register: ephemeral

- name: See to it that an interactive job of PBS is reached, and lockd too
  hpc.ports.ephemeral_ports:
    reserved:
      - {what: lockd, ports: 32768/tcp}
    within:
      - {what: qsub -I, ports: 32768-60999/tcp}
    fix: true
  become: true
"""

RETURN = r"""
clashes:
  description: A sentence for each clash that is left, with what to do.
  returned: success
  type: list
  elements: str
  sample:
    - >-
      lockd needs 32768, but the kernel gives 32768 to any connection as an ephemeral port (ip_local_port_range is
      32768-60999). Reserve it in ip_local_reserved_ports.
fixed:
  description: A sentence for each clash that was there before and is mended.
  returned: success
  type: list
  elements: str
ephemeral_ports:
  description: The range of ephemeral ports.
  returned: success
  type: str
  sample: 32768-60999
reserved_ports:
  description: What is reserved, as the kernel writes it; empty where nothing is.
  returned: success
  type: str
  sample: 8080,32765-32768
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.ports.plugins.module_utils._ephemeral.demands import Demands, parsed_demands
from ansible_collections.hpc.ports.plugins.module_utils._ephemeral.sysctl import compared, worded
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import returned, shown


def main() -> None:
    """Compare, and with `fix` change."""
    demand = {"what": {"type": "str", "required": True}, "ports": {"type": "str", "required": True}}
    module = AnsibleModule(
        argument_spec={
            "reserved": {"type": "list", "elements": "dict", "default": [], "options": demand},
            "within": {"type": "list", "elements": "dict", "default": [], "options": demand},
            "declared": {"type": "str"},
            "fix": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    demands = _demands(module)
    try:
        result = compared(demands, module.params["fix"], module.check_mode)
    except ValueError as exc:
        module.fail_json(msg=shown(f"Cannot tell the ephemeral ports: {exc}."))
    except OSError as exc:
        module.fail_json(msg=shown(worded(exc)))
    module.exit_json(**returned(result))


def _demands(module: AnsibleModule) -> Demands:
    try:
        return parsed_demands(*[module.params[name] for name in ("reserved", "within", "declared")])
    except ValueError as exc:
        return module.fail_json(msg=f"{exc}.")


if __name__ == "__main__":
    main()
