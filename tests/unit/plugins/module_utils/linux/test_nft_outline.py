# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Outlines of tables, from sample answers of a kernel. tests/kernel/test_others.py uses real kernels."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError, attribute
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_outline import (
    BaseChain,
    TableContents,
    TableOutline,
    contents,
    plain_elements,
    table_outlines,
)

TABLES, CHAINS, SETS, ELEMENTS = 0xA01, 0xA04, 0xA0A, 0xA0D
INET, IP, NETDEV = 1, 2, 5
NESTED = 0x8000


def number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("!I", value))


def name(kind: int, text: str) -> bytes:
    return attribute(kind, text.encode() + b"\0")


def answer(family: int, *parts: bytes) -> bytes:
    return bytes([family, 0, 0, 0]) + b"".join(parts)


def table(family: int, text: str, flags: int = 0) -> bytes:
    return answer(family, name(1, text), number(3, 9), number(2, flags))


def chain(family: int, of: str, text: str, use: int, *more: bytes) -> bytes:
    return answer(family, name(1, of), name(3, text), *more, number(6, use))


def base(hook: int, kind: str = "filter", policy: int = 1) -> bytes:
    return attribute(4 | NESTED, number(1, hook) + number(2, 0)) + number(5, policy) + name(7, kind)


def a_set(text: str, flags: int = 0, data: int = 0, size: int | None = None) -> bytes:
    description = attribute(9 | NESTED, b"" if size is None else number(1, size))
    return answer(IP, name(1, "t"), name(2, text), number(3, flags), number(6, data), description)


def elements(count: int) -> bytes:
    return answer(IP, name(1, "t"), name(2, "m"), attribute(3 | NESTED, attribute(1 | NESTED, bytes(10)) * count))


class Kernel:
    """A kernel with these answers; `given` counts the answers that were read, by kind."""

    def __init__(self, **answers: list[bytes]) -> None:
        self.answers = {
            TABLES: answers.get("tables", []),
            CHAINS: answers.get("chains", []),
            SETS: answers.get("sets", []),
            ELEMENTS: answers.get("elements", []),
        }
        self.given = dict.fromkeys(self.answers, 0)
        self.bodies: dict[int, bytes] = {}

    def __call__(self, protocol: int, kind: int, amount: int, body: bytes) -> Iterator[bytes]:
        assert (protocol, amount) == (12, 0x300)
        self.bodies[kind] = body
        for item in self.answers[kind]:
            self.given[kind] += 1
            yield item


def test_tables_with_their_base_chains() -> None:
    kernel = Kernel(
        tables=[table(INET, "a"), table(IP, "a"), table(NETDEV, "d"), table(IP, "asleep", 1), table(IP, "none", 2)],
        chains=[
            chain(INET, "a", "in", 2, base(1, policy=0)),
            chain(INET, "a", "other", 5),
            chain(INET, "a", "early", 0, base(5)),
            chain(IP, "a", "nat", 1, base(0, "nat")),
            chain(IP, "asleep", "in", 3, base(1)),
            chain(NETDEV, "d", "in", 1, base(0)),
            chain(NETDEV, "d", "out", 1, base(1)),
            chain(IP, "a", "later", 1, base(4)),
            chain(IP, "a", "strange", 1, base(9)),
        ],
    )
    assert table_outlines(kernel) == [
        TableOutline(
            "inet",
            "a",
            (BaseChain("in", "filter", "input", "drop", 2), BaseChain("early", "filter", "ingress", "accept", 0)),
            7,
        ),
        TableOutline(
            "ip",
            "a",
            (
                BaseChain("nat", "nat", "prerouting", "accept", 1),
                BaseChain("later", "filter", "postrouting", "accept", 1),
                BaseChain("strange", "filter", "9", "accept", 1),
            ),
            3,
        ),
        TableOutline(
            "netdev",
            "d",
            (BaseChain("in", "filter", "ingress", "accept", 1), BaseChain("out", "filter", "egress", "accept", 1)),
            2,
        ),
        TableOutline("ip", "asleep", (BaseChain("in", "filter", "input", "accept", 3),), 3, True),
        TableOutline("ip", "none", (), 0),
    ]
    assert kernel.bodies == {TABLES: bytes(4), CHAINS: bytes(4)}
    assert str(table_outlines(kernel)[0]) == "inet a"


SMALL = TableOutline("ip", "t", (), 10)
VERDICTS = 0xFFFFFF00


@pytest.mark.parametrize(
    "sets, count, expected",
    [
        ([], [], TableContents(10, ())),
        ([a_set("plain"), a_set("numbers", 8, 12)], [99], TableContents(10, ())),
        (
            [a_set("__set0", 3, size=5), a_set("__map0", 11, VERDICTS, 6), a_set("__set1", 3)],
            [99],
            TableContents(21, ()),
        ),
        ([a_set("m", 8, VERDICTS)], [3, 4], TableContents(17, ("m",))),
    ],
)
def test_size_of_a_table(sets: list[bytes], count: list[int], expected: TableContents) -> None:
    kernel = Kernel(sets=sets, elements=list(map(elements, count)))
    assert contents(SMALL, 1_000, kernel) == expected
    assert kernel.bodies[SETS] == b"\x02\0\0\0" + name(1, "t")
    assert kernel.bodies.get(ELEMENTS, b"\x02\0\0\0" + name(1, "t") + name(2, "m")) == (
        b"\x02\0\0\0" + name(1, "t") + name(2, "m")
    )


def test_counting_stops_at_the_limit() -> None:
    kernel = Kernel(sets=[a_set("m", 8, VERDICTS), a_set("n", 8, VERDICTS)], elements=[elements(50)] * 10)
    assert contents(SMALL, 100, kernel).size == 110
    assert (kernel.given[SETS], kernel.given[ELEMENTS]) == (1, 2)
    assert contents(SMALL, 9, Kernel()) == TableContents(10, ())
    assert contents(SMALL, 10, Kernel()) == TableContents(10, ())


def test_elements_of_plain_sets() -> None:
    sets = [a_set("a"), a_set("__set0", 3, size=5), a_set("m", 8, VERDICTS), a_set("b")]
    kernel = Kernel(sets=sets, elements=[elements(3), elements(4)])
    assert plain_elements(SMALL, 100, kernel) == 14
    assert plain_elements(SMALL, 5, Kernel(sets=sets, elements=[elements(3)] * 9)) == 6


@pytest.mark.parametrize("content", [bytes(4), b"\x03\0\0\0", b"\x08"])
def test_elements_that_cannot_be_read(content: bytes) -> None:
    kernel = Kernel(sets=[a_set("m", 8, VERDICTS)], elements=[answer(IP, attribute(3 | NESTED, content))])
    with pytest.raises(NetlinkError):
        contents(SMALL, 100, kernel)
