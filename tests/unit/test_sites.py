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

import csv
from collections.abc import Iterator
from datetime import date
from fnmatch import fnmatchcase
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, parse_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.rules import findings
from ansible_collections.hpc.ports.tests.support.inventories import Connection, Judge, plan_of
from ansible_collections.hpc.ports.tests.support.plays import ROOT
from netaddr import IPAddress

TABLES = Path(__file__).parent / "sites"
KINDS = sorted(path.stem for path in TABLES.glob("*.csv"))
TODAY = date(2026, 11, 28)


class Row(NamedTuple):
    """One row of a table."""

    sources: frozenset[str]
    targets: frozenset[str]
    ports: tuple[PortRange, ...]
    passes: bool
    why: str

    def has(self, connection: Connection) -> bool:
        """Return whether the row is about a connection."""
        sides = connection.source in self.sources and connection.target in self.targets
        return sides and any(ports.covers(connection.protocol, connection.port) for ports in self.ports)


@cache
def rows_of(kind: str) -> list[Row]:
    with (TABLES / f"{kind}.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    words = {word for line in lines for side in ("from", "to") for word in line[side].split() if "*" not in word}
    hosts = plan_of(kind).inventory.hosts.keys()
    for address in words - hosts:
        IPAddress(address)  # raises for a name that is no host
    names = sorted(words | hosts)
    return [
        Row(
            _named(line["from"], names),
            _named(line["to"], names),
            tuple(map(parse_ports, line["port"].split())),
            {"yes": True, "no": False}[line["passes"]],
            line["why"],
        )
        for line in lines
    ]


def _named(text: str, names: list[str]) -> frozenset[str]:
    matches = [[name for name in names if fnmatchcase(name, word)] for word in text.split()]
    assert all(matches), f"{text} has a word that matches no host"
    return frozenset(name for found in matches for name in found)


def connections_of(kind: str) -> Iterator[Connection]:
    """Yield all connections of a table that a firewall decides, and those that a row names."""
    plan, rows = plan_of(kind), rows_of(kind)
    names = sorted({name for row in rows for name in row.sources | row.targets})
    ports = {(ports.protocol, port) for row in rows for ports in row.ports for port in (ports.first, ports.last)}
    restricted = {host for host in plan.hosts if plan.inventory.hosts[host].egress == "restricted"}
    for source, target in permutations(names, 2):
        for protocol, port in sorted(ports):
            connection = Connection(source, target, port, protocol)
            if target in plan.hosts or source in restricted or any(row.has(connection) for row in rows):
                yield connection


def difference(kind: str, judge: Judge, connection: Connection) -> str:
    """Return how the plan differs from the table for a connection, empty if it does not."""
    said = [row for row in rows_of(kind) if row.has(connection)]
    expected = bool(said) and all(row.passes for row in said)
    verdicts = judge.verdicts(connection)
    # Without addresses of one IP version there is no connection, so no row may say yes.
    if verdicts == {expected} or not verdicts and not expected:
        return ""
    reasons = "; ".join(row.why for row in said if row.passes == expected) or "no row says yes"
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
