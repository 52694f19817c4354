# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say who reaches whom by the plan, and write it to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_data
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import ControllerAction, plan_arguments
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import invalid
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.matrix import by_host, matrix_of
from ansible_collections.hpc.ports.plugins.plugin_utils._report.matrix import WRITERS, data_of, lines


class ActionModule(ControllerAction):
    """`hpc.ports.matrix_info`; documented in plugins/modules/matrix_info.py."""

    ARGUMENTS = {
        **plan_arguments("plan"),
        "by": {"type": "str", "choices": ["class", "host"], "default": "class"},
        "files": {"type": "list", "elements": "path", "default": []},
    }

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the matrix. The files are written in check mode as well: they are the result, not a change."""
        for path in options["files"]:
            if Path(path).suffix not in WRITERS:
                raise invalid("matrix_files", path, f"a file that ends with {', '.join(WRITERS)}")
        matrix = matrix_of(self.store(options["plan"]).plan())
        if options["by"] == "host":
            matrix = by_host(matrix)
        for path in options["files"]:
            try:
                Path(path).write_text(WRITERS[Path(path).suffix](matrix), encoding="utf-8")
            except OSError as exc:
                raise AnsibleActionFail(f"Cannot write {path}: {exc.strerror}. Set matrix_files.") from exc
        text = list(map(shown, lines(matrix)))
        self._display.display("\n".join(["", *text, ""]))
        return {"changed": False, "lines": text, **shown_data(data_of(matrix))}
