# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of each kind of site (docs/sites.md) does what such a site needs, and lint has nothing to say.

`sites/KIND.csv` says which connections pass. The tables were written by hand from what users and services of such a
site do, not from the compiled plan. A row connects each host or address of `from` with each of `to`; `node*` is all
hosts with such a name, `*` all hosts and all addresses of the table.

A connection passes if a row says yes and no row says no. All others must be blocked: each table is compared with the
plan for all pairs of its hosts and addresses, and for all its ports.
"""

from __future__ import annotations

from datetime import date

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.rules import findings
from ansible_collections.hpc.ports.tests.support.inventories import Connection, Judge, plan_of
from ansible_collections.hpc.ports.tests.support.plays import ROOT
from ansible_collections.hpc.ports.tests.support.truth_tables import TABLES, connections_of, rows_about, rows_of

KINDS = sorted(path.stem for path in TABLES.glob("*.csv"))
TODAY = date(2026, 11, 28)


def difference(kind: str, judge: Judge, connection: Connection) -> str:
    """Return how the plan differs from the table for a connection, empty if it does not."""
    rows = rows_about(kind, connection)
    expected = bool(rows) and all(row.passes for row in rows)
    verdicts = judge.verdicts(connection)
    # Without addresses of one IP version there is no connection, so no row may say yes.
    if verdicts == {expected} or not verdicts and not expected:
        return ""
    reasons = "; ".join(row.why for row in rows if row.passes == expected) or "no row says yes"
    return f"{connection}: expected {'yes' if expected else 'no'} ({reasons}), got {sorted(verdicts)}"


@pytest.mark.parametrize("kind", KINDS)
def test_the_plan_is_equal_to_the_table(kind: str) -> None:
    judge = Judge(plan_of(kind))
    differences = [difference(kind, judge, connection) for connection in connections_of(kind)]
    assert list(filter(None, differences)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_lint_finds_nothing_but_what_the_site_accepts(kind: str) -> None:
    found = [finding for finding in findings(plan_of(kind), TODAY) if finding.severity not in ("note", "accepted")]
    assert found == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_has_many_rows_with_both_answers(kind: str) -> None:
    answers = [row.passes for row in rows_of(kind)]
    assert len(answers) >= 25
    assert min(answers.count(True), answers.count(False)) >= 10


def test_each_inventory_has_a_table() -> None:
    inventories = {path.name for path in (ROOT / "inventories").iterdir() if path.is_dir()}
    assert sorted(inventories - {"small", "example"}) == KINDS
