# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other people's tables as nft lists them, at a cost that does not grow without end: those that are too large are not
listed, and told of by their base chains alone.

Elements of plain sets are never listed, as a rule that looks them up says what it does with them. Of a single table,
nft before 1.1 reads them all the same, so that a table with very many is not listed beside other large ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Callable, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux import nft_outline
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import Run, run
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft import as_script, version
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_listings import Listing, ListingCache
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_outline import TableContents, TableOutline
from ansible_collections.hpc.ports.plugins.module_utils._model.names import TABLE

# Rules, jumps, and elements of maps and of sets within a rule: of all others together.
MOST = 2_000
# Elements of the plain sets of a table, where tables are listed one by one.
MOST_ELEMENTS = 20_000
FIREWALLD = "inet firewalld"
# The oldest nft that reads no other tables than it lists. Before, each listing reads all that there is.
_FILTERS = (1, 0, 2)
# The names that nft takes in a command.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9/_.-]*", re.ASCII)


# Lists some things one after the other, tersely or not.
_Lists = Callable[[Sequence[str], bool], str]


class OtherTables(NamedTuple):
    """Listings of tables one after the other, and those tables that were not listed."""

    listing: str
    unread: tuple[TableOutline, ...]


class TableReaders(NamedTuple):
    """What tells of tables: their outlines, what is in them, and how a program lists them."""

    outlines: Callable[[], list[TableOutline]] = nft_outline.table_outlines
    contents: Callable[[TableOutline, int], TableContents] = nft_outline.contents
    plain_elements: Callable[[TableOutline, int], int] = nft_outline.plain_elements
    program: Run = run
    kept: ListingCache = ListingCache()


def read_other_tables(backend: str, readers: TableReaders = TableReaders()) -> OtherTables:
    """Return what tells what tables that are not ours do to packets. Raises OSError, RuntimeError."""
    found = {item: readers.contents(item, MOST) for item in readers.outlines() if str(item) != TABLE}
    # The backend of firewalld reads its table in any case.
    sizes = {item: 0 if (backend, str(item)) == ("firewalld", FIREWALLD) else found[item].size for item in found}
    judging = {item: found[item] for item in found if item.bases and not item.is_dormant}
    if sum(sizes.values()) <= MOST:
        return OtherTables(_all_listed(judging, _lister(backend, readers, found)), ())
    read = {
        item: found[item]
        for item in _smallest(judging, sizes)
        if not sizes[item] or readers.plain_elements(item, MOST_ELEMENTS) <= MOST_ELEMENTS
    }
    return OtherTables(_listed(read, backend, readers), tuple(item for item in judging if item not in read))


def _all_listed(tables: Mapping[TableOutline, TableContents], lists: _Lists) -> str:
    names = [item.name for item in tables if tables[item].verdict_maps]
    names += [name for found in tables.values() for name in found.verdict_maps]
    if not all(map(_NAME.fullmatch, names)):
        return lists(["ruleset"], False)
    return (lists(["ruleset"], True) if tables else "") + lists(_maps(tables), False)


def _listed(tables: Mapping[TableOutline, TableContents], backend: str, readers: TableReaders) -> str:
    whats = ["table " + _checked(item) for item in tables]
    if whats and backend == "nftables" and version(readers.program) < _FILTERS:
        script = as_script("list " + what for what in whats)
        return readers.kept.text(
            Listing(script, _keys(tables)), lambda: readers.program(["nft", "-s", "-f", "-"], script)
        )
    lists = _lister(backend, readers, tables)
    return lists(whats, True) + lists(_maps(tables), False)


def _maps(tables: Mapping[TableOutline, TableContents]) -> list[str]:
    return [f"map {_checked(item)} {_plain(name)}" for item, found in tables.items() for name in found.verdict_maps]


def _smallest(tables: Iterable[TableOutline], sizes: Mapping[TableOutline, int]) -> list[TableOutline]:
    """Return as many tables as the bound allows."""
    found, left = [], MOST
    for item in sorted(tables, key=lambda item: sizes[item]):
        left -= sizes[item]
        if left < 0:
            break
        found.append(item)
    return found


def _lister(backend: str, readers: TableReaders, tables: Iterable[TableOutline]) -> _Lists:
    """Return what lists things of these tables without counters, and tersely: without the elements of named sets."""
    lists = _by_library if backend == "firewalld" else _by_nft(readers.program)

    def listed(what: str, is_terse: bool) -> str:
        # Our own table is in a listing of all, but nobody reads it there.
        concerned = _keys(item for item in tables if what == "ruleset" or what.split()[1:3] == str(item).split())
        command = " ".join([backend, what, *(["terse"] if is_terse else [])])
        return readers.kept.text(Listing(command, concerned, is_terse), lambda: _ended(lists(what, is_terse)))

    return lambda whats, is_terse: "".join(listed(what, is_terse) for what in whats)


def _keys(tables: Iterable[TableOutline]) -> tuple[tuple[str, str], ...]:
    return tuple((item.family, item.name) for item in tables)


def _by_nft(program: Run) -> Callable[[str, bool], str]:
    return lambda what, is_terse: program(["nft", "-s", *(["-t"] if is_terse else []), "list", *what.split()])


def _by_library(what: str, is_terse: bool) -> str:
    # A host with firewalld may have no nft.
    from ansible_collections.hpc.ports.plugins.module_utils._linux.libnftables import listing

    return listing(what, is_terse)


def _checked(table: TableOutline) -> str:
    return f"{table.family} {_plain(table.name)}"


def _plain(name: str) -> str:
    """Return a name that is safe in a command: the kernel takes any."""
    if not _NAME.fullmatch(name):
        raise RuntimeError(f"Cannot list {name!r}: expected a name of letters, digits and /_.-, as nft takes them.")
    return name


def _ended(listing: str) -> str:
    return listing if listing.endswith("\n") or not listing else listing + "\n"
