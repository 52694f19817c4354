# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what opens and closes on the hosts of a play, from what the module firewall returned on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import ControllerAction, plan_arguments
from ansible_collections.hpc.ports.plugins.plugin_utils._report.changes import change_lines, host_changes


class ActionModule(ControllerAction):
    """`hpc.ports.changes_info`; documented in plugins/modules/changes_info.py."""

    ARGUMENTS = {**plan_arguments("plan"), "registered": {"type": "str", "default": "firewall_result"}}

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the changes. Each host is shown once, also where the task runs for each host."""
        store = self.store(options["plan"])
        results = _results(options["registered"], task_vars)
        caller = self._task._uuid + task_vars["inventory_hostname"]
        asked = store.first("changes", caller, results)
        plan = store.plan() if results else None
        changes = host_changes(plan, {host: results[host] for host in results if asked[host] == caller}) if plan else []
        lines = change_lines(changes, task_vars["groups"])
        if lines:
            head = "What a run without --check changes:" if self._task.check_mode else "What has changed:"
            self._display.display("\n".join(["", head, *(f"  {line}" for line in lines), ""]))
        return {
            "changed": False,
            "lines": lines,
            "changes": [{"hosts": list(change.hosts), "text": change.text} for change in changes],
        }


def _results(name: str, task_vars: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was registered on the hosts of this batch that changed."""
    hostvars = task_vars["hostvars"]
    results = {host: hostvars.raw_get(host).get(name) for host in task_vars["ansible_play_batch"]}
    return {
        host: result
        for host, result in results.items()
        if isinstance(result, Mapping) and result.get("changed") and not result.get("failed")
    }
