#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall_cut
short_description: "Internal: cut connections that the firewall no longer allows"
version_added: 0.3.0
description:
  - Internal. The action plugin of M(hpc.ports.firewall) runs this module within its own task, after a change is
    confirmed, if O(hpc.ports.firewall#module:cut_established) is set. No playbook needs it.
  - Cuts the established connections of the host and its containers that a policy does not allow.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.host
attributes:
  check_mode:
    support: none
    details: There is nothing to cut in check mode.
  diff_mode:
    support: none
    details: Connections are not part of the configuration.
options:
  policy:
    description: The policy of this host, which it already runs.
    type: dict
    required: true
seealso:
  - module: hpc.ports.firewall
  - module: hpc.ports.firewall_confirm
"""

EXAMPLES = r"""
- name: Cut connections, as the action plugin of the module firewall does after a change
  hpc.ports.firewall_cut:
    policy: "{{ policy }}"
  become: true
"""

RETURN = r"""
connections_cut:
  description: The connections that were cut.
  returned: success
  type: list
  elements: str
  sample: ["tcp 10.64.9.9:51000 -> 10.20.0.2:6817"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.ports.plugins.module_utils._apply import uncut
from ansible_collections.hpc.ports.plugins.module_utils._apply.cut_connections import cut_connections
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import PolicyError, parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown


def main() -> None:
    """Cut the connections, and forget that they are left to be cut."""
    module = AnsibleModule(argument_spec={"policy": {"type": "dict", "required": True}})
    try:
        done = cut_connections(parse_policy(module.params["policy"]))
        uncut.forget()
    except (PolicyError, OSError) as exc:
        module.fail_json(msg=shown(str(exc)))
    if done.not_done:
        module.warn(shown(done.not_done))
    module.exit_json(changed=bool(done.connections), connections_cut=list(map(shown, done.connections)))


if __name__ == "__main__":
    main()
