# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send a host its policy and nothing else: one module execution; and a second one to confirm what has changed."""

from __future__ import annotations

import uuid
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.plugins.connection import ConnectionBase

from ansible_collections.hpc.ports.plugins.plugin_utils.confirmation import (
    UNSEEN,
    final_answer,
    may_have_begun,
    with_answer,
)
from ansible_collections.hpc.ports.plugins.plugin_utils.own_addresses import known_addresses, unknown_warnings
from ansible_collections.hpc.ports.plugins.plugin_utils.store import Store


class ActionModule(ActionBase):
    """`hpc.ports.firewall`; documented in plugins/modules/firewall.py."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the module says, and how a change was confirmed."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if arguments.get("state", "present") == "absent":
            return self._execute_module(module_args=arguments, task_vars=task_vars)
        plan, host = arguments.pop("plan", None), (task_vars or {})["inventory_hostname"]
        policy = self._policy(plan, host)
        arguments.update(policy=policy, transport=self._connection.transport, token=uuid.uuid4().hex)
        try:
            result = self._execute_module(module_args=arguments, task_vars=task_vars)
        except AnsibleConnectionFailure as exc:
            if self._task.check_mode or not may_have_begun(exc):
                raise
            return self._confirmed({"warnings": [UNSEEN]}, arguments, task_vars, exc)
        said = result.pop("own_addresses", None)
        if said:
            known = Store(C.DEFAULT_LOCAL_TMP, plan).part("known-addresses", host, known_addresses)
            result["warnings"] = result.get("warnings", []) + unknown_warnings(host, said, known)
        return self._confirmed(result, arguments, task_vars) if result.pop("pending", None) else result

    def _confirmed(self, result: dict[str, Any], arguments: dict[str, Any], task_vars: dict[str, Any] | None,
                   loss: AnsibleConnectionFailure | None = None) -> dict[str, Any]:
        """Return the result with what became of the change: `loss` is how the connection ended meanwhile, if it did."""
        def ask() -> dict[str, Any]:
            if type(self._connection).reset is not ConnectionBase.reset:
                self._connection.reset()
            return self._execute_module(module_name="hpc.ports.confirm", module_args={"token": arguments["token"]},
                                        task_vars=task_vars)

        answer = final_answer(ask, int(arguments.get("confirm_within", 30)), str(loss or ""))
        if loss and answer.result["status"] == "unknown":
            raise loss
        return with_answer(result, answer)

    def _policy(self, key: str | None, host: str) -> dict[str, Any]:
        if not key:
            raise AnsibleActionFail("Missing option plan: give the key that hpc.ports.plan returned.")
        policy = Store(C.DEFAULT_LOCAL_TMP, key).policy(host)
        if policy is None:
            raise AnsibleActionFail(
                f"Host {host} has no policy in this plan: it is in none of the canonical groups. Put it in one, or "
                "leave it out of the play."
            )
        return policy
