#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall_confirm
short_description: "Internal: confirm a change of the firewall over a new connection"
version_added: 0.2.0
description:
  - Internal. The action plugin of M(hpc.ports.firewall) runs this module within its own task; no playbook needs it.
  - Confirms over a new connection that a change of M(hpc.ports.firewall) has locked nobody out. The host then keeps the
    change, also after a reboot. Without a confirmation the host undoes the change by itself.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.host
attributes:
  check_mode:
    support: none
    details: There is nothing to confirm in check mode.
  diff_mode:
    support: none
    details: The change has already been made.
options:
  token:
    description: Name of the change, from the result of M(hpc.ports.firewall).
    type: str
    required: true
seealso:
  - module: hpc.ports.firewall
  - module: hpc.ports.firewall_cut
"""

EXAMPLES = r"""
- name: Confirm a change, as the action plugin of the module firewall does over a new connection
  hpc.ports.firewall_confirm:
    token: 0f3c1b2a4d5e6f708192a3b4c5d6e7f8
  become: true
"""

RETURN = r"""
status:
  description:
    - V(confirmed), the host keeps the change.
    - V(not new), this connection is the one over which the change was made, or cannot be distinguished from it, so it
      proves nothing.
    - V(not made), the task that began the change did not finish, so there is nothing to keep.
    - V(altered), the running rules are no longer those that were applied, for example after a restart of firewalld.
    - V(reverted), the host has undone the change.
    - V(other format), another version of the collection made the change. The host has undone it.
    - V(unknown), the host does not know the change. It may have rebooted since.
  returned: success
  type: str
  sample: confirmed
confirmed_from:
  description:
    - The connection of this task, as the host sees it. Empty if it is no ssh connection, or if Ansible runs on the host
      itself.
  returned: when a change awaited confirmation
  type: str
  sample: 10.0.0.9 port 51234
seconds:
  description: Seconds within which the change could be confirmed.
  returned: when the host has undone the change
  type: int
client:
  description: The address from which the change was made, as the host saw it. Empty if it was no ssh connection.
  returned: when the host has undone the change
  type: str
advice:
  description: What the policy lacked for this address. Empty if it lacked nothing.
  returned: when the host has undone the change
  type: str
ran_for:
  description: Seconds that the module ran. The task needed the rest of its time to connect to the host.
  returned: success
  type: float
cuts:
  description: Connections that are no longer allowed are to be cut, with M(hpc.ports.firewall_cut).
  returned: when the change is confirmed and requested it
  type: bool
leaves:
  description: The other backend has rules of ours. M(hpc.ports.firewall) is to run again, and removes them.
  returned: when the change is confirmed and the other backend has rules of ours
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.ports.plugins.module_utils._apply.confirm import module_result


def main() -> None:
    """Confirm the change, and return whether the host keeps it."""
    module = AnsibleModule(argument_spec={"token": {"type": "str", "required": True, "no_log": False}})
    result = module_result(module.params["token"])
    if result.pop("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
