# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of the matrix and of the report of observe mode, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._report.html import page_of
from ansible_collections.hpc.ports.tests.page.conftest import Show

HOSTILE = "<img src=x onerror=alert(1)>"
MATRIX = {
    "format": 1,
    "inventory": ["inventories/site", HOSTILE],
    "classes": {"login": {"hosts": ["l1", "l2"], "managed": True}, "desk": {"hosts": [HOSTILE], "managed": False}},
    "openings": [
        {"from": "desk", "to": "login", "flow": "ssh", "services": ["ssh"], "ports": ["22/tcp"]},
        {"from": "login", "to": "login", "flow": "srun", "services": ["srun"], "ports": ["61000-62999/tcp"]},
    ],
    "outside": [
        {
            "to": "login",
            "flow": "web",
            "services": ["web"],
            "ports": ["443/tcp"],
            "endpoints": ["users"],
            "networks": ["10.9.0.0/16"],
        }
    ],
}
NOBODY = {"hosts": [], "groups": [], "rest": [], "endpoints": [], "addresses": []}
OBSERVED = {
    "format": 1,
    "inventory": ["inventories/site"],
    "seen": [
        {
            "from": {**NOBODY, "hosts": ["c1", "c2"], "groups": ["slurm_compute"]},
            "to": {**NOBODY, "hosts": ["head"], "groups": ["slurm_controller"]},
            "ports": ["8649/udp"],
            "within_cluster": True,
            "listeners": ["gmond"],
            "packets": 12300,
            "last_seconds": 130,
        },
        {
            "from": {**NOBODY, "addresses": ["192.0.2.7"]},
            "to": {**NOBODY, "hosts": ["l1"], "rest": ["l1"]},
            "ports": ["40000-40010/tcp"],
            "within_cluster": False,
            "listeners": [HOSTILE],
            "packets": 1,
            "last_seconds": 90000,
        },
    ],
    "titles": [{"from": "slurm_compute", "to": "slurm_controller"}, {"from": "192.0.2.7", "to": "l1"}],
    "draft": "firewall_flows:\n  seen_gmond:\n    need: recommended",
    "left_out": ["seen_ssh: error ssh-known-sources"],
    "allowed": 4,
    "notes": ["2 hosts observe."],
}


@pytest.fixture
def shown(show: Show, tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    name, data = request.param
    file = tmp_path / f"{name}.html"
    file.write_text(page_of(name, data), encoding="utf-8")
    return show(file)


def rows(shown: Any, table: str) -> list[list[str]]:
    found: list[list[str]] = shown.page.locator(f"#{table} tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return found


@pytest.mark.parametrize("shown", [("matrix", MATRIX)], indirect=True)
def test_the_matrix_says_who_reaches_whom(shown: Any) -> None:
    assert shown.page.get_by_role("banner").locator("#inventory").inner_text() == f"inventories/site, {HOSTILE}"
    assert rows(shown, "outside") == [["login", "443/tcp", "web", "web", "users", "10.9.0.0/16"]]
    assert [row[:4] for row in rows(shown, "openings")] == [
        ["desk", "login", "22/tcp", "ssh"],
        ["login", "login", "61000-62999/tcp", "srun"],
        ["outside users", "login", "443/tcp", "web"],
    ]
    assert rows(shown, "classes")[1] == ["desk", "not managed", HOSTILE]
    shown.page.get_by_label("Port").fill("62000/tcp")
    assert (shown.status, [row[4] for row in rows(shown, "openings")]) == ("1 of 3 openings", ["srun"])
    shown.page.get_by_role("button", name="Clear filters").click()
    shown.page.get_by_text("3 of 3 openings").wait_for()
    assert shown.violations() == []


@pytest.mark.parametrize("shown", [("observed", OBSERVED)], indirect=True)
def test_the_report_of_observe_mode_says_what_no_flow_allows(shown: Any) -> None:
    assert shown.page.get_by_role("banner").locator("#inventory").inner_text() == "inventories/site"
    assert rows(shown, "seen") == [
        ["slurm_compute", "slurm_controller", "8649/udp", "2", "12,300", "2 min ago", "gmond"],
        ["192.0.2.7", "l1", "40000-40010/tcp", "0", "1", "1 d ago", HOSTILE],
    ]
    assert "seen_gmond" in shown.page.locator("#draft").inner_text()
    assert shown.page.locator("#left").inner_text() == "seen_ssh: error ssh-known-sources"
    for label, text in (("Port", "40005"), ("From", "192.0"), ("To", "l1"), ("Listener", "img")):
        shown.page.get_by_label(label, exact=True).fill(text)
        shown.page.get_by_text("1 of 2 groups").wait_for()
        shown.page.get_by_role("button", name="Clear filters").click()
        shown.page.get_by_text("2 of 2 groups").wait_for()
    assert shown.violations() == []
