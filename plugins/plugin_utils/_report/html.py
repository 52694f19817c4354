# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTML pages that load nothing, such as the report of verify: a template, and the data packed inside."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown_data
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.document import Cell, Report

PAGE = Path(__file__).parent / "page"
_CELL = tuple(Cell.__annotations__)
_WHOLE = tuple(key for key in Report.__annotations__ if key not in ("format", "cells"))


def page(data: Report) -> str:
    """Return the page of a report (format 2), one self-contained file. Raises KeyError for an incomplete report."""
    return page_of("report", packed(data))


def page_of(name: str, data: object) -> str:
    """Return a page of data; its template and script have this name, and all pages have one style."""
    style, script = _text("report.css"), _text(f"{name}.js")
    parts = {"STYLE": style, "SCRIPT": script, "POLICY": _policy(style, script), "DATA": _embedded(data)}
    return re.sub("@([A-Z]+)@", lambda match: parts[match[1]], _text(f"{name}.html"))


def _text(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def packed(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report with its cells by columns: distinct values, and by cell the number of its value.

    The numbers are 0, not a list, where all cells have one value.
    """
    cells = data["cells"]
    columns = {name: _column([cell[name] for cell in cells]) for name in _CELL}
    return {**{name: shown_data(data[name]) for name in _WHOLE}, "count": len(cells), "columns": columns}


def _column(values: Sequence[Any]) -> dict[str, Any]:
    if values and isinstance(values[0], (list, dict)) or None in values:
        keys = [json.dumps(value, sort_keys=True) for value in values]
    else:
        keys = list(values)
    distinct = dict(zip(keys, values))
    numbers = {key: number for number, key in enumerate(distinct)}
    return {
        "values": shown_data(list(distinct.values())),
        "rows": [numbers[key] for key in keys] if len(distinct) > 1 else 0,
    }


def _embedded(data: object) -> str:
    """Return JSON that nothing in it can end, as all that HTML gives a meaning is escaped."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(style: str, script: str) -> str:
    """Return a Content-Security-Policy that allows the style and the script of this page, and nothing else."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
