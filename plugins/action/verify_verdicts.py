# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the results of hosts with the plan, and report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.host_tasks import VerifyRun
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import (
    ControllerAction,
    plan_arguments,
    write_file,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.inventory_sources import source_names
from ansible_collections.hpc.ports.plugins.plugin_utils._report.data import as_data, as_fact
from ansible_collections.hpc.ports.plugins.plugin_utils._report.html import page
from ansible_collections.hpc.ports.plugins.plugin_utils._report.junit import junit
from ansible_collections.hpc.ports.plugins.plugin_utils._report.text import Findings, failure, report, warnings_of
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.document import Report
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.registered import left_out, registered, run_of

_PHASES = ("probed", "stopped", "compared", "judged")


class ActionModule(ControllerAction):
    """`hpc.ports.verify_verdicts`; documented in plugins/modules/verify_verdicts.py."""

    ARGUMENTS = {
        **plan_arguments("plan", "run", *_PHASES),
        "report": {"type": "path", "default": ""},
        "junit": {"type": "path", "default": ""},
        "page": {"type": "path", "default": ""},
        "require_outsider": {"type": "bool", "default": False},
        "fail": {"type": "bool", "default": True},
        "all_hosts": {"type": "list", "elements": "str", "default": []},
    }

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the counts and the findings; failed unless every verdict is right."""
        store = self.store(options["plan"])
        verify_run = store.whole(options["run"])
        if self._task.check_mode:
            return _planned(verify_run)
        variables_of = task_vars["hostvars"].raw_get
        answers = registered({phase: options[phase] for phase in _PHASES}, verify_run.options.hosts, variables_of)
        run, verdicts = run_of(store.plan(), verify_run, answers)
        expected = verify_run.expected
        findings = Findings(
            verdicts,
            expected.skipped,
            expected.unmanaged,
            expected.classes,
            run.compared,
            {
                verdict.expectation: diagnosis
                for verdict in verdicts
                for diagnosis in [run.diagnosis(verdict)]
                if diagnosis
            },
            run.unreadable,
            left_out(set(options["all_hosts"]) - set(verify_run.options.hosts), variables_of),
            bool(verify_run.from_containers),
        )
        data = as_data(findings, run, source_names(task_vars))
        self._display.display("\n".join(map(shown, report(findings))))
        for name, text_of in (("report", _json), ("junit", junit), ("page", page)):
            if options[name]:
                write_file(options[name], text_of(data), f"verify_{name}")
        return _result(data, shown(failure(findings, options["require_outsider"])), options["fail"])


def _planned(verify_run: VerifyRun) -> dict[str, Any]:
    """Return the result in check mode: how many connections a run would try."""
    expected = verify_run.expected
    count = len(expected.expectations)
    not_covered = [f"Not covered, {skipped.connections}: {skipped.reason}" for skipped in expected.skipped]
    text = " ".join([f"Check mode: {count} connections would be tried; none was tried.", *not_covered])
    return {
        "changed": False,
        "skipped": True,
        "msg": text,
        "summary": {"connections": count, "not_tested": sum(skipped.connections for skipped in expected.skipped)},
    }


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data) + "\n"


def _result(data: Report, failure_text: str, fails: bool) -> dict[str, Any]:
    result = {
        "changed": False,
        "summary": data["summary"],
        "warnings": warnings_of(data["summary"]),
        "failure": failure_text,
        "findings": as_fact(data),
    }
    return {**result, "failed": True, "msg": failure_text} if failure_text and fails else result
