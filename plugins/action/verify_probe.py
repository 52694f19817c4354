# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the probes of a host, and show the progress of the whole run."""

from __future__ import annotations

from typing import Any

from ansible import constants as C
from ansible.plugins.action import ActionBase
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown_result
from ansible_collections.hpc.ports.plugins.plugin_utils._apply.garbage import uncollected
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.store import Store


class ActionModule(ActionBase):
    """`hpc.ports.verify_probe`; documented in plugins/modules/verify_probe.py."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the result of the module."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        progress = arguments.pop("progress", None)
        with uncollected():
            result = shown_result(self._execute_module(module_args=arguments, task_vars=task_vars))
        if progress and "results" in result:
            tried = sum(len(group["ports"]) for group in arguments["probes"])
            done, connections = Store(C.DEFAULT_LOCAL_TMP, progress["plan"]).added(progress["run"], tried)
            if _completes_a_tenth(done, progress["hosts"]):
                self._display.display(
                    f"verify: {done} of {progress['hosts']} hosts are done, {connections} of {progress['connections']} "
                    "connections tried"
                )
        return result


def _completes_a_tenth(done: int, hosts: int) -> bool:
    """Return whether this host completes another tenth of the hosts, for at most ten lines of progress."""
    return done * 10 // hosts > (done - 1) * 10 // hosts
