# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the tables of other programs, at a bounded cost.

Tables that are too large are not listed; only their base chains are reported. The elements of plain sets are never
listed: the rule that uses a set shows the verdict. But nft before 1.1 reads these elements even to list a single table,
so a table with very many elements is not listed beside other large tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux import nft_outline
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import Run, run
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft import as_script, listing, version
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_listings import Listing, ListingCache
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_outline import TableContents, TableOutline
from ansible_collections.hpc.ports.plugins.module_utils._model.names import TABLES

# Limit for rules, jumps, and elements of maps and anonymous sets, of all other tables together.
MOST = 2_000
# Limit for the elements of plain sets of a table, if tables are listed one by one.
MOST_ELEMENTS = 20_000
FIREWALLD = "inet firewalld"
# The oldest nft that reads only the tables that it lists. Older versions read all tables for each listing.
_FILTERS = (1, 0, 2)
# The names that nft accepts in a command.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9/_.-]*", re.ASCII)


# Lists objects such as `table ip nat`, one after the other; True: tersely.
_Lists = Callable[[Sequence[str], bool], str]


class OtherTables(NamedTuple):
    """The listings of other tables, and the outlines of the tables that were not listed."""

    listing: str
    unread: tuple[TableOutline, ...]


class TableReaders(NamedTuple):
    """The functions that read outlines, contents and listings of tables, and the cache of listings."""

    outlines: Callable[[], list[TableOutline]] = nft_outline.table_outlines
    contents: Callable[[TableOutline, int], TableContents] = nft_outline.contents
    plain_elements: Callable[[TableOutline, int], int] = nft_outline.plain_elements
    program: Run = run
    kept: ListingCache = ListingCache()


def read_other_tables(backend: str, readers: TableReaders = TableReaders()) -> OtherTables:
    """Return the listings of all other tables that filter packets. Raises OSError and RuntimeError."""
    contents = {table: readers.contents(table, MOST) for table in readers.outlines() if str(table) not in TABLES}
    # The backend firewalld reads the table of firewalld in any case.
    sizes = {
        table: 0 if (backend, str(table)) == ("firewalld", FIREWALLD) else contents[table].size for table in contents
    }
    judging = {table: contents[table] for table in contents if table.bases and not table.is_dormant}
    if sum(sizes.values()) <= MOST:
        return OtherTables(_all_listed(judging, _list_function(backend, readers, contents)), ())
    read = {
        table: contents[table]
        for table in _smallest(judging, sizes)
        if not sizes[table] or readers.plain_elements(table, MOST_ELEMENTS) <= MOST_ELEMENTS
    }
    return OtherTables(_listed(read, backend, readers), tuple(table for table in judging if table not in read))


def are_small(readers: TableReaders = TableReaders()) -> bool:
    """Return whether nft lists all tables of others at a bounded cost. Raises NetlinkError."""
    others = [table for table in readers.outlines() if str(table) not in TABLES]
    return (
        sum(readers.contents(table, MOST).size for table in others) <= MOST
        and sum(readers.plain_elements(table, MOST_ELEMENTS) for table in others) <= MOST_ELEMENTS
    )


def _all_listed(tables: Mapping[TableOutline, TableContents], lists: _Lists) -> str:
    names = [table.name for table in tables if tables[table].verdict_maps]
    names += [name for contents in tables.values() for name in contents.verdict_maps]
    if not all(map(_NAME.fullmatch, names)):
        return lists(["ruleset"], False)
    return (lists(["ruleset"], True) if tables else "") + lists(_map_arguments(tables), False)


def _listed(tables: Mapping[TableOutline, TableContents], backend: str, readers: TableReaders) -> str:
    objects = ["table " + _table_arguments(table) for table in tables]
    if objects and backend == "nftables" and version(readers.program) < _FILTERS:
        script = as_script("list " + name for name in objects)
        return readers.kept.text(
            Listing(script, _table_keys(tables)), lambda: readers.program(["nft", "-s", "-f", "-"], script)
        )
    lists = _list_function(backend, readers, tables)
    return lists(objects, True) + lists(_map_arguments(tables), False)


def _map_arguments(tables: Mapping[TableOutline, TableContents]) -> list[str]:
    return [
        f"map {_table_arguments(table)} {_safe_name(name)}"
        for table, contents in tables.items()
        for name in contents.verdict_maps
    ]


def _smallest(tables: Iterable[TableOutline], sizes: Mapping[TableOutline, int]) -> list[TableOutline]:
    """Return the smallest tables, as many as the limit allows."""
    smallest, left = [], MOST
    for table in sorted(tables, key=lambda table: sizes[table]):
        left -= sizes[table]
        if left < 0:
            break
        smallest.append(table)
    return smallest


def _list_function(backend: str, readers: TableReaders, tables: Iterable[TableOutline]) -> _Lists:
    """Return the function that lists objects of these tables without counters; tersely: no elements of named sets."""
    # A host with firewalld may not have the program nft.
    lists = listing if backend == "firewalld" else _by_nft(readers.program)

    def listed(name: str, is_terse: bool) -> str:
        # A listing of the whole ruleset includes our tables, but they are not used.
        concerned = _table_keys(
            table for table in tables if name == "ruleset" or name.split()[1:3] == str(table).split()
        )
        command = " ".join([backend, name, *(["terse"] if is_terse else [])])
        return readers.kept.text(Listing(command, concerned, is_terse), lambda: _with_newline(lists(name, is_terse)))

    return lambda objects, is_terse: "".join(listed(name, is_terse) for name in objects)


def _table_keys(tables: Iterable[TableOutline]) -> tuple[tuple[str, str], ...]:
    return tuple((table.family, table.name) for table in tables)


def _by_nft(program: Run) -> Callable[[str, bool], str]:
    return lambda what, is_terse: program(["nft", "-s", *(["-t"] if is_terse else []), "list", *what.split()])


def _table_arguments(table: TableOutline) -> str:
    return f"{table.family} {_safe_name(table.name)}"


def _safe_name(name: str) -> str:
    """Return the name if it is safe in a command; the kernel accepts any name."""
    if not _NAME.fullmatch(name):
        raise RuntimeError(f"Cannot list {name!r}: nft accepts only names of letters, digits and /_.-.")
    return name


def _with_newline(listing: str) -> str:
    return listing if listing.endswith("\n") or not listing else listing + "\n"
