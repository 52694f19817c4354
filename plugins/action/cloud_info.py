# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the plan as the security groups of a cloud."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.clouds import CLOUDS, export
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import (
    ControllerAction,
    plan_arguments,
    write_file,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, invalid, nearest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.play_variables import play_variables


class ActionModule(ControllerAction):
    """`hpc.ports.cloud_info`; documented in plugins/modules/cloud_info.py."""

    ARGUMENTS = {
        **plan_arguments("plan"),
        "cloud": {"type": "str", "required": True, "choices": list(CLOUDS)},
        "hosts": {"type": "list", "elements": "str", "default": []},
        "prefix": {"type": "str", "default": "hpc-ports"},
        "references": {"type": "bool", "default": True},
        "file": {"type": "path", "default": ""},
    }
    VARIABLES = {**play_variables("cloud"), "cloud": "cloud"}

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the groups. The file is written in check mode as well: it is the result, not a change."""
        plan = self.store(options["plan"]).plan()
        cloud = options["cloud"]
        named = options["hosts"] or _usual(cloud, task_vars["groups"]) or list(plan.hosts)
        hosts = _hosts(named, task_vars["groups"])
        written = export(plan, cloud, hosts, options["prefix"], options["references"])
        if options["file"]:
            write_file(options["file"], written.text, "cloud_file")
            self.show_written([options["file"]])
        else:
            self._display.display(f"\n{written.text}")
        return {"changed": False, "warnings": written.warnings, "text": written.text, "groups": written.groups}


def _usual(cloud: str, groups: Collection[str]) -> Sequence[str]:
    """Return the groups that are in a cloud by default; empty for all hosts. Raise PortFileError if one is missing."""
    usual = CLOUDS[cloud].usual_hosts
    if missing := [name for name in usual if name not in groups]:
        raise PortFileError(
            f"cloud_hosts is not set, and the inventory has no group {missing[0]}, which {cloud} has by default. Name "
            "the groups or hosts that are in the cloud, such as -e cloud_hosts=slurm_compute."
        )
    return usual


def _hosts(names: Iterable[str], groups: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the hosts of these groups, and the hosts with these names. Raise PortFileError for another name."""
    found: set[str] = set()
    for name in names:
        if name not in groups and name not in groups["all"]:
            raise invalid("cloud_hosts", name, "a group or a host of the inventory", nearest(name, groups))
        found.update(groups.get(name, [name]))
    return found
