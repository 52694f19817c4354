# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse a listing of one table, as nft prints it, into the objects of a state."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ansible_collections.hpc.ports.plugins.module_utils._model.names import RECORDS
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State

_ELEMENTS = "elements = {"
# The elements of a set, which no element has a brace in.
_RECORDED = re.compile(rf"(\tset {RECORDS}\w+ {{\n(?:\t\t(?!elements)[^\n]*\n)*)\t\telements = {{[^}}]*}}\n")


def without_records(text: str) -> str:
    """Return the listing without what packets have recorded in observe mode."""
    return _RECORDED.sub(r"\1", text)


def parse_listing(text: str) -> State:
    """Return the objects in a listing of one table: sorted elements, one per line, and rules in their order.

    There are none in an empty listing, which stands for a missing table.
    The records of observe mode have no elements. The object `table` stands for the table itself; it has lines only when
    it has flags or a comment.
    """
    if not text:
        return {}
    state: dict[str, tuple[str, ...]] = {"table": ()}
    body: list[str] = []
    name: str | None = None
    # nft 0.9.8 ends a counter on its last line: `packets 0 bytes 0\t}`.
    for line in map(str.strip, without_records(text).replace("\t}\n", "\n}\n").splitlines()[1:]):
        if name is None and line.endswith("{"):
            name, body = line[:-1].strip(), []
        elif name is not None and line == "}":
            state[name], name = _object_lines(body), None
        elif name is not None:
            body.append(line)
        elif line not in ("", "}"):
            state["table"] += (line,)
    return state


def _object_lines(body: Sequence[str]) -> tuple[str, ...]:
    start = next((number for number, line in enumerate(body) if line.startswith(_ELEMENTS)), len(body))
    elements = " ".join(body[start:])[len(_ELEMENTS) :].rstrip("} ").split(",")
    entries = sorted("element " + element.strip() for element in elements if element)
    return (*(line for line in body[:start] if line), *entries)
