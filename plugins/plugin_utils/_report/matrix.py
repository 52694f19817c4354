# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write who reaches whom as text, JSON, CSV, Markdown and an HTML page."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown, shown_data
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.host_classes import HostClass
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.matrix import Matrix, Opening, OutsideOpening
from ansible_collections.hpc.ports.plugins.plugin_utils._report.html import page_of
from ansible_collections.hpc.ports.plugins.plugin_utils._report.networks import networks_text, shortened
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.document import OutsideData

FORMAT = 1
OUTSIDE = "outside"
# How many hosts or networks a line names.
_SHOWN = 4
# The widest column of ports in characters; wider texts move the rest of their line.
_WIDEST = 30
_COLUMNS = ("from", "to", "ports", "services", "flow", "from_hosts", "to_hosts", "networks")


def data_of(matrix: Matrix) -> dict[str, Any]:
    """Return plain data: the `classes` by name, the `openings` between them, and those for networks `outside`."""
    return {
        "format": FORMAT,
        "classes": {
            host_class.name: {"hosts": list(host_class.members), "managed": bool(host_class.policy)}
            for host_class in matrix.classes
        },
        "openings": [
            {"from": opening.source.name, "to": opening.target.name, **_what(opening)} for opening in matrix.openings
        ],
        "outside": [outside_data(opening) for opening in matrix.outside],
    }


def _what(opening: Opening) -> dict[str, Any]:
    return {"flow": opening.flow, "services": list(opening.services), "ports": list(map(str, opening.ports))}


def outside_data(opening: OutsideOpening) -> OutsideData:
    """Return plain data of what is open to networks outside the inventory."""
    return {
        "to": opening.target.name,
        "flow": opening.flow,
        "services": list(opening.services),
        "ports": list(map(str, opening.ports)),
        "endpoints": list(opening.endpoints),
        "networks": list(opening.networks),
    }


# ---- the screen


def lines(matrix: Matrix, with_outside: bool = True) -> list[str]:
    """Return the matrix for a screen: by target what is open to whom, and at the end what is open to outside."""
    result: list[str] = []
    for target in (host_class for host_class in matrix.classes if host_class.policy):
        result += [_class_text(target), *(f"  {text}" for text in _rows(_by_ports(matrix, target))), ""]
    if not with_outside:
        return result[:-1] or ["Nothing is open by the plan."]
    outside = _rows(_outside_by_ports(matrix))
    return [*result, "Open to networks outside the inventory:", *(f"  {text}" for text in outside or ["nothing"])]


def _by_ports(matrix: Matrix, target: HostClass) -> dict[tuple[str, str], list[str]]:
    """Return the sources by ports and flow."""
    rows: dict[tuple[str, str], list[str]] = defaultdict(list)
    for opening in matrix.openings:
        if opening.target.name == target.name:
            rows[_shortened(list(map(str, opening.ports))), opening.flow].append(opening.source.name)
    for outside in matrix.outside:
        if outside.target.name == target.name:
            ports = _shortened(list(map(str, outside.ports)))
            rows[ports, outside.flow].append(_networks_text(outside.endpoints, outside.networks))
    return dict(sorted(rows.items(), key=lambda item: item[0][1]))


def _outside_by_ports(matrix: Matrix) -> dict[tuple[str, str], list[str]]:
    """Return the targets by ports, and the networks with the flow."""
    rows: dict[tuple[str, str], list[str]] = defaultdict(list)
    for opening in matrix.outside:
        flow = f"{opening.flow} from {_networks_text(opening.endpoints, opening.networks)}"
        rows[_shortened(list(map(str, opening.ports))), flow].append(opening.target.name)
    return dict(sorted(rows.items(), key=lambda item: item[0][1]))


def _rows(rows: Mapping[tuple[str, str], Sequence[str]]) -> list[str]:
    width = min(max((len(ports) for ports, _flow in rows), default=0), _WIDEST)
    return [f"{ports:{width}}  {flow}: {', '.join(dict.fromkeys(names))}" for (ports, flow), names in rows.items()]


def _class_text(host_class: HostClass) -> str:
    hosts = _shortened(host_class.members)
    return host_class.name if host_class.members == (host_class.name,) else f"{host_class.name} ({hosts})"


def _networks_text(endpoints: Sequence[str], networks: Sequence[str]) -> str:
    return " ".join(filter(None, [OUTSIDE, ", ".join(endpoints), f"({networks_text(networks, _SHOWN)})"]))


def _shortened(names: Sequence[str]) -> str:
    return shortened(names, _SHOWN)


# ---- files


def _records(matrix: Matrix) -> list[dict[str, str]]:
    """Return a record for each opening, sorted, so that a file of them shows in a merge request what opens."""
    records = [_record(opening.source.name, opening, from_hosts=opening.source.members) for opening in matrix.openings]
    records += [
        _record(" ".join([OUTSIDE, *opening.endpoints]), opening, networks=opening.networks)
        for opening in matrix.outside
    ]
    return sorted(records, key=lambda record: [record[name] for name in ("to", "from", "flow", "ports", "networks")])


def _record(source: str, opening: Any, from_hosts: Sequence[str] = (), networks: Sequence[str] = ()) -> dict[str, str]:
    return {
        "from": source,
        "to": opening.target.name,
        "ports": " ".join(map(str, opening.ports)),
        "services": " ".join(opening.services),
        "flow": opening.flow,
        "from_hosts": " ".join(from_hosts),
        "to_hosts": " ".join(opening.target.members),
        "networks": " ".join(networks),
    }


def _json(matrix: Matrix) -> str:
    return json.dumps(data_of(matrix), indent=1) + "\n"


def _csv(matrix: Matrix) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_records(matrix))
    return file.getvalue()


def _markdown(matrix: Matrix) -> str:
    classes = [
        f"| {_cell(host_class.name)} | {_cell(', '.join(host_class.members))} |" for host_class in matrix.classes
    ]
    rows = [
        "| {} |".format(" | ".join(_cell(record[name]) for name in ("to", "from", "ports", "flow", "networks")))
        for record in _records(matrix)
    ]
    return "\n".join(
        [
            "| to | from | ports | flow | networks outside |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
            "| class | hosts |",
            "| --- | --- |",
            *classes,
            "",
        ]
    )


def _cell(text: str) -> str:
    return shown(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _html(matrix: Matrix, inventory: Sequence[str] = ()) -> str:
    return page_of("matrix", shown_data({**data_of(matrix), "inventory": list(inventory)}))


# What writes a file, by the end of its name.
WRITERS: Mapping[str, Callable[[Matrix], str]] = {".json": _json, ".csv": _csv, ".md": _markdown, ".html": _html}


def file_text(path: str, matrix: Matrix, inventory: Sequence[str]) -> str:
    """Return the text of a file. Only the page names the inventory: CI compares the other files."""
    suffix = Path(path).suffix
    return _html(matrix, inventory) if suffix == ".html" else WRITERS[suffix](matrix)


# Files that a site can keep as the expected matrix: a line is an opening.
EXPECTED = (".csv", ".md")


def differing_rows(expected: str, present: str) -> list[str]:
    """Return the lines of two files that only one has, with `-` before the expected and `+` before the present ones."""
    old, new = expected.splitlines(), present.splitlines()
    gone, added = set(old).difference(new), set(new).difference(old)
    return [f"- {line}" for line in old if line in gone] + [f"+ {line}" for line in new if line in added]
