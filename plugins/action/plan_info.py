# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compile the plan of the whole inventory on the controller."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._lint.rules import findings
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import ControllerAction
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.managed_hosts import managed_text
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.role_variables import ROLES, check_role_variables
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.site_plan import site_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.store import Store, store_key
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, listed
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.hostvars import ReadOnce, check_play, without_hosts
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.play_variables import PLAYBOOKS


class ActionModule(ControllerAction):
    """`hpc.ports.plan_info`; documented in plugins/modules/plan_info.py."""

    ARGUMENTS = {
        "lint": {"type": "bool", "default": False},
        "report_only": {"type": "bool", "default": False},
        "roles": {"type": "list", "elements": "str", "choices": sorted(ROLES), "default": ["firewall"]},
        "variables_of": {"type": "list", "elements": "str", "choices": list(PLAYBOOKS), "default": []},
        "warn": {"type": "bool", "default": True},
        "without": {"type": "list", "elements": "str", "default": []},
    }

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the key of the plan, and what lint advises."""
        without = options["without"]
        check_play(task_vars["inventory_hostname"], task_vars)
        unknown = self.unknown_variables(options["variables_of"])
        variables = without_hosts(task_vars, without) if without else task_vars
        task = f"{self._task._uuid}-report" if options["report_only"] else self._task._uuid
        store = self.store(store_key(task, variables))
        store.made(lambda: self._plan(variables, options))
        result = _result(store, options["lint"], options["warn"])
        return {**result, "warnings": [*unknown, *result.get("warnings", [])]}

    def _plan(self, task_vars: Mapping[str, Any], options: Mapping[str, Any]) -> Plan:
        without = options["without"]
        task_vars = {**task_vars, "hostvars": ReadOnce(task_vars["hostvars"], ROLES)}
        try:
            plan = site_plan(task_vars, options["report_only"])
            check_role_variables(options["roles"], task_vars, self._templar.template)
        except PortFileError as exc:
            if without:
                raise PortFileError(f"Without {listed(without)}: {exc}") from exc
            raise
        return plan


def _result(store: Store, lint: bool, warn: bool) -> dict[str, Any]:
    if not (lint or warn):
        return {"changed": False, "key": store.key, "managed": store.kept("managed", managed_text, report_only=True)}
    managed, advice = store.kept("told", _told, report_only=True)
    result = {"changed": False, "key": store.key, "managed": managed}
    if lint:
        return {**result, "findings": advice}
    warnings = [
        f"{finding['subject']}: {finding['message']}"
        for finding in advice
        if finding["severity"] in ("error", "warning")
    ]
    return {**result, "warnings": warnings}


def _told(plan: Plan) -> tuple[str, list[dict[str, Any]]]:
    return managed_text(plan), [finding._asdict() for finding in findings(plan, date.today())]
