# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of verify as one HTML page that loads nothing: a template, and the report packed inside."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import plain

TEMPLATE = Path(__file__).parents[3] / "roles" / "verify" / "files" / "report.html"
_CELL = (
    "source",
    "target",
    "address",
    "protocol",
    "port",
    "services",
    "intended",
    "compiled",
    "outcome",
    "verdict",
    "flow",
    "denied_by",
    "rule",
    "held_by",
    "seconds",
    "attempts",
    "counters",
    "detail",
    "why",
    "diagnosis",
)
_WHOLE = ("made", "mode", "summary", "hosts", "classes", "services", "flows", "not_tested")


def page(data: Mapping[str, Any], template: Path = TEMPLATE) -> str:
    """Return the page of a report (format 2). Raises KeyError for a report that lacks something."""
    text = template.read_text(encoding="utf-8")
    return text.replace("@POLICY@", _policy(text), 1).replace("@DATA@", _embedded(packed(data)), 1)


def packed(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report with its cells by columns: distinct values, and by cell the number of its value.

    The numbers are 0, not a list, where all cells have one value.
    """
    cells = data["cells"]
    columns = {name: _column([cell[name] for cell in cells]) for name in _CELL}
    return {**{name: plain(data[name]) for name in _WHOLE}, "count": len(cells), "columns": columns}


def _column(values: Sequence[Any]) -> dict[str, Any]:
    if values and isinstance(values[0], (list, dict)) or None in values:
        keys = [json.dumps(value, sort_keys=True) for value in values]
    else:
        keys = list(values)
    distinct = dict(zip(keys, values))
    numbers = {key: number for number, key in enumerate(distinct)}
    return {
        "values": plain(list(distinct.values())),
        "rows": [numbers[key] for key in keys] if len(distinct) > 1 else 0,
    }


def _embedded(data: object) -> str:
    """Return JSON that nothing in it can end, as all that HTML gives a meaning is escaped."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(template: str) -> str:
    """Return a Content-Security-Policy that lets this page's own style and script run, and nothing else."""
    return (
        f"default-src 'none'; style-src {_hash(template, 'style')}; script-src {_hash(template, 'script')}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(template: str, tag: str) -> str:
    found = re.search(f"<{tag}>(.*?)</{tag}>", template, re.DOTALL)
    if not found:
        raise ValueError(f"The template of the page has no <{tag}>.")
    return f"'sha256-{base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()}'"
