# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The matrix as text and as files."""

from __future__ import annotations

import csv
import io
import json

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown_data
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.matrix import Matrix, by_host, matrix_of, narrowed
from ansible_collections.hpc.ports.plugins.plugin_utils._report.matrix import (
    WRITERS,
    data_of,
    differing_rows,
    file_text,
    lines,
)
from ansible_collections.hpc.ports.tests.support.random_sites import SITES, Site
from ansible_collections.hpc.ports.tests.support.sites import make_plan
from hypothesis import given

PORT_FILE = {
    "services": {"web": {"ports": ["443/tcp", "80/tcp"]}, "db": {"ports": ["5432/tcp"]}},
    "endpoints": {"users": {"cidrs": ["10.9.0.0/16"]}},
    "flows": {
        "portal": {
            "from": ["users", "slurm_compute"],
            "to": ["control_plane"],
            "services": ["web"],
            "need": "required",
        },
        "data": {"from": ["slurm_compute"], "to": ["control_plane"], "services": ["db"], "need": "required"},
    },
}
HOSTS = {
    "ctl": {"groups": ["control_plane"], "addresses": ["10.0.0.1"]},
    **{f"n{number}": {"groups": ["slurm_compute"], "addresses": [f"10.0.1.{number}"]} for number in range(1, 7)},
}


@pytest.fixture(name="matrix")
def _matrix() -> Matrix:
    return matrix_of(make_plan(PORT_FILE, HOSTS))


def test_the_screen_lists_what_is_open_by_target_and_what_is_open_to_outside(matrix: Matrix) -> None:
    assert lines(matrix) == [
        "control_plane (ctl)",
        "  5432/tcp         data: slurm_compute",
        "  22/tcp           management_ssh: outside controllers (192.0.2.1/32)",
        "  80/tcp, 443/tcp  portal: slurm_compute, outside users (10.9.0.0/16)",
        "",
        "slurm_compute (n1, n2, n3, n4 and 2 more)",
        "  22/tcp  management_ssh: outside controllers (192.0.2.1/32)",
        "",
        "Open to networks outside the inventory:",
        "  22/tcp           management_ssh from outside controllers (192.0.2.1/32): control_plane, slurm_compute",
        "  80/tcp, 443/tcp  portal from outside users (10.9.0.0/16): control_plane",
    ]


def test_a_question_is_about_one_host_or_port(matrix: Matrix) -> None:
    assert lines(narrowed(matrix, source="n3"), with_outside=False) == [
        "control_plane (ctl)",
        "  5432/tcp         data: n3",
        "  80/tcp, 443/tcp  portal: n3",
    ]
    assert lines(narrowed(matrix, target="ctl", port=PortRange("tcp", 80, 80))) == [
        "ctl",
        "  80/tcp  portal: slurm_compute, outside users (10.9.0.0/16)",
        "",
        "Open to networks outside the inventory:",
        "  80/tcp  portal from outside users (10.9.0.0/16): ctl",
    ]
    assert lines(narrowed(matrix, source="n3", target="n4"), with_outside=False) == ["Nothing is open by the plan."]


def test_by_host_each_host_is_a_class(matrix: Matrix) -> None:
    data = data_of(by_host(matrix))
    assert data["classes"]["n6"] == {"hosts": ["n6"], "managed": True}
    assert {(item["from"], item["to"]) for item in data["openings"]} == {
        (f"n{number}", "ctl") for number in range(1, 7)
    }


def test_json_has_the_data(matrix: Matrix) -> None:
    data = json.loads(WRITERS[".json"](matrix))
    assert data == data_of(matrix)
    assert {
        "from": "slurm_compute",
        "to": "control_plane",
        "flow": "data",
        "services": ["db"],
        "ports": ["5432/tcp"],
    } in (data["openings"])


def test_csv_has_a_row_for_each_opening(matrix: Matrix) -> None:
    rows = list(csv.DictReader(io.StringIO(WRITERS[".csv"](matrix))))
    assert rows == sorted(rows, key=lambda row: (row["to"], row["from"], row["flow"]))
    assert {(row["from"], row["to"], row["ports"], row["networks"]) for row in rows} == {
        ("slurm_compute", "control_plane", "5432/tcp", ""),
        ("slurm_compute", "control_plane", "80/tcp 443/tcp", ""),
        ("outside users", "control_plane", "80/tcp 443/tcp", "10.9.0.0/16"),
        ("outside controllers", "control_plane", "22/tcp", "192.0.2.1/32"),
        ("outside controllers", "slurm_compute", "22/tcp", "192.0.2.1/32"),
    }


def test_markdown_is_a_table_whose_cells_stay_cells(matrix: Matrix) -> None:
    odd = matrix.classes[0]._replace(name="a|b<c")
    text = WRITERS[".md"](Matrix([odd], [], [item._replace(target=odd) for item in matrix.outside]))
    assert "| a\\|b&lt;c | outside users | 80/tcp 443/tcp | portal | 10.9.0.0/16 |" in text.splitlines()


@given(SITES)
def test_every_writer_takes_every_matrix(site: Site) -> None:
    matrix = matrix_of(site.plan())
    for write in WRITERS.values():
        assert write(matrix)
        assert write(by_host(matrix))
    page = file_text("m.html", matrix, ["inventories/site"])
    embedded = page.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    assert json.loads(embedded) == {**shown_data(data_of(matrix)), "inventory": ["inventories/site"]}
    assert file_text("m.csv", matrix, ["inventories/site"]) == WRITERS[".csv"](matrix)


def test_rows_that_differ_from_the_expected_matrix(matrix: Matrix) -> None:
    text = WRITERS[".csv"](matrix)
    assert differing_rows(text, text) == []
    rows = text.splitlines()
    assert differing_rows("\n".join([*rows[:2], "gone", *rows[3:]]), text) == ["- gone", f"+ {rows[2]}"]
