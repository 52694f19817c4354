# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell a host its part in proving a plan: what to listen on and what to probe."""

from __future__ import annotations

from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import digest

try:
    from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.host_tasks import Limits, Order, begun
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.store import Store
    from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
    from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.registered import published_of

    MISSING: ImportError | None = None
except ImportError as exc:
    MISSING = exc


class ActionModule(ActionBase):
    """`hpc.ports.verify_expectations`; documented in plugins/modules/verify_expectations.py."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the part of this host."""
        super().run(tmp, task_vars)
        if MISSING:
            raise AnsibleActionFail(str(MISSING))
        task_vars = task_vars or {}
        self._check_strategy()
        found, options = self.validate_argument_spec(
            {
                "plan": {"type": "str", "required": True},
                "hosts": {"type": "list", "elements": "str", "required": True},
                "query": {"type": "str", "default": ""},
                "mode": {"type": "str", "choices": ["active", "passive"], "default": "active"},
                "timeout": {"type": "float", "default": 1.0},
                "attempts": {"type": "int", "default": 2},
                "concurrency": {"type": "int", "default": 1000},
                "rate": {"type": "float", "default": 300.0},
                "most": {"type": "int", "default": 50000},
                "firewalls": {"type": "list", "elements": "str", "default": []},
            }
        )
        host = task_vars["inventory_hostname"]
        if host not in options["hosts"]:
            raise AnsibleActionFail(
                f"Invalid hosts: got {len(options['hosts'])} without {host}, expected {host} among "
                "them, because its part is asked for."
            )
        order = Order(
            tuple(options["hosts"]),
            options["query"],
            options["mode"] == "passive",
            Limits(
                **{name: options[name] for name in Limits._fields if name in options}, forks=task_vars["ansible_forks"]
            ),
        )
        name = f"verify-{digest(order)}"
        store = Store(C.DEFAULT_LOCAL_TMP, options["plan"])
        try:
            part = store.part(
                name,
                host,
                lambda plan: begun(
                    plan, order, published_of(order.hosts, options["firewalls"], task_vars["hostvars"].raw_get)
                ),
            )
        except PortFileError as exc:
            raise AnsibleActionFail(str(exc)) from exc
        part["progress"].update(plan=options["plan"], run=name)
        return {"changed": False, "run": name, **part}

    def _check_strategy(self) -> None:
        strategy = self._task.get_play().strategy
        if strategy.rpartition(".")[2] in ("free", "host_pinned"):
            raise AnsibleActionFail(
                f"Invalid strategy of the play: got {strategy!r}, expected 'linear', because every "
                "host has to listen before the first one probes."
            )
