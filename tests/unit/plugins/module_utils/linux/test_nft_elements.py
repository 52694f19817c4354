# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Elements and counters, from sample answers of a kernel; tests/kernel reads real ones."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError, attribute
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_elements import Element, counters, set_elements

OURS = ("inet", "t")
HEAD, OTHER_HEAD = b"\1\0\0\0", b"\2\0\0\0"
TABLE = attribute(1, b"t\0")


def counter(packets: int, name: bytes = b"counter\0") -> bytes:
    data = attribute(1, struct.pack("!Q", 999)) + attribute(2, struct.pack("!Q", packets))
    return attribute(1, name) + attribute(2, data)


def element(*parts: bytes) -> bytes:
    return attribute(1, attribute(1, attribute(1, b"key1")) + b"".join(parts))


def expires(milliseconds: int) -> bytes:
    return attribute(5, struct.pack("!Q", milliseconds))


def elements_of(*parts: bytes) -> list[Element]:
    answers = [HEAD + TABLE + attribute(3, part) for part in parts]

    def asked(protocol: int, kind: int, amount: int, body: bytes) -> Iterator[bytes]:
        assert (protocol, kind, amount) == (12, 0xA0D, 0x300)
        assert body == HEAD + TABLE + attribute(2, b"s\0")
        yield from answers

    return list(set_elements(OURS, "s", asked))


def test_an_element_has_a_key_a_count_and_time() -> None:
    assert elements_of(element(expires(1500), attribute(7, counter(3))) + element()) == [
        Element(b"key1", 3, 1.5),
        Element(b"key1", 0, 0),
    ]


def test_several_expressions_and_others_than_counters() -> None:
    several = attribute(11, attribute(1, counter(9, b"quota\0")) + attribute(1, counter(4)))
    assert elements_of(element(several)) == [Element(b"key1", 4, 0)]


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EPERM])
def test_a_missing_set_has_no_elements(code: int) -> None:
    def refused(protocol: int, kind: int, amount: int, body: bytes) -> Iterator[bytes]:
        yield from ()
        raise NetlinkError("no", code)

    if code == errno.ENOENT:
        assert not list(set_elements(OURS, "s", refused))
    else:
        with pytest.raises(NetlinkError):
            list(set_elements(OURS, "s", refused))


def test_counters_of_the_table_alone() -> None:
    def named(head: bytes, name: bytes, kind: int = 1, packets: int = 5) -> bytes:
        data = attribute(2, struct.pack("!Q", packets))
        return head + TABLE + attribute(2, name) + attribute(3, struct.pack("!I", kind)) + attribute(4, data)

    answers = [named(HEAD, b"a\0"), named(OTHER_HEAD, b"b\0"), named(HEAD, b"q\0", kind=2)]
    assert counters(OURS, lambda *asked: iter(answers)) == {"a": 5}
