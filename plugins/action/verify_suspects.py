# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the packets to judge on hosts, because a connection did not end as the plan expects."""

from __future__ import annotations

from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import ControllerAction, plan_arguments
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.registered import registered, suspects
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.suspects import as_options

_PHASES = ("probed", "stopped", "compared")


class ActionModule(ControllerAction):
    """`hpc.ports.verify_suspects`; documented in plugins/modules/verify_suspects.py."""

    ARGUMENTS = plan_arguments("plan", "run", *_PHASES)

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the packets by host; none in check mode."""
        if self._task.check_mode:
            return {"changed": False, "skipped": True, "packets": {}}
        store = self.store(options["plan"])
        verify_run = store.whole(options["run"])
        names = {phase: options[phase] for phase in _PHASES}
        answers = registered(names, verify_run.options.hosts, task_vars["hostvars"].raw_get)
        packets = suspects(store.plan(), verify_run, answers)
        return {"changed": False, "packets": {host: as_options(host_packets) for host, host_packets in packets.items()}}
