# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold what hosts saw against what a plan expects, and report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

try:
    from ansible_collections.hpc.ports.plugins.plugin_utils.errors import PortFileError
    from ansible_collections.hpc.ports.plugins.plugin_utils.expectations import expected_of
    from ansible_collections.hpc.ports.plugins.plugin_utils.report import (
        Compared,
        Found,
        as_data,
        failure,
        report,
        summary,
        warnings_of,
    )
    from ansible_collections.hpc.ports.plugins.plugin_utils.store import Store
    from ansible_collections.hpc.ports.plugins.plugin_utils.verdicts import Results, verdicts_of

    MISSING: ImportError | None = None
except ImportError as exc:
    MISSING = exc


class ActionModule(ActionBase):
    """`hpc.ports.verdicts`; documented in plugins/modules/verdicts.py."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the counts, and failed unless every verdict is right."""
        super().run(tmp, task_vars)
        if MISSING:
            raise AnsibleActionFail(str(MISSING))
        found, options = self.validate_argument_spec({
            "plan": {"type": "str", "required": True},
            "hosts": {"type": "list", "elements": "str", "required": True},
            "query": {"type": "str", "default": ""},
            "probed": {"type": "str", "required": True},
            "stopped": {"type": "str", "required": True},
            "compared": {"type": "str", "required": True},
            "report": {"type": "path", "default": ""},
            "require_outsider": {"type": "bool", "default": False},
        })
        try:
            plan = Store(C.DEFAULT_LOCAL_TMP, options["plan"]).plan()
            expected = expected_of(plan, options["hosts"], options["query"])
        except PortFileError as exc:
            raise AnsibleActionFail(str(exc)) from exc
        if self._task.check_mode:
            return {"changed": False, "skipped": True, "summary": {"connections": len(expected.expectations)},
                    "msg": f"Check mode: {len(expected.expectations)} connections would be tried; none was."}
        registered = _registered(options, (task_vars or {})["hostvars"])
        verdicts = verdicts_of(expected.expectations, _results(registered))
        found = Found(expected, verdicts, _compared(registered))
        self._display.display("\n".join(report(found)))
        if options["report"]:
            self._write(options["report"], as_data(found))
        return _result(summary(found), options["require_outsider"])

    def _write(self, path: str, data: Mapping[str, Any]) -> None:
        try:
            Path(path).write_text(json.dumps(data) + "\n", encoding="utf-8")
        except OSError as exc:
            raise AnsibleActionFail(f"Cannot write the report {path}: {exc.strerror}. Set verify_report.") from exc


# By host, what the tasks registered; nothing of a task that did not run.
_Registered = Mapping[str, Mapping[str, Mapping[str, Any]]]


def _registered(options: Mapping[str, Any], hostvars: Any) -> _Registered:
    raw = {host: hostvars.raw_get(host) for host in options["hosts"]}
    return {host: {key: found.get(options[key], {}) for key in ("probed", "stopped", "compared")}
            for host, found in raw.items()}


def _results(registered: _Registered) -> Results:
    return Results(
        probed={host: found["probed"]["results"] for host, found in registered.items() if "results" in found["probed"]},
        stopped={host: found["stopped"] for host, found in registered.items()},
    )


def _compared(registered: _Registered) -> dict[str, Compared]:
    compared = {}
    for host, found in registered.items():
        result = found["compared"]
        if "changes" in result:
            compared[host] = Compared(not result["changes"]["objects"], result["changes"]["objects"])
        elif result and not result.get("skipped"):
            compared[host] = Compared(None, reason=str(result.get("msg", "")))
    return compared


def _result(counts: dict[str, Any], require_outsider: bool) -> dict[str, Any]:
    said = failure(counts, require_outsider)
    result = {"changed": False, "summary": counts, "warnings": warnings_of(counts)}
    return {**result, "failed": True, "msg": said} if said else result
