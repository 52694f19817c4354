# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the hosts of a Molecule scenario from the inventory of a site."""

from __future__ import annotations

from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import ControllerAction, plan_arguments
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import invalid
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.stand_ins import stand_ins


class ActionModule(ControllerAction):
    """`hpc.ports.molecule_info`; documented in plugins/modules/molecule_info.py."""

    ARGUMENTS = {**plan_arguments("plan"), "each": {"type": "int", "default": 1}}

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the hosts, and from where Ansible connects."""
        if options["each"] < 1:
            raise invalid("molecule_each", options["each"], "1 or more")
        chosen, controller = stand_ins(self.store(options["plan"]).plan(), options["each"])
        hosts = {
            host.host: {"class": host.class_name, "addresses": list(host.addresses), "backend": host.backend}
            for host in chosen
        }
        return {"changed": False, "hosts": hosts, "controller": controller._asdict()}
