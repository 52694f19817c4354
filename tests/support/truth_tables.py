# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The truth tables of the inventories in `inventories/`, written by hand: which connections pass and which do not."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from itertools import permutations
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, parse_ports
from ansible_collections.hpc.ports.tests.support.inventories import Connection, plan_of
from ansible_collections.hpc.ports.tests.support.plays import ROOT
from netaddr import IPAddress

TABLES = ROOT / "tests" / "unit" / "sites"


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
    """Return the rows of a table. `*` in a name stands for any rest of names of hosts."""
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


def rows_about(kind: str, connection: Connection) -> list[Row]:
    """Return the rows about a connection. It passes if there are some and all say so."""
    return [row for row in rows_of(kind) if row.has(connection)]
