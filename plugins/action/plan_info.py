# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compile the plan of the whole inventory, on the controller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import connection_loader
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.libraries import check_libraries

try:
    check_libraries()
    from ansible_collections.hpc.ports.plugins.plugin_utils._lint.rules import findings
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan, compile_plan
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.store import Store, store_key
    from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, listed
    from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.hostvars import (
        PORT_FILE,
        check_play,
        site_catalogue,
        site_inventory,
        without_hosts,
    )
    from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.ssh_variables import SSH_ARGUMENTS

    MISSING: ImportError | None = None
except ImportError as exc:
    MISSING = exc


class ActionModule(ActionBase):
    """`hpc.ports.plan_info`; documented in plugins/modules/plan_info.py."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the key of the plan, and what lint says of it."""
        super().run(tmp, task_vars)
        if MISSING:
            raise AnsibleActionFail(str(MISSING))
        found, options = self.validate_argument_spec(
            {
                "lint": {"type": "bool", "default": False},
                "without": {"type": "list", "elements": "str", "default": []},
            }
        )
        task_vars = task_vars or {}
        try:
            check_play(task_vars["inventory_hostname"], task_vars)
            kept = without_hosts(task_vars, options["without"]) if options["without"] else task_vars
            store = Store(C.DEFAULT_LOCAL_TMP, store_key(self._task._uuid, kept))
            store.made(lambda: self._plan(kept, options["without"]))
        except PortFileError as exc:
            raise AnsibleActionFail(str(exc)) from exc
        return self._result(store, options["lint"])

    def _plan(self, task_vars: Mapping[str, Any], without: Sequence[str]) -> Plan:
        shipped = self._loader.load_from_file(str(PORT_FILE))
        try:
            return compile_plan(site_catalogue(shipped, task_vars), site_inventory(task_vars, _ssh_settings()))
        except PortFileError as exc:
            if without:
                raise PortFileError(f"Without {listed(without)}: {exc}") from exc
            raise

    def _result(self, store: Store, lint: bool) -> dict[str, Any]:
        found = store.kept("findings", lambda plan: [item._asdict() for item in findings(plan, date.today())])
        if lint:
            return {"changed": False, "key": store.key, "findings": found}
        return {
            "changed": False,
            "key": store.key,
            "warnings": [f"{item['subject']}: {item['message']}" for item in found if item["severity"] != "note"],
        }


def _ssh_settings() -> dict[str, Any]:
    """Return what ansible.cfg, the environment and the command line say, by the variables that come before it."""
    connection_loader.get("ssh", class_only=True)  # loads the definitions of its settings
    names = {"ansible_port": "port", **{name: name.replace("ansible_", "", 1) for name in SSH_ARGUMENTS}}
    return {
        variable: C.config.get_config_value(name, plugin_type="connection", plugin_name="ssh")
        for variable, name in names.items()
    }
