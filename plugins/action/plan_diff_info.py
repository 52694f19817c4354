# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell whose policy two plans differ in, and how."""

from __future__ import annotations

from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

try:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.store import Store
    from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.plan_diff import (
        comparison_of,
        sample_of,
        sentences,
    )

    MISSING: ImportError | None = None
except ImportError as exc:
    MISSING = exc


class ActionModule(ActionBase):
    """`hpc.ports.plan_diff_info`; documented in plugins/modules/plan_diff_info.py."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the hosts that differ."""
        super().run(tmp, task_vars)
        if MISSING:
            raise AnsibleActionFail(str(MISSING))
        found, options = self.validate_argument_spec(
            {
                "before": {"type": "str", "required": True},
                "after": {"type": "str", "required": True},
                "sample": {"type": "bool", "default": False},
            }
        )
        before, after = (Store(C.DEFAULT_LOCAL_TMP, options[name]).plan() for name in ("before", "after"))
        comparison = comparison_of(before, after)
        return {
            "changed": False,
            "hosts_added": list(comparison.added),
            "hosts_removed": list(comparison.removed),
            "hosts_changed": comparison.changed,
            "changes": {host: item.changes for item in comparison.differences for host in item.hosts},
            "reasons": sentences(comparison),
            "sample": sample_of(after, comparison.added) if options["sample"] else [],
        }
