#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ephemeral_ports
short_description: Find and fix conflicts between the ephemeral ports of a host and its services
version_added: 0.2.0
description:
  - For a connection without a port of its own, Linux picks a port of C(net.ipv4.ip_local_port_range) that is not in
    C(net.ipv4.ip_local_reserved_ports). A service that starts later cannot use this port.
  - Reports the ports of O(reserved) that Linux may pick, and services that use ephemeral ports themselves and may get
    one outside O(within), where the firewall is closed.
  - With O(fix), reserves the ports of O(reserved) and narrows the range to O(within), in the running kernel and in
    C(/etc/sysctl.d/zz-hpc-ports.conf) for the next boot.
  - Only adds to the reserved ports, and only narrows the range. So several tasks on one host, each for its own
    services, meet the needs of all.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.host
attributes:
  check_mode:
    support: full
    details: Stops just before the settings are written. The result and the diff are those of the real run.
  diff_mode:
    support: full
    details: Shows both settings of the kernel, and the file.
requirements:
  - root on the managed host, for O(fix)
options:
  reserved:
    description: Ports on which a service must be able to listen.
    type: list
    elements: dict
    default: []
    suboptions:
      what:
        description: Name of the service, for messages.
        type: str
        required: true
      ports:
        description: The ports, such as V(32768/tcp) or V(60001-63000/tcp). The settings apply to all protocols.
        type: str
        required: true
  within:
    description: Ranges that must contain every ephemeral port, because a service uses ephemeral ports and only these
      are open.
    type: list
    elements: dict
    default: []
    suboptions:
      what:
        description: Name of the service, for messages.
        type: str
        required: true
      ports:
        description: The ports, such as V(8192-60000/tcp).
        type: str
        required: true
  declared:
    description:
      - The variable C(firewall_ephemeral_ports) of this host, C(FIRST-LAST). The playbook C(lint) relies on it, so a
        host with another range is reported.
    type: str
  fix:
    description:
      - Change the settings so that nothing conflicts. Fails if fewer than 1024 ephemeral ports would be left.
      - To undo the change, remove the file and reboot the host.
    type: bool
    default: false
seealso:
  - module: hpc.ports.firewall
"""

EXAMPLES = r"""
- name: Find out whether another connection may use the port of lockd
  hpc.ports.ephemeral_ports:
    reserved:
      - {what: lockd, ports: 32768/tcp}
  register: ephemeral

- name: Reserve the port of lockd, and keep interactive jobs of PBS within the open ports
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
  description: A sentence for each conflict that remains, with what to do.
  returned: success
  type: list
  elements: str
  sample:
    - >-
      lockd needs 32768, but the kernel gives 32768 to any connection as an ephemeral port (ip_local_port_range is
      32768-60999). Reserve it in ip_local_reserved_ports.
fixed:
  description: A sentence for each conflict that was fixed.
  returned: success
  type: list
  elements: str
ephemeral_ports:
  description: The range of ephemeral ports.
  returned: success
  type: str
  sample: 32768-60999
reserved_ports:
  description: The reserved ports, as the kernel writes them. Empty if there are none.
  returned: success
  type: str
  sample: 8080,32765-32768
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.ports.plugins.module_utils._ephemeral.demands import OPTIONS, Demands, parsed_demands
from ansible_collections.hpc.ports.plugins.module_utils._ephemeral.sysctl import compared, worded
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_result


def main() -> None:
    """Compare the settings with the needs of services, and change them with `fix`."""
    module = AnsibleModule(
        argument_spec={
            "reserved": {"type": "list", "elements": "dict", "default": [], "options": OPTIONS},
            "within": {"type": "list", "elements": "dict", "default": [], "options": OPTIONS},
            "declared": {"type": "str"},
            "fix": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    demands = _demands(module)
    try:
        result = compared(demands, module.params["fix"], module.check_mode)
    except ValueError as exc:
        module.fail_json(msg=shown(f"Cannot read the ephemeral ports: {exc}."))
    except OSError as exc:
        module.fail_json(msg=shown(worded(exc)))
    module.exit_json(**shown_result(result))


def _demands(module: AnsibleModule) -> Demands:
    try:
        return parsed_demands(*[module.params[name] for name in ("reserved", "within", "declared")])
    except ValueError as exc:
        return module.fail_json(msg=f"{exc}.")


if __name__ == "__main__":
    main()
