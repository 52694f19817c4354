# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Report what hosts in observe mode have recorded, and propose flows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_data
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.checked import answered
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.observed_report import WRITERS, data_of, lines, report_of
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.recorded import Recorded, recorded_of
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import (
    ControllerAction,
    plan_arguments,
    write_file,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.inventory_sources import source_names
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import invalid
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.play_variables import play_variables


class ActionModule(ControllerAction):
    """`hpc.ports.observed_report`; documented in plugins/modules/observed_report.py."""

    ARGUMENTS = {
        **plan_arguments("plan", "observed"),
        "draft": {"type": "path", "default": ""},
        "files": {"type": "list", "elements": "path", "default": []},
    }
    VARIABLES = play_variables("observed")

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the report. The files are written in check mode as well: they are the result, not a change."""
        for path in options["files"]:
            if Path(path).suffix not in WRITERS:
                raise invalid("observed_files", path, f"a file that ends with {' or '.join(WRITERS)}")
        plan = self.store(options["plan"]).plan()
        recorded: dict[str, Recorded] = {}
        silent: dict[str, str] = {}
        for host in sorted(plan.hosts):
            try:
                recorded[host] = recorded_of(answered(task_vars["hostvars"].raw_get(host).get(options["observed"])))
            except ValueError as exc:
                silent[host] = str(exc)
        report = report_of(plan, recorded, silent)._replace(inventory=source_names(task_vars))
        for path in options["files"]:
            write_file(path, WRITERS[Path(path).suffix](report), "observed_files")
        if options["draft"]:
            write_file(options["draft"], report.draft, "observed_draft")
        text = list(map(shown, lines(report)))
        self._display.display("\n".join(["", *text, ""]))
        self.show_written([*options["files"], options["draft"]])
        return {"changed": False, "lines": text, **shown_data({**data_of(report), "draft": ""}), "draft": report.draft}
