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
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown

try:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.store import Store
    from ansible_collections.hpc.ports.plugins.plugin_utils._report.data import as_data, as_fact
    from ansible_collections.hpc.ports.plugins.plugin_utils._report.html import page
    from ansible_collections.hpc.ports.plugins.plugin_utils._report.junit import junit
    from ansible_collections.hpc.ports.plugins.plugin_utils._report.text import Found, failure, report, warnings_of
    from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.registered import left_out, registered, run_of

    MISSING: ImportError | None = None
except ImportError as exc:
    MISSING = exc

_PHASES = ("probed", "stopped", "compared", "judged")


class ActionModule(ActionBase):
    """`hpc.ports.verify_verdicts`; documented in plugins/modules/verify_verdicts.py."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the counts and the fact, and failed unless every verdict is right."""
        super().run(tmp, task_vars)
        if MISSING:
            raise AnsibleActionFail(str(MISSING))
        found, options = self.validate_argument_spec(
            {
                **{name: {"type": "str", "required": True} for name in ("plan", "run", *_PHASES)},
                "report": {"type": "path", "default": ""},
                "junit": {"type": "path", "default": ""},
                "page": {"type": "path", "default": ""},
                "require_outsider": {"type": "bool", "default": False},
                "fail": {"type": "bool", "default": True},
                "all_hosts": {"type": "list", "elements": "str", "default": []},
            }
        )
        store = Store(C.DEFAULT_LOCAL_TMP, options["plan"])
        begun = store.whole(options["run"])
        if self._task.check_mode:
            return _planned(begun)
        names = {name: options[name] for name in _PHASES}
        variables_of = (task_vars or {})["hostvars"].raw_get
        said = registered(names, begun.order.hosts, variables_of)
        run, verdicts = run_of(store.plan(), begun, said)
        expected = begun.expected
        about = Found(
            verdicts,
            expected.skipped,
            expected.unmanaged,
            expected.classes,
            run.compared,
            {item.expectation: diagnosis for item in verdicts for diagnosis in [run.diagnosis(item)] if diagnosis},
            run.unreadable,
            left_out(set(options["all_hosts"]) - set(begun.order.hosts), variables_of),
        )
        data = as_data(about, run)
        self._display.display("\n".join(map(shown, report(about))))
        for name, text_of in (("report", _json), ("junit", junit), ("page", page)):
            if options[name]:
                _write(name, options[name], text_of(data))
        return _result(data, shown(failure(about, options["require_outsider"])), options["fail"])


def _planned(begun: Any) -> dict[str, Any]:
    """What a run would do."""
    expected = begun.expected
    count = len(expected.expectations)
    skipped = [f"Not covered, {item.connections}: {item.reason}" for item in expected.skipped]
    text = " ".join([f"Check mode: {count} connections would be tried; none was.", *skipped])
    return {
        "changed": False,
        "skipped": True,
        "msg": text,
        "summary": {"connections": count, "not_tested": sum(item.connections for item in expected.skipped)},
    }


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data) + "\n"


def _write(name: str, path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as exc:
        raise AnsibleActionFail(f"Cannot write the report {path}: {exc.strerror}. Set verify_{name}.") from exc


def _result(data: Mapping[str, Any], failure_text: str, fails: bool) -> dict[str, Any]:
    """Ansible forgets the facts of a task that fails."""
    result = {
        "changed": False,
        "summary": data["summary"],
        "warnings": warnings_of(data["summary"]),
        "failure": failure_text,
        "ansible_facts": {"hpc_ports_verify": as_fact(data)},
        # For AWX, which keeps it with the job and gives it to the next one of a workflow.
        "ansible_stats": {"data": {"hpc_ports_verify_summary": data["summary"]}, "per_host": False, "aggregate": False},
    }
    return {**result, "failed": True, "msg": failure_text} if failure_text and fails else result
