# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send a host its own policy in one module execution, and confirm a change over a new connection.

The same task installs packages that the backend lacks, and fixes ephemeral ports: tasks of their own would cost time on
each host, though few hosts need them.
"""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.plugins.connection import ConnectionBase
from ansible_collections.hpc.ports.plugins.module_utils._model.confirm_script import confirm_command, parse_confirmation
from ansible_collections.hpc.ports.plugins.module_utils._model.quick_check import check_script, parse_answer
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_result
from ansible_collections.hpc.ports.plugins.plugin_utils._apply.batches import with_batches
from ansible_collections.hpc.ports.plugins.plugin_utils._apply.confirmation import (
    UNSEEN,
    PendingChange,
    explained,
    final_answer,
    may_have_begun,
    named,
    timed,
    with_answer,
    with_cut,
    with_name,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._apply.diffs import shown_once
from ansible_collections.hpc.ports.plugins.plugin_utils._apply.ephemeral import Needs, conflicts, fixes, parsed_needs
from ansible_collections.hpc.ports.plugins.plugin_utils._apply.garbage import uncollected
from ansible_collections.hpc.ports.plugins.plugin_utils._apply.unknown_addresses import (
    known_addresses,
    unknown_warnings,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._apply.wanted_key import wanted_key
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.store import Store
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError

_STAY = "{0} has its firewall, but its ephemeral ports stay: {1}"
_WOULD_STAY = "{0}: its ephemeral ports would stay: {1}"


class ActionModule(ActionBase):
    """`hpc.ports.firewall`; documented in plugins/modules/firewall.py."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the result of the module and of the confirmation; a failure names the hosts left in the play."""
        super().run(tmp, task_vars)
        try:
            result = self._result(task_vars)
        except (AnsibleActionFail, AnsibleConnectionFailure) as exc:
            # Ansible adds the text of a cause to that of an error.
            raise type(exc)(with_batches(shown(str(exc).strip()), task_vars or {})) from None
        if result.get("failed"):
            result["msg"] = with_batches(str(result.get("msg", "")), task_vars or {})
        return result

    def _result(self, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        arguments = dict(self._task.args)
        needs, declared = arguments.pop("port_needs", None) or {}, arguments.pop("declared_range", None) or ""
        install = arguments.pop("install", False)
        host = (task_vars or {})["inventory_hostname"]
        if arguments.get("state", "present") == "absent":
            return self._with_diff_once(host, self._module("firewall", arguments, task_vars))
        # Before the host is changed.
        try:
            needs, installs = parsed_needs(needs, declared), boolean(install)
        except (PortFileError, TypeError) as exc:
            raise AnsibleActionFail(f"Invalid install: {exc}" if isinstance(exc, TypeError) else str(exc)) from None
        store = self._store(arguments.pop("plan", None))
        arguments.update(policy=_policy(store, host), transport=self._connection.transport)
        result = self._applied(host, arguments, task_vars)
        if installs and result.get("missing_packages"):
            result = self._after_installation(host, result["missing_packages"], arguments, task_vars)
        result = with_name(result, partial(_host_at, store))
        own_addresses = result.pop("own_addresses", None)
        if own_addresses:
            known = store.part("known-addresses", host, known_addresses)
            result["warnings"] = result.get("warnings", []) + unknown_warnings(host, own_addresses, known)
        return self._with_ephemeral_ports(host, self._with_diff_once(host, result), needs, declared, task_vars)

    def _with_diff_once(self, host: str, result: dict[str, Any]) -> dict[str, Any]:
        """Return the result without the parts of its diff that another host of the run has shown."""
        if not (self._task.diff and result.get("diff")):
            return result
        run = Store(C.DEFAULT_LOCAL_TMP, "run")  # for all plans of the run
        return {**result, "diff": shown_once(result["diff"], host, partial(run.first, "diff", host))}

    def _after_installation(
        self, host: str, packages: list[str], wanted: dict[str, Any], task_vars: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Return the result of a host after it got the packages that its backend lacked; in check mode, a warning."""
        names = ", ".join(packages)
        if self._task.check_mode:
            text = f"{host} does not have {names}. A real run installs this and then gives the host its firewall."
            return {"changed": True, "missing_packages": packages, "warnings": [text]}
        try:
            installed = self._installed(packages, task_vars)
        except AnsibleActionFail as exc:
            installed = {"failed": True, "msg": str(exc)}
        if installed.get("failed"):
            reason = str(installed.get("msg", "")).strip()
            raise AnsibleActionFail(f"Cannot install {names}, which the firewall of {host} needs: {reason}")
        result = self._applied(host, wanted, task_vars)
        return {**result, "changed": bool(installed.get("changed") or result.get("changed"))}

    def _installed(self, packages: list[str], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Return what Ansible's own action says that installs packages with the package manager of the host."""
        task = self._task.copy()
        task.args = {"name": packages, "state": "present", "update_cache": True}
        action = self._shared_loader_obj.action_loader.get(
            "ansible.builtin.package",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        return dict(action.run(task_vars=task_vars))

    def _with_ephemeral_ports(
        self, host: str, result: dict[str, Any], needs: Needs, declared: str, task_vars: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Return the result with the conflicts of its ephemeral ports, after those were fixed that are to be."""
        if result.get("failed") or not needs:
            return result
        options = fixes(result, needs)
        if options:
            try:
                fixed = self._module("ephemeral_ports", options, task_vars)
            except (AnsibleActionFail, AnsibleConnectionFailure) as exc:
                fixed = {"failed": True, "msg": str(exc)}
            result = _with_fix(host, result, fixed, self._task.check_mode)
        # What could not be fixed has been said.
        found = [] if result.get("failed") else conflicts(host, result, needs, declared)
        return {**result, "warnings": [*result.get("warnings", []), *found]} if found else result

    def _applied(self, host: str, wanted: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        key = wanted_key(wanted)
        unchanged, first = timed(lambda: self._unchanged(key))
        if unchanged:
            return named(host, shown_result(unchanged))
        result = self._changed(host, {**wanted, "token": uuid.uuid4().hex, "key": key}, first, task_vars)
        return self._finished(host, result, wanted, task_vars)

    def _changed(
        self, host: str, arguments: dict[str, Any], first: float, task_vars: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Return the result of the module, after a confirmation if it needs one; `first` seconds were a login."""
        seconds = int(arguments.get("confirm_within", 30))
        try:
            result, more = timed(lambda: self._module("firewall", arguments, task_vars))
        except AnsibleConnectionFailure as exc:
            if self._task.check_mode or not may_have_begun(exc):
                raise
            return self._confirmed(
                PendingChange(host, named(host, {"warnings": [UNSEEN]}), seconds, loss=exc), arguments, task_vars
            )
        if not result.pop("pending", None):
            return result
        # The first of the two connects.
        return self._confirmed(PendingChange(host, result, seconds, first + more), arguments, task_vars)

    def _unchanged(self, key: str) -> dict[str, Any]:
        """Return the result of the last run if the host is as this run found it; otherwise, nothing."""
        return parse_answer(self._low_level_execute_command(check_script(key))["stdout"]) or {}

    def _confirmed(
        self, change: PendingChange, arguments: dict[str, Any], task_vars: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Return the result, with the outcome of the change: confirmed, or undone by the host."""

        def ask() -> dict[str, Any]:
            if type(self._connection).reset is not ConnectionBase.reset:
                self._connection.reset()
            token = arguments["token"]
            return self._kept_answer(token) or self._module("firewall_confirm", {"token": token}, task_vars)

        answer = final_answer(ask, change)
        if change.loss and answer.result["status"] == "unknown":
            raise change.loss
        return with_answer(change, answer)

    def _kept_answer(self, token: str) -> dict[str, Any]:
        """Return the result of the confirmation by the code that the host has kept; nothing if it has kept none."""
        answer = parse_confirmation(self._low_level_execute_command(confirm_command(token))["stdout"])
        return shown_result(answer or {})

    def _finished(
        self, host: str, result: dict[str, Any], wanted: dict[str, Any], task_vars: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Return the result, after what few changes need: what confirms each change is small without it."""
        cuts, leaves = result.pop("cuts", False), result.pop("leaves", False)
        if cuts:
            result = with_cut(result, self._module("firewall_cut", {"policy": wanted["policy"]}, task_vars))
        if leaves and not result.get("failed"):
            # Another run removes our rules from the other backend, as it does after one that was interrupted here.
            again = self._applied(host, wanted, task_vars)
            result.update({name: again[name] for name in ("failed", "msg") if name in again})
        return result

    def _module(self, name: str, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        with uncollected():
            result = self._execute_module(module_name=f"hpc.ports.{name}", module_args=arguments, task_vars=task_vars)
        return named((task_vars or {})["inventory_hostname"], shown_result(explained(result)))

    def _store(self, key: str | None) -> Store:
        if not key:
            raise AnsibleActionFail("Missing option plan: give the key that hpc.ports.plan_info returned.")
        return Store(C.DEFAULT_LOCAL_TMP, key)


def _host_at(store: Store, address: str) -> str:
    # The plan is read only here, because reading takes time and is seldom needed.
    return store.plan().addresses.host_at(address)


def _with_fix(host: str, result: dict[str, Any], fixed: dict[str, Any], is_check: bool) -> dict[str, Any]:
    """Return the result of a host with that of the module `ephemeral_ports`; if this failed, it tells what was done."""
    if fixed.get("failed"):
        text = _WOULD_STAY if is_check else _STAY
        return {**result, "failed": True, "msg": text.format(host, fixed.get("msg"))}
    diff = result.get("diff") or []
    return {
        **result,
        "changed": result["changed"] or fixed["changed"],
        "ports_fixed": fixed["fixed"],
        "diff": [*(diff if isinstance(diff, list) else [diff]), fixed["diff"]],
        **{name: fixed[name] for name in ("ephemeral_ports", "reserved_ports")},
    }


def _policy(store: Store, host: str) -> dict[str, Any]:
    try:
        policy = store.policy(host)
    except PortFileError as exc:
        raise AnsibleActionFail(str(exc)) from None
    if policy is None:
        raise AnsibleActionFail(
            f"Host {host} has no policy in this plan: it is in none of the canonical groups. Add it to one of them, or "
            "leave it out of the play."
        )
    return policy
