# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/ports.md and docs/groups/ have what the shipped port file has, and their drawings hold all their texts."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS
from ansible_collections.hpc.ports.tests.support import port_reference
from ansible_collections.hpc.ports.tests.support.port_diagrams import Box, Row, drawn
from ansible_collections.hpc.ports.tests.support.port_reference import DOCS, GROUPS, areas, shipped

PAGES = port_reference.pages()
SVG = "{http://www.w3.org/2000/svg}"


def test_the_files_are_current() -> None:
    written = {path: path.read_text(encoding="utf-8") if path.exists() else "" for path in PAGES}
    stale = [str(path.relative_to(DOCS)) for path, text in PAGES.items() if written[path] != text]
    assert stale == [], "run python -m ansible_collections.hpc.ports.tests.support.port_reference"
    assert set((DOCS / "groups").iterdir()) == {path for path in PAGES if path.parent.name == "groups"}


def test_each_flow_has_an_area() -> None:
    assert list(areas()) == list(shipped()["flows"])
    assert "" not in areas().values()


def test_each_group_has_a_page() -> None:
    named = {name for flow in shipped()["flows"].values() for key in ("from", "to") for name in flow[key]}
    groups = {group for name in named for group in port_reference.members(name)}
    assert list(GROUPS)[: len(CANONICAL_GROUPS)] == list(CANONICAL_GROUPS)
    assert groups - set(shipped()["endpoints"]) - set(GROUPS) == set()


def test_each_port_of_each_flow_is_in_the_index() -> None:
    rows = re.findall(r"^\| (.+?) \| `(\w+)`: .+ \| \[(\w+)\]\(flows", PAGES[DOCS / "ports.md"], re.MULTILINE)
    listed = {(port, service, flow) for ports, service, flow in rows for port in ports.split(", ")}
    assert listed == {
        (port, service, name)
        for name, flow in shipped()["flows"].items()
        for service in flow["services"]
        for port in shipped()["services"][service]["ports"]
    }


@pytest.mark.parametrize("group", GROUPS)
def test_each_flow_of_a_group_is_on_its_page(group: str) -> None:
    accepts, opens = PAGES[DOCS / "groups" / f"{group}.md"].split("## What it opens")
    for text, key in ((accepts, "to"), (opens, "from")):
        expected = [
            name
            for name, flow in shipped()["flows"].items()
            if any(group in port_reference.members(member) for member in flow[key])
            # Other groups are beside a group of the collection.
            or group not in CANONICAL_GROUPS
            and "managed_hosts" in flow[key]
        ]
        assert re.findall(r"^\| \[(\w+)\]", text, re.MULTILINE) == expected


@pytest.mark.parametrize("path", [path for path in PAGES if path.suffix == ".svg"], ids=lambda path: path.stem)
def test_no_text_of_a_drawing_leaves_its_box(path: Path) -> None:
    root = ElementTree.fromstring(PAGES[path])
    frames = [
        tuple(float(rect.attrib[key]) for key in ("x", "y", "width", "height"))
        for rect in root.iter(f"{SVG}rect")
        if "x" in rect.attrib
    ]
    assert frames
    for text in root.iter(f"{SVG}text"):
        left, base = float(text.attrib["x"]), float(text.attrib["y"])
        right = left + len(text.text or "") * 7.2
        assert any(x <= left and right <= x + width and y < base < y + height for x, y, width, height in frames), (
            text.text
        )
    for (x, y, width, height), (x2, y2, width2, height2) in zip(frames, frames[1:]):
        assert x + width <= x2 or y + height <= y2 or x2 + width2 <= x or y2 + height2 <= y


def test_a_drawing_has_a_line_for_each_source_of_a_row() -> None:
    rows = [Row("ssh", ["a", "b"]), Row("nfs", ["b"], is_dashed=True)]
    picture = drawn("A & B", [[Box("a"), Box("b", ["below"])], [Box("<c>", rows=rows)]])
    root = ElementTree.fromstring(picture)
    lines = [path.attrib for path in root.iter(f"{SVG}path") if "marker-end" in path.attrib]
    assert ["stroke-dasharray" in line for line in lines] == [False, False, True]
    assert len({line["stroke"] for line in lines}) == 2
    assert [text.text for text in root.iter(f"{SVG}text")] == ["a", "b", "below", "<c>", "ssh", "nfs"]
