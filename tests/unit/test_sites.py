# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of each kind of site (docs/sites.md) does what such a site needs, and lint has nothing to say.

`sites/KIND.csv` says which connections pass and which do not. The tables were written by hand from what users and
services of such a site do, not from the compiled plan. A row connects each host or address of `from` with each of `to`.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from datetime import date
from itertools import product
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.rules import findings
from ansible_collections.hpc.ports.tests.support.inventories import Connection, plan_of, verdicts
from ansible_collections.hpc.ports.tests.support.plays import ROOT

TABLES = Path(__file__).parent / "sites"
KINDS = sorted(path.stem for path in TABLES.glob("*.csv"))
TODAY = date(2026, 11, 28)
PASSES = {"yes": {True}, "no": {False}}


def rows_of(kind: str) -> list[dict[str, str]]:
    with (TABLES / f"{kind}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def connections_of(row: dict[str, str]) -> Iterator[Connection]:
    for source, target, port in product(row["from"].split(), row["to"].split(), row["port"].split()):
        number, protocol = port.split("/")
        yield Connection(source, target, int(number), protocol)


def text_of(connection: Connection) -> str:
    return f"{connection.source} to {connection.target} {connection.port}/{connection.protocol}"


@pytest.mark.parametrize("kind", KINDS)
def test_the_plan_passes_what_the_table_says(kind: str) -> None:
    plan = plan_of(kind)
    wrong = [
        f"{text_of(connection)}, expected {row['passes']}: {row['why']}"
        for row in rows_of(kind)
        for connection in connections_of(row)
        if verdicts(plan, connection) != PASSES[row["passes"]]
    ]
    assert wrong == []


# The ports of a range count as those of NFS and Fluentd.
FALSE_ALARMS = pytest.param("grid", marks=pytest.mark.xfail(strict=False))


@pytest.mark.parametrize("kind", [FALSE_ALARMS if kind == "grid" else kind for kind in KINDS])
def test_lint_finds_nothing_but_what_the_site_accepts(kind: str) -> None:
    found = [finding for finding in findings(plan_of(kind), TODAY) if finding.severity not in ("note", "accepted")]
    assert found == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_covers_each_managed_host_and_both_answers(kind: str) -> None:
    rows = rows_of(kind)
    named = {name for row in rows for side in ("from", "to") for name in row[side].split()}
    answers = Counter(row["passes"] for row in rows)
    assert sorted(plan_of(kind).hosts.keys() - named) == []
    assert len(rows) >= 25
    assert min(answers["yes"], answers["no"]) >= 10


def test_each_inventory_has_a_table() -> None:
    inventories = {path.name for path in (ROOT / "inventories").iterdir() if path.is_dir()}
    assert sorted(inventories - {"small", "example"}) == KINDS
