# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tables are listed, and by which commands. tests/kernel/test_others.py runs nft."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from unittest.mock import MagicMock

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_listings import ListingCache
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_outline import BaseChain, TableContents, TableOutline
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.other_tables import (
    MOST,
    MOST_ELEMENTS,
    OtherTables,
    TableReaders,
    read_other_tables,
)

INPUT = (BaseChain("c", "filter", "input", "accept", 1),)
NONE_KEPT = ListingCache("/nonexistent")
OURS = TableOutline("inet", "hpc_ports", INPUT, MOST + 1)


def table(
    name: str, size: int, bases: tuple[BaseChain, ...] = INPUT, family: str = "ip", dormant: bool = False
) -> TableOutline:
    return TableOutline(family, name, bases, size, dormant)


def asked(
    *tables: TableOutline, maps: tuple[str, ...] = (), elements: int = 0, version: str = "1.0.2"
) -> tuple[OtherTables, list[str]]:
    """Return the result for these tables, and the commands of nft except for its version."""
    calls: list[str] = []

    def run(arguments: Sequence[str], text: str = "") -> str:
        if arguments[1] == "--version":
            return f"nftables v{version} (Lester Gooch)\n"
        calls.append(" ".join(arguments) + "".join(f"; {line}" for line in text.splitlines()))
        return calls[-1] + "\n"

    found = read_other_tables(
        "nftables",
        TableReaders(
            lambda: list(tables),
            lambda table, most: TableContents(table.size, maps),
            lambda table, most: elements,
            run,
            NONE_KEPT,
        ),
    )
    assert found.listing == "".join(call + "\n" for call in calls)
    return found, calls


@pytest.mark.parametrize("tables", [(), (OURS,), (table("none", 5, ()),), (table("asleep", 5, dormant=True),)])
def test_without_other_base_chains_nothing_is_listed(tables: tuple[TableOutline, ...]) -> None:
    assert asked(*tables) == (OtherTables("", ()), [])


def test_up_to_the_limit_the_ruleset_is_listed_at_once() -> None:
    found, calls = asked(OURS, table("a", MOST - 1), table("b", 1))
    assert (found.unread, calls) == ((), ["nft -s -t list ruleset"])


def test_verdict_maps_are_listed_with_their_elements() -> None:
    found, calls = asked(table("a", 5), maps=("m", "n"))
    assert calls == ["nft -s -t list ruleset", "nft -s list map ip a m", "nft -s list map ip a n"]


def test_over_the_limit_the_smallest_tables_are_listed() -> None:
    large, small, middle, more = table("l", 100_000), table("s", 1), table("m", MOST - 1), table("n", MOST)
    assert asked(large, more, small, middle) == (
        OtherTables("nft -s -t list table ip s\nnft -s -t list table ip m\n", (large, more)),
        ["nft -s -t list table ip s", "nft -s -t list table ip m"],
    )


def test_an_old_nft_runs_once_because_it_reads_everything() -> None:
    tables = (table("l", 100_000), table("s", 1), table("m", 2))
    assert asked(*tables, maps=("m",), version="1.0.1")[1] == ["nft -s -f -; list table ip s; list table ip m"]
    assert asked(tables[0], version="1.0.1")[1] == []


@pytest.mark.parametrize("idle", [table("none", MOST, ()), table("asleep", MOST, dormant=True)])
def test_large_tables_without_base_chains_are_not_listed(idle: TableOutline) -> None:
    found, calls = asked(idle, table("s", 1))
    assert (found.unread, calls) == ((), ["nft -s -t list table ip s"])


def test_very_many_elements_are_not_read_beside_a_large_table() -> None:
    large, small = table("l", MOST), table("s", 1)
    assert len(asked(large, small, elements=MOST_ELEMENTS)[1]) == 1
    assert asked(large, small, elements=MOST_ELEMENTS + 1) == (OtherTables("", (large, small)), [])
    assert asked(small, elements=MOST_ELEMENTS + 1)[1] == ["nft -s -t list ruleset"]


@pytest.mark.parametrize("name", ["x; flush ruleset", "a b", "-f", "", "1a", "ä"])
def test_names_that_nft_does_not_accept_are_refused(name: str) -> None:
    message = f"Cannot list {name!r}: nft accepts only names of letters, digits and /_.-."
    large = table("l", MOST)
    for tables, maps in (((table(name, 1), large), ()), ((table("a", 1), large), (name,))):
        with pytest.raises(RuntimeError) as caught:
            asked(*tables, maps=maps)
        assert str(caught.value) == message
    # The name is not needed if the whole ruleset is listed.
    assert asked(table(name, 1))[1] == ["nft -s -t list ruleset"]
    assert asked(table("a", 1), maps=(name,))[1] == asked(table(name, 1), maps=("m",))[1] == ["nft -s list ruleset"]


def test_the_table_of_firewalld_is_not_counted_for_its_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    library = MagicMock()
    library.nft_run_cmd_from_buffer.return_value = 0
    library.nft_ctx_get_output_buffer.return_value = b"text"
    library.nft_ctx_get_error_buffer.return_value = b""
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    tables = [table("firewalld", MOST, family="inet"), table("a", 1)]
    ask = TableReaders(
        lambda: tables,
        lambda table, most: TableContents(table.size, ()),
        lambda table, most: MOST_ELEMENTS + (table.name == "firewalld"),
        kept=NONE_KEPT,
    )
    assert read_other_tables("firewalld", ask) == OtherTables("text\n", ())
    tables.append(table("l", MOST))
    assert read_other_tables("firewalld", ask) == OtherTables("text\ntext\n", (tables[-1],))
    commands = [call.args[1] for call in library.nft_run_cmd_from_buffer.call_args_list]
    assert commands == [b"list ruleset", b"list table inet firewalld", b"list table ip a"]
    flags = {call.args[1] for call in library.nft_ctx_output_set_flags.call_args_list}
    assert flags == {1 << 2 | 1 << 7 | 1 << 11}  # stateless, protocols by number, terse
