#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall_confirm
short_description: Keep a change of the firewall that still awaits its confirmation
version_added: 0.1.0
description:
  - Says over a new connection that a change of M(hpc.ports.firewall) has not locked anybody out. Then the host keeps
    the change, also over a reboot; else it undoes the change by itself.
  - The action plugin of M(hpc.ports.firewall) runs this module by itself, within its task. No playbook needs it.
author:
  - The hpc.ports authors (@hpc-ports)
attributes:
  check_mode:
    support: none
    description: There is nothing to confirm in check mode.
  diff_mode:
    support: none
    description: The change is already made.
  platform:
    support: full
    platforms: linux
    description: Needs Python 3.9 or later on the host.
options:
  token:
    description: The name of the change, from the result of the module that made it.
    type: str
    required: true
seealso:
  - module: hpc.ports.firewall
"""

EXAMPLES = r"""
- name: What the action plugin of the firewall does over a new connection
  hpc.ports.firewall_confirm:
    token: 0f3c1b2a4d5e6f708192a3b4c5d6e7f8
  become: true
"""

RETURN = r"""
status:
  description:
    - V(confirmed), the host keeps the change.
    - V(not new), this is the ssh connection that the change was made over, or none that can be told apart from it, so
      it proves nothing.
    - V(not made), whoever began the change has not come to its end, so there is nothing to keep.
    - V(altered), what runs is not what was applied any more, such as after a restart of firewalld.
    - V(reverted), the host has undone the change.
    - V(unknown), the host does not know of such a change. It may have been restarted since.
  returned: success
  type: str
  sample: confirmed
confirmed_from:
  description:
    - The connection of this task, as the host sees it. Empty where it was no ssh connection, or Ansible ran on the host
      itself.
  returned: when a change awaited confirmation
  type: str
  sample: 10.0.0.9 port 51234
seconds:
  description: How long the change could be confirmed.
  returned: when the host has undone the change
  type: int
client:
  description: The address that the change came from, as the host saw it. Empty where it was no ssh connection.
  returned: when the host has undone the change
  type: str
advice:
  description: What the policy lacked for that address. Empty where it lacked nothing.
  returned: when the host has undone the change
  type: str
ran_for:
  description: How long the module ran, seconds; the rest of its time the task needed to get to the host.
  returned: success
  type: float
connections_cut:
  description: The connections that were cut, as the change asked for.
  returned: when the change is confirmed and asked for it
  type: list
  elements: str
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.ports.plugins.module_utils._apply.confirm import confirm
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import returned, shown


def main() -> None:
    """Confirm, and say what became of the change."""
    began = time.monotonic()
    module = AnsibleModule(argument_spec={"token": {"type": "str", "required": True, "no_log": False}})
    try:
        result = confirm(module.params["token"])
    except (OSError, RuntimeError) as exc:
        module.fail_json(msg=shown(str(exc)))
    result = returned(result)
    result["ran_for"] = time.monotonic() - began
    if "msg" in result:
        module.fail_json(**result)
    module.exit_json(changed=result["status"] == "confirmed", **result)


if __name__ == "__main__":
    main()
