# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests of tables, from sample answers of a kernel. tests/kernel checks each kind of drift with a real one."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError, attribute
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_fingerprint import NoTableError, fingerprint

TABLES, CHAINS, RULES, SETS, ELEMENTS, OBJECTS, FLOWTABLES = 0xA01, 0xA04, 0xA07, 0xA0A, 0xA0D, 0xA13, 0xA17
INET, IP = 1, 2
OURS = ("inet", "t")
COUNTER, QUOTA = 1, 2


def number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("!I", value))


def name(kind: int, text: str) -> bytes:
    return attribute(kind, text.encode() + b"\0")


def of(*parts: bytes, family: int = INET, table: str = "t") -> bytes:
    return bytes([family, 0, 0, 0]) + name(1, table) + b"".join(parts)


def expression(kind: str, data: bytes) -> bytes:
    return attribute(1, name(1, kind) + attribute(2, data))


def rule(*expressions: bytes) -> bytes:
    return of(name(2, "input"), number(3, 7), attribute(4, b"".join(expressions)))


def a_set(flags: int = 0) -> bytes:
    return of(name(2, "s"), number(3, flags))


WHOLE = {
    TABLES: [of(number(2, 0))],
    CHAINS: [of(name(3, "input"), number(5, 1), attribute(8, b"12 packets"))],
    RULES: [rule(expression("cmp", b"22"), expression("counter", b"3 packets"), expression("immediate", b"accept"))],
    OBJECTS: [of(name(2, "c"), number(3, COUNTER), attribute(4, b"5 packets"))],
    FLOWTABLES: [of(name(2, "f"))],
    SETS: [a_set()],
    ELEMENTS: [of(name(2, "s"), attribute(3, b"10.0.0.1"))],
}


def printed(is_terse: bool = False, **changed: list[bytes]) -> str:
    """Return the digest of the table with these kinds of objects replaced; the kernel returns all tables at once."""
    kernel = {**WHOLE, **{globals()[kind]: items for kind, items in changed.items()}}

    def asked(protocol: int, kind: int, amount: int, body: bytes) -> Iterator[bytes]:
        assert (protocol, amount) == (12, 0x300)
        assert body[4:] == name(1, "t") + (name(2, "s") if kind == ELEMENTS else b"")
        yield from kernel[kind]

    return fingerprint([OURS], is_terse, asked)


@pytest.mark.parametrize(
    "changed",
    [
        {"TABLES": [of(number(2, 1))]},
        {"CHAINS": [of(name(3, "input"), number(5, 0))]},
        {
            "RULES": [
                rule(expression("cmp", b"23"), expression("counter", b"3 packets"), expression("immediate", b"accept"))
            ]
        },
        {"RULES": [rule(expression("cmp", b"22"), expression("immediate", b"accept"))]},
        {"RULES": WHOLE[RULES] * 2},
        {"OBJECTS": [of(name(2, "d"), number(3, COUNTER))]},
        {"OBJECTS": [of(name(2, "c"), number(3, QUOTA), attribute(4, b"5 packets"))]},
        {"FLOWTABLES": [of(name(2, "g"))]},
        {"SETS": [a_set(4)]},
        {"ELEMENTS": [of(name(2, "s"), attribute(3, b"10.0.0.2"))]},
        {"ELEMENTS": []},
    ],
    ids=str,
)
def test_a_change_that_nft_lists_changes_the_digest(changed: dict[str, list[bytes]]) -> None:
    assert printed(**changed) != printed()


@pytest.mark.parametrize(
    "changed",
    [
        {"CHAINS": [of(name(3, "input"), number(5, 1), attribute(8, b"13 packets"))]},
        {
            "RULES": [
                rule(expression("cmp", b"22"), expression("counter", b"4 packets"), expression("immediate", b"accept"))
            ]
        },
        {"OBJECTS": [of(name(2, "c"), number(3, COUNTER), attribute(4, b"6 packets"))]},
        {"CHAINS": [*WHOLE[CHAINS], of(name(3, "input"), table="other"), of(name(3, "input"), family=IP)]},
    ],
    ids=str,
)
def test_counters_and_other_tables_do_not_change_the_digest(changed: dict[str, list[bytes]]) -> None:
    assert printed(**changed) == printed()


def test_terse_leaves_out_the_elements_of_named_sets() -> None:
    other = [of(name(2, "s"), attribute(3, b"10.0.0.2"))]
    assert printed(True, ELEMENTS=other) == printed(True)
    assert printed(True, SETS=[a_set(1)], ELEMENTS=other) != printed(True, SETS=[a_set(1)])


@pytest.mark.parametrize(
    "table, name, differs",
    [
        ("hpc_ports", "observed_in_v4", False),
        ("hpc_ports_published", "observed_since", False),
        ("hpc_ports", "in_web_v4", True),
        ("t", "observed_in_v4", True),
    ],
)
def test_records_of_observe_mode_do_not_change_the_digest(table: str, name: str, differs: bool) -> None:
    def printed_with(count: int, definition: int = 0) -> str:
        kernel = {
            TABLES: [of(number(2, 0), table=table)],
            SETS: [of(attribute(2, name.encode() + b"\0"), number(3, definition), number(20, count), table=table)],
            ELEMENTS: [of(attribute(3, b"10.0.0.1" * count), table=table)],
        }
        return fingerprint([("inet", table)], False, lambda _protocol, kind, *_rest: iter(kernel.get(kind, [])))

    assert (printed_with(1) != printed_with(2)) == differs
    assert printed_with(1, definition=0x30) != printed_with(1)


@pytest.mark.parametrize("tables", [[], [of(table="u")], [of(family=IP)], [of(table="\ufffd")]])
def test_a_missing_table_has_no_digest(tables: list[bytes]) -> None:
    with pytest.raises(NoTableError):
        printed(TABLES=tables)


def test_a_truncated_answer_is_an_error() -> None:
    with pytest.raises(NetlinkError):
        printed(RULES=[of(attribute(4, b"\xff\xff\0\0"))])
