# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what opens and closes since an earlier state of the inventory, and write it to files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_data
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import (
    ControllerAction,
    plan_arguments,
    write_file,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.earlier_state import earlier_state, variables_of
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.site_plan import site_plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, invalid
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.difference import difference_of
from ansible_collections.hpc.ports.plugins.plugin_utils._report.difference import WRITERS, Report, data_of


class ActionModule(ControllerAction):
    """`hpc.ports.difference_info`; documented in plugins/modules/difference_info.py."""

    ARGUMENTS = {**plan_arguments("plan", "from"), "files": {"type": "list", "elements": "path", "default": []}}
    VARIABLES = {"files": "difference_files"}

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the difference. The files are written in check mode as well: they are the result, not a change."""
        for path in options["files"]:
            if Path(path).suffix not in WRITERS:
                raise invalid("difference_files", path, f"a file that ends with {' or '.join(WRITERS)}")
        report, notes = self._report(options, task_vars)
        for path in options["files"]:
            write_file(path, WRITERS[Path(path).suffix](report), "difference_files")
        data = shown_data(data_of(report))
        self._display.display("\n".join(["", *data["lines"], ""]))
        self.show_written(options["files"])
        return {"changed": False, "warnings": notes, **data}

    def _report(self, options: Mapping[str, Any], task_vars: Mapping[str, Any]) -> tuple[Report, list[str]]:
        after = self.store(options["plan"]).plan()
        sources = _sources(task_vars)
        with earlier_state(options["from"], sources, C.DEFAULT_LOCAL_TMP) as state:
            try:
                before = site_plan(variables_of(state, self._loader))
            except PortFileError as exc:
                raise PortFileError(f"In {state.title}: {exc}") from None
            notes = [
                f"{state.title} does not have {shown(source)}, which -i names; it is compared as it is now."
                for source in state.unchanged
            ]
            return Report(state.title, difference_of(before, after), task_vars["groups"]), notes


def _sources(task_vars: Mapping[str, Any]) -> Sequence[str]:
    sources = task_vars.get("ansible_inventory_sources") or []
    return [sources] if isinstance(sources, str) else list(map(str, sources))
