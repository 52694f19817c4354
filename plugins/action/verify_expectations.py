# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell a host its tasks in a run of verify: where to listen and what to probe."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.hpc.ports.plugins.module_utils._model.names import digest
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.host_tasks import Limits, VerifyOptions, new_run
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import ControllerAction, plan_arguments
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.registered import published_of


class ActionModule(ControllerAction):
    """`hpc.ports.verify_expectations`; documented in plugins/modules/verify_expectations.py."""

    ARGUMENTS = {
        **plan_arguments("plan"),
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

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the tasks of this host."""
        self._check_strategy()
        host = task_vars["inventory_hostname"]
        _check_takes_part(host, options["hosts"])
        run_options = _run_options(options, task_vars["ansible_forks"])
        name = f"verify-{digest(run_options)}"
        part = self.store(options["plan"]).part(
            name,
            host,
            lambda plan: new_run(
                plan, run_options, published_of(run_options.hosts, options["firewalls"], task_vars["hostvars"].raw_get)
            ),
        )
        part["progress"].update(plan=options["plan"], run=name)
        return {"changed": False, "run": name, **part}

    def _check_strategy(self) -> None:
        strategy = self._task.get_play().strategy
        if strategy.rpartition(".")[2] in ("free", "host_pinned"):
            raise AnsibleActionFail(
                f"Invalid strategy of the play: got {strategy!r}, expected 'linear', because every host has to listen "
                "before the first one probes."
            )


def _check_takes_part(host: str, hosts: list[str]) -> None:
    if host not in hosts:
        raise AnsibleActionFail(
            f"Invalid hosts: got a list without {host}, expected {host} in it, because the task runs for this host."
        )


def _run_options(options: dict[str, Any], forks: int) -> VerifyOptions:
    limits = Limits(**{name: options[name] for name in Limits._fields if name in options}, forks=forks)
    return VerifyOptions(tuple(options["hosts"]), options["query"], options["mode"] == "passive", limits)
