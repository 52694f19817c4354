# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what hosts do now with the plan, and propose flows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_data
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.answers import Answer, answer_of
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.checked import answered
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.findings import Findings, findings_of
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.first import (
    controllers_of,
    lacks_controllers,
    text_of,
    with_endpoints,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.objections import without_objections
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.proposals import proposed
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.report import lines
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.words import seen_data
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import (
    ControllerAction,
    plan_arguments,
    write_file,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import CONTROLLERS
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import listed
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.play_variables import play_variables

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan

_CONTROLLERS = (
    "The endpoint controllers is empty. This report puts in the addresses from which Ansible connects now: {0}."
)
_NO_CONTROLLERS = (
    "The endpoint controllers is empty, and no host says from where Ansible connects. Fill it in: without it, Ansible "
    "is locked out of all hosts."
)


class ActionModule(ControllerAction):
    """`hpc.ports.audit_report`; documented in plugins/modules/audit_report.py."""

    ARGUMENTS = {**plan_arguments("plan", "audited"), "draft": {"type": "path", "default": ""}}
    VARIABLES = play_variables("audit")

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the findings and the proposed entries of the port file."""
        plan = self.store(options["plan"]).plan(report_only=True)
        answers, silent = _answers(plan, options["audited"], task_vars)
        plan, endpoints, notes = _complete(plan, answers)
        findings = findings_of(plan, answers)
        draft, left = without_objections(plan, proposed(plan, findings.denied))
        draft_text = "".join([*(f"# Left out: {shown(line)}\n" for line in left), text_of(draft, endpoints)])
        text = [*notes, *lines(plan, findings), *_about_answers(answers, silent)]
        text += ["Proposed entries of the port file:", *draft_text.splitlines()] if draft_text else []
        self._display.display("\n".join(["", *map(shown, text), ""]))
        if options["draft"]:
            write_file(options["draft"], draft_text, "audit_draft")
        self.show_written([options["draft"]])
        data = {"lines": text, "draft": draft_text, "left_out": left, "silent": silent}
        return shown_data({"changed": False, **data, **_data(findings)})


def _data(findings: Findings) -> dict[str, Any]:
    """Return the findings as plain data."""
    found = {
        name: None if items is None else [item._asdict() for item in items]
        for name, items in findings._asdict().items()
        if name != "denied"
    }
    return {"denied": [{**seen_data(item), "connections": item.number} for item in findings.denied], **found}


def _answers(plan: Plan, name: str, task_vars: Mapping[str, Any]) -> tuple[dict[str, Answer], dict[str, str]]:
    """Return the answers by host, and for the other hosts why there is none."""
    answers: dict[str, Answer] = {}
    silent: dict[str, str] = {}
    for host in sorted(plan.hosts):
        result = task_vars["hostvars"].raw_get(host).get(name)
        try:
            answers[host] = answer_of(answered(result))
        except ValueError as exc:
            silent[host] = str(exc)
    return answers, silent


def _complete(plan: Plan, answers: Mapping[str, Answer]) -> tuple[Plan, dict[str, Any], list[str]]:
    """Return the plan with controllers, the proposed endpoint for them if the port file has none, and a note."""
    if not lacks_controllers(plan):
        return plan, {}, []
    endpoints = controllers_of(answers.values())
    if not endpoints:
        return plan, {}, [_NO_CONTROLLERS, ""]
    return (
        with_endpoints(plan, endpoints),
        endpoints,
        [_CONTROLLERS.format(listed(endpoints[CONTROLLERS]["cidrs"])), ""],
    )


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
