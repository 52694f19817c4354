# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the hosts of a Molecule scenario from the inventory of a site."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import ControllerAction, plan_arguments
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import invalid
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.stand_ins import StandIn, stand_ins

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]", re.ASCII)  # of containers


class ActionModule(ControllerAction):
    """`hpc.ports.molecule_info`; documented in plugins/modules/molecule_info.py."""

    ARGUMENTS = {**plan_arguments("plan"), "each": {"type": "int", "default": 1}}

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the hosts, and from where Ansible connects."""
        if options["each"] < 1:
            raise invalid("molecule_each", options["each"], "1 or more")
        chosen = stand_ins(self.store(options["plan"]).plan(), options["each"])
        return {
            "changed": False,
            "hosts": {host.host: _host(host) for host in chosen.hosts},
            "controller": {**chosen.controller._asdict(), "addresses": list(chosen.controller.addresses)},
            "left_out": chosen.left_out,
        }


def _host(host: StandIn) -> dict[str, Any]:
    return {
        "class": host.class_name,
        "container": _NOT_IN_NAMES.sub("-", host.host),
        "address": host.address,
        "addresses": list(host.addresses),
        "reached": list(host.reached),
        "comes_from": list(host.comes_from),
        "backend": host.backend,
    }
