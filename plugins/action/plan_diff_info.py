# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare two plans and return the hosts whose policies differ."""

from __future__ import annotations

from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import ControllerAction, plan_arguments
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.plan_diff import (
    comparison_of,
    sample_of,
    sentences,
)


class ActionModule(ControllerAction):
    """`hpc.ports.plan_diff_info`; documented in plugins/modules/plan_diff_info.py."""

    ARGUMENTS = {**plan_arguments("before", "after"), "sample": {"type": "bool", "default": False}}

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the hosts that differ, and what changes on each."""
        before, after = (self.store(options[name]).plan() for name in ("before", "after"))
        comparison = comparison_of(before, after)
        return {
            "changed": False,
            "hosts_added": list(comparison.added),
            "hosts_removed": list(comparison.removed),
            "hosts_changed": comparison.changed,
            "changes": {host: difference.changes for difference in comparison.differences for host in difference.hosts},
            "reasons": sentences(comparison),
            "sample": sample_of(after, comparison.added) if options["sample"] else [],
        }
