# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what hosts do now with the plan, and propose flows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_data, shown_start
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.answers import Answer, answer_of
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.findings import findings_of
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.report import lines, proposed
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import (
    ControllerAction,
    plan_arguments,
    write_file,
)


class ActionModule(ControllerAction):
    """`hpc.ports.audit_report`; documented in plugins/modules/audit_report.py."""

    ARGUMENTS = {**plan_arguments("plan", "audited"), "draft": {"type": "path", "default": ""}}

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the findings and the proposed entries of the port file."""
        plan = self.store(options["plan"]).plan()
        answers: dict[str, Answer] = {}
        silent: dict[str, str] = {}
        for host in sorted(plan.hosts):
            result = task_vars["hostvars"].raw_get(host).get(options["audited"])
            try:
                answers[host] = answer_of(_answered(result))
            except ValueError as exc:
                silent[host] = str(exc)
        findings = findings_of(plan, answers)
        draft = proposed(plan, findings, answers.keys()).text()
        text = [*lines(plan, findings), *_about_answers(answers, silent)]
        text += ["Proposed entries of the port file:", *draft.splitlines()] if draft else []
        self._display.display("\n".join(["", *map(shown, text), ""]))
        if options["draft"]:
            write_file(options["draft"], draft, "audit_draft")
        found = {name: [item._asdict() for item in items] for name, items in findings._asdict().items()}
        return shown_data({"changed": False, "lines": text, "draft": draft, "silent": silent, **found})


def _answered(result: object) -> Mapping[str, Any]:
    """Return the result of a host that has answered. Raises ValueError, which says why it has not."""
    if not isinstance(result, Mapping):
        raise ValueError("it was not asked")
    if result.get("failed") or result.get("unreachable"):
        raise ValueError(shown_start(str(result.get("msg", "it failed"))))
    return result


def _about_answers(answers: Mapping[str, Answer], silent: Mapping[str, str]) -> list[str]:
    """Return what the report does not cover."""
    problems = [f"{host}: {problem}" for host, answer in answers.items() for problem in answer.problems]
    left = [
        f"{host}: {answer.left_out} more connections are not listed."
        for host, answer in answers.items()
        if answer.left_out
    ]
    unknown = [f"{host}: nothing is known: {reason}." for host, reason in silent.items()]
    return [*unknown, *problems, *left]
