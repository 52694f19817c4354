# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""iptables matches in the notation of nft. test_nft_compat and tests/kernel read matches from a real kernel."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError, attribute
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.xt_matches import (
    Matches,
    XtMatch,
    kernel_matches,
    nft_notation,
    write_out_matches,
)
from hypothesis import given
from hypothesis import strategies as st


def conntrack(states: int, flags: int = 1, negated: int = 0, revision: int = 3) -> XtMatch:
    return XtMatch("conntrack", revision, bytes(146) + struct.pack("=HHH", flags, negated, states) + bytes(16))


def addrtype(destination: int, flags: int = 0, source: int = 0, revision: int = 1) -> XtMatch:
    return XtMatch("addrtype", revision, struct.pack("=HHI", source, destination, flags))


def multiport(
    *ports: int, side: int = 1, ranges: tuple[int, ...] = (), negated: int = 0, count: int | None = None
) -> XtMatch:
    padded = [*ports, *[0] * (15 - len(ports))]
    goes_on = [int(place in ranges) for place in range(15)]
    return XtMatch(
        "multiport",
        1,
        struct.pack("=BB15H15BB", side, len(ports) if count is None else count, *padded, *goes_on, negated),
    )


@pytest.mark.parametrize(
    "match,text",
    [
        (conntrack(2 | 4), "ct state established,related"),
        (conntrack(8, 1 | 1 << 13), "ct state new"),
        (conntrack(1 | 256, negated=1, revision=2), "ct state != invalid,untracked"),
        (addrtype(4), "fib daddr type local"),
        (addrtype(4 | 8, 2), "fib daddr type != { local, broadcast }"),
        (multiport(80), "tcp dport 80"),
        (multiport(80, 443, negated=1), "tcp dport != { 80, 443 }"),
        (multiport(22, 8000, 8100, 9, side=0, ranges=(1,)), "tcp sport { 22, 8000-8100, 9 }"),
        # Other conditions, and those that nft cannot express, give an empty text.
        (conntrack(8, 1 | 2), ""),
        (conntrack(8, 2), ""),
        (conntrack(0), ""),
        (conntrack(64), ""),
        (conntrack(8, revision=1), ""),
        (addrtype(4, source=2), ""),
        (addrtype(4, 4), ""),
        (addrtype(0), ""),
        (addrtype(4, revision=0), ""),
        (addrtype(1 << 9), ""),
        (multiport(80, side=2), ""),
        (multiport(80, count=0), ""),
        (multiport(80, count=16), ""),
        (XtMatch("recent", 1, bytes(232)), ""),
        (XtMatch("conntrack", 3, bytes(20)), ""),
        (XtMatch("multiport", 1, b"\1\1"), ""),
    ],
)
def test_matches_in_the_notation_of_nft(match: XtMatch, text: str) -> None:
    assert nft_notation(match, "tcp") == text


def test_ports_need_a_protocol() -> None:
    assert (nft_notation(multiport(80)), nft_notation(multiport(80), "udp")) == ("", "udp dport 80")


@given(st.sampled_from(["conntrack", "addrtype", "multiport"]), st.integers(0, 3), st.binary(max_size=200))
def test_any_data_gives_a_match_or_an_empty_text(name: str, revision: int, data: bytes) -> None:
    assert '"' not in nft_notation(XtMatch(name, revision, data), "tcp")


# ---- a listing

LISTING = """table ip filter { # handle 1
\tchain INPUT { # handle 1
\t\ttype filter hook input priority filter; policy drop;
\t\txt match "conntrack" counter accept # handle 5
\t\tmeta l4proto 17 xt match "multiport" xt match "comment" counter accept # handle 6
\t}
}
table ip6 filter { # handle 2
\tchain INPUT { # handle 1
\t\txt match "conntrack" counter accept # handle 5
\t}
}
"""
FOUND: Matches = {("ip filter", "5"): [conntrack(8)], ("ip filter", "6"): [multiport(53), XtMatch("comment", 0, b"")]}


def test_names_are_written_out_by_table_and_handle() -> None:
    assert write_out_matches(LISTING, lambda: FOUND) == LISTING.replace(
        'xt match "conntrack"', "ct state new", 1
    ).replace('xt match "multiport"', "udp dport 53")


@pytest.mark.parametrize(
    "line",
    [
        'xt match "conntrack" xt match "conntrack" accept # handle 5',
        'xt match "addrtype" accept # handle 5',
        'ct state new accept comment "xt match" # handle 5',
        'xt match "conntrack" accept # handle 7',
        'xt match "conntrack" accept',
    ],
)
def test_rules_with_other_names_are_unchanged(line: str) -> None:
    text = f'table ip filter {{\n\t\t{line}\n\t\txt match "x" # handle 9\n'
    assert write_out_matches(text, lambda: FOUND) == text


def test_the_kernel_is_read_only_if_needed_and_may_refuse() -> None:
    def refuses() -> Matches:
        raise NetlinkError("Operation not permitted")

    assert write_out_matches(LISTING, refuses) == LISTING
    assert write_out_matches("table ip t {\n\t\ttcp dport 22 accept # handle 5\n}\n", refuses).count("accept") == 1


# ---- the kernel


def test_matches_are_read_by_table_and_handle() -> None:
    def expression(name: bytes, data: bytes) -> bytes:
        return attribute(1, attribute(1, name + b"\0") + attribute(2, data))

    match = attribute(1, b"addrtype\0") + attribute(2, struct.pack("!I", 1)) + attribute(3, addrtype(4).data)
    rules = [
        expression(b"counter", b"") + expression(b"match", match) + expression(b"match", match),
        expression(b"meta", b""),
    ]

    def asked(protocol: int, kind: int, amount: int, body: bytes) -> Iterator[bytes]:
        assert (protocol, kind, amount, body) == (12, 0xA07, 0x300, bytes(4))
        for handle, expressions in enumerate(rules, 7):
            yield (
                b"\2\0\0\0"
                + attribute(1, b"nat\0")
                + attribute(3, struct.pack("!Q", handle))
                + attribute(4, expressions)
            )

    assert kernel_matches(asked) == {("ip nat", "7"): [addrtype(4)] * 2}


@pytest.mark.parametrize("cut", [b"\5\0\1\0", b"\3\0\1\0", b"\4"])
def test_a_truncated_answer_is_an_error(cut: bytes) -> None:
    with pytest.raises(NetlinkError):
        kernel_matches(lambda *order: iter([b"\2\0\0\0" + attribute(1, b"t\0") + attribute(4, cut)]))
