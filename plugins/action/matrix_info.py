# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say who reaches whom by the plan, and write it to files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_data
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.ends import end_of
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import (
    ControllerAction,
    plan_arguments,
    write_file,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.inventory_sources import source_names
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.store import Store
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, invalid
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.play_variables import play_variables
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.matrix import Matrix, by_host, matrix_of, narrowed
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.reasons import port_of
from ansible_collections.hpc.ports.plugins.plugin_utils._report.matrix import (
    EXPECTED,
    WRITERS,
    data_of,
    differing_rows,
    file_text,
    lines,
)

_QUESTION = ("from", "to", "to_port")


class ActionModule(ControllerAction):
    """`hpc.ports.matrix_info`; documented in plugins/modules/matrix_info.py."""

    ARGUMENTS = {
        **plan_arguments("plan"),
        **{name: {"type": "str", "default": ""} for name in _QUESTION},
        "by": {"type": "str", "choices": ["class", "host"], "default": "class"},
        "files": {"type": "list", "elements": "path", "default": []},
        "expected": {"type": "path", "default": ""},
    }
    VARIABLES = play_variables("matrix")

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the matrix. The files are written in check mode as well: they are the result, not a change."""
        for path in options["files"]:
            if Path(path).suffix not in WRITERS:
                raise invalid("matrix_files", path, f"a file that ends with {', '.join(WRITERS)}")
        expected = _expected(options["expected"]) if options["expected"] else None
        matrix = _chosen(self.store(options["plan"]), options, task_vars["groups"])
        for path in options["files"]:
            write_file(path, file_text(path, matrix, source_names(task_vars)), "matrix_files")
        if expected is not None:
            _compare(options["expected"], expected, matrix)
        text = list(map(shown, lines(matrix, with_outside=not options["from"])))
        self._display.display("\n".join(["", *text, ""]))
        self.show_written(options["files"])
        return {"changed": False, "lines": text, **shown_data(data_of(matrix))}


def _expected(path: str) -> str:
    """Return the text of the file with the expected matrix. Raises PortFileError."""
    if Path(path).suffix not in EXPECTED:
        raise invalid("matrix_expected", path, f"a file that ends with {' or '.join(EXPECTED)}")
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise PortFileError(f"Cannot read {path}: {reason}. Write it first: -e matrix_files={path}") from None


def _compare(path: str, expected: str, matrix: Matrix) -> None:
    """Raise PortFileError with the rows that differ, if the matrix is not the expected one."""
    if rows := differing_rows(expected, WRITERS[Path(path).suffix](matrix)):
        text = "\n".join(map(shown, rows))
        advice = f"If the change is wanted, write the file again, and commit it: -e matrix_files={path}"
        raise PortFileError(
            f"The port file opens other connections than {path} (-) expects (+ is new):\n{text}\n{advice}"
        )


def _chosen(store: Store, options: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> Matrix:
    """Return what the options ask for. Raises PortFileError for an unknown host or an invalid port."""
    matrix = matrix_of(store.plan())
    if any(options[name] for name in _QUESTION):
        source, target = (options[key] and end_of(key, options[key], groups, store)[0] for key in ("from", "to"))
        port = port_of(options["to_port"]) if options["to_port"] else None
        matrix = narrowed(matrix, source, target, port)
    return by_host(matrix) if options["by"] == "host" else matrix
